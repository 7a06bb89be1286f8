//! Lines as OTLP log records.

use crate::fields::{hex, Fields};
use crate::keys::Keys;
use crate::otlp::common::{attribute, scope, Endpoint};
use crate::sink::{Delivery, Item, Sink};
use ferrometer_ring::{flags, Level};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A receiver.
pub struct Otlp {
    endpoint: Endpoint,
    keys: Keys,
}

impl Otlp {
    /// Of lines whose keys are these.
    pub fn new(endpoint: Endpoint, keys: Keys) -> Self {
        Otlp { endpoint, keys }
    }

    fn request(&self, items: &[Item]) -> ExportLogsServiceRequest {
        let mut processes: BTreeMap<[u8; 16], (u64, Vec<LogRecord>)> = BTreeMap::new();
        for item in items {
            processes.entry(item.ring).or_insert((item.pid, Vec::new())).1.push(self.record(item));
        }
        let resource_logs = processes.into_iter().map(|(ring, (pid, log_records))| ResourceLogs {
            resource: Some(self.endpoint.resource(&ring, pid)),
            scope_logs: vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        });
        ExportLogsServiceRequest { resource_logs: resource_logs.collect() }
    }

    fn record(&self, item: &Item) -> LogRecord {
        let head = &item.record.head;
        let fields = Fields::of(item, &self.keys);
        let mut attributes: Vec<KeyValue> =
            fields.rest.into_iter().map(|(key, value)| attribute(&key, any(value))).collect();
        let sequence = i64::try_from(item.record.sequence).unwrap_or(i64::MAX);
        attributes.push(attribute("log.record.sequence", Any::IntValue(sequence)));
        if item.is_repeated {
            attributes.push(attribute("log.record.repeated", Any::BoolValue(true)));
        }
        let (number, name) = match head.level {
            Level::Debug => (SeverityNumber::Debug, "DEBUG"),
            Level::Info => (SeverityNumber::Info, "INFO"),
            Level::Warn => (SeverityNumber::Warn, "WARN"),
            Level::Error => (SeverityNumber::Error, "ERROR"),
            Level::Fatal => (SeverityNumber::Fatal, "FATAL"),
        };
        let id = |id: &[u8]| if hex(id).is_some() { id.to_vec() } else { Vec::new() };
        LogRecord {
            time_unix_nano: head.time_ns,
            observed_time_unix_nano: head.time_ns,
            severity_number: number.into(),
            severity_text: name.into(),
            body: Some(AnyValue { value: Some(Any::StringValue(fields.message)) }),
            attributes,
            flags: u32::from(head.flags & flags::SAMPLED != 0),
            trace_id: id(&head.trace_id),
            span_id: id(&head.span_id),
            ..LogRecord::default()
        }
    }
}

/// A JSON value with its type. A number that fits no integer is a double; null is an empty text, for an attribute
/// without a value is none.
fn any(value: Value) -> Any {
    match value {
        Value::Null => Any::StringValue(String::new()),
        Value::Bool(value) => Any::BoolValue(value),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Any::DoubleValue(number.as_f64().unwrap_or(f64::NAN)), Any::IntValue)
        }
        Value::String(text) => Any::StringValue(text),
        Value::Array(values) => {
            let values = values.into_iter().map(|value| AnyValue { value: Some(any(value)) }).collect();
            Any::ArrayValue(ArrayValue { values })
        }
        Value::Object(fields) => {
            let values = fields.into_iter().map(|(key, value)| attribute(&key, any(value))).collect();
            Any::KvlistValue(KeyValueList { values })
        }
    }
}

impl Sink for Otlp {
    fn linger(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn batch_bytes(&self) -> usize {
        512 * 1024
    }

    fn send(&mut self, items: &[Item], until: Instant) -> Delivery {
        let body = self.request(items).encode_to_vec();
        self.endpoint.post(items, &body, until, "records", |answer| {
            let partial = ExportLogsServiceResponse::decode(answer).ok()?.partial_success?;
            Some((partial.rejected_log_records, partial.error_message))
        })
    }
}
