//! Lines as OTLP log records over HTTP: protobuf, gzip.

use crate::fields::{hex, Fields};
use crate::http::Client;
use crate::keys::Keys;
use crate::sink::{Delivery, Item, Sink};
use ferrometer_ring::{flags, Level};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A receiver.
pub struct Otlp {
    client: Client,
    resource: Vec<(String, String)>,
    keys: Keys,
}

impl Otlp {
    /// These attributes describe the service; each process adds its own.
    pub fn new(client: Client, resource: Vec<(String, String)>, keys: Keys) -> Self {
        Otlp { client, resource, keys }
    }

    fn request(&self, items: &[Item]) -> ExportLogsServiceRequest {
        let mut processes: BTreeMap<[u8; 16], (u64, Vec<LogRecord>)> = BTreeMap::new();
        for item in items {
            processes.entry(item.ring).or_insert((item.pid, Vec::new())).1.push(self.record(item));
        }
        let resource_logs = processes.into_iter().map(|(ring, (pid, log_records))| {
            let mut attributes: Vec<KeyValue> =
                self.resource.iter().map(|(name, value)| attribute(name, Any::StringValue(value.clone()))).collect();
            attributes.push(attribute("service.instance.id", Any::StringValue(hex(&ring).unwrap_or_default())));
            attributes.push(attribute("process.pid", Any::IntValue(i64::try_from(pid).unwrap_or(i64::MAX))));
            ResourceLogs {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_logs: vec![ScopeLogs {
                    scope: Some(InstrumentationScope {
                        name: "ferrometer".into(),
                        version: env!("CARGO_PKG_VERSION").into(),
                        ..InstrumentationScope::default()
                    }),
                    log_records,
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }
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

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
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
        let answer = match self.client.post("application/x-protobuf", &body, until) {
            Ok(answer) => answer,
            Err(error) => return self.client.failed(&error),
        };
        let mut delivery = self.client.judge(items, &answer, |status| matches!(status, 429 | 502 | 503 | 504));
        if answer.status < 300 {
            // A part may have been refused; sending it again would not help.
            if let Some(partial) =
                ExportLogsServiceResponse::decode(&answer.body[..]).ok().and_then(|answer| answer.partial_success)
            {
                delivery.rejected = usize::try_from(partial.rejected_log_records).unwrap_or(0).min(items.len());
                if delivery.rejected > 0 {
                    delivery.trouble =
                        Some(format!("{} records refused: {}", delivery.rejected, partial.error_message));
                }
            }
        }
        delivery
    }
}
