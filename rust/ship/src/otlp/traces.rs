//! Spans as OTLP.

use crate::otlp::common::{attribute, scope, Endpoint};
use crate::sink::{Delivery, Item, Sink};
use ferrometer_ring::{flags, Head};
use ferrometer_traces::read::{Event, Link, Pairs, Span as Read, Value};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::{span, ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Bits of a span's flags, beside those of the trace: whether it is known where the parent is, and that it is remote.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// A receiver.
pub struct Traces {
    endpoint: Endpoint,
    linger: Duration,
}

/// The library that made a span, and its version.
type Scope = (String, String);
/// Spans by who made them.
type Scopes = BTreeMap<Scope, Vec<Span>>;

impl Traces {
    /// Waits so long for more spans before it sends a few.
    pub fn new(endpoint: Endpoint, linger: Duration) -> Self {
        Traces { endpoint, linger }
    }

    /// The request; and how many of the items are no spans.
    fn request(&self, items: &[Item]) -> (ExportTraceServiceRequest, usize) {
        let mut processes: BTreeMap<[u8; 16], (u64, Scopes)> = BTreeMap::new();
        let mut broken = 0;
        for item in items {
            let Some(read) = Read::read(&item.record.payload) else {
                broken += 1;
                continue;
            };
            let scopes = &mut processes.entry(item.ring).or_insert((item.pid, Scopes::new())).1;
            let scope = (read.scope.0.to_owned(), read.scope.1.to_owned());
            scopes.entry(scope).or_default().push(span_of(&item.record.head, read));
        }
        let resource_spans = processes.into_iter().map(|(ring, (pid, scopes))| ResourceSpans {
            resource: Some(self.endpoint.resource(&ring, pid)),
            scope_spans: scopes.into_iter().map(|(made_by, spans)| scope_spans(made_by, spans)).collect(),
            ..ResourceSpans::default()
        });
        (ExportTraceServiceRequest { resource_spans: resource_spans.collect() }, broken)
    }
}

fn scope_spans((name, version): Scope, spans: Vec<Span>) -> ScopeSpans {
    let made_by = if name.is_empty() {
        scope()
    } else {
        InstrumentationScope { name, version, ..InstrumentationScope::default() }
    };
    ScopeSpans { scope: Some(made_by), spans, ..ScopeSpans::default() }
}

fn span_of(head: &Head, read: Read<'_>) -> Span {
    let remote = if read.has_remote_parent { IS_REMOTE } else { 0 };
    let [dropped_attributes_count, dropped_events_count, dropped_links_count] = read.dropped;
    let has_parent = read.parent != [0; 8];
    Span {
        trace_id: head.trace_id.to_vec(),
        span_id: head.span_id.to_vec(),
        trace_state: read.tracestate.to_owned(),
        parent_span_id: if has_parent { read.parent.to_vec() } else { Vec::new() },
        flags: u32::from(read.flags) | HAS_IS_REMOTE | remote,
        name: read.name.to_owned(),
        kind: read.kind.into(),
        start_time_unix_nano: read.start_ns,
        end_time_unix_nano: head.time_ns,
        attributes: pairs(read.attributes),
        dropped_attributes_count,
        events: read.events.into_iter().map(event).collect(),
        dropped_events_count,
        links: read.links.into_iter().map(link).collect(),
        dropped_links_count,
        status: (read.status != 0).then(|| Status { message: read.message.to_owned(), code: read.status.into() }),
    }
}

fn event(read: Event<'_>) -> span::Event {
    span::Event {
        time_unix_nano: read.time_ns,
        name: read.name.to_owned(),
        attributes: pairs(read.attributes),
        dropped_attributes_count: read.dropped,
    }
}

fn link(read: Link<'_>) -> span::Link {
    span::Link {
        trace_id: read.trace_id.to_vec(),
        span_id: read.span_id.to_vec(),
        trace_state: read.tracestate.to_owned(),
        attributes: pairs(read.attributes),
        dropped_attributes_count: read.dropped,
        flags: read.flags.into(),
    }
}

fn pairs(read: Pairs<'_>) -> Vec<KeyValue> {
    let pair = |(name, value): (&str, Value<'_>)| match any(value) {
        Some(value) => attribute(name, value),
        None => KeyValue { key: name.to_owned(), value: Some(AnyValue::default()), ..KeyValue::default() },
    };
    read.into_iter().map(pair).collect()
}

fn any(value: Value<'_>) -> Option<Any> {
    Some(match value {
        Value::None => return None,
        Value::Bool(value) => Any::BoolValue(value),
        Value::Int(value) => Any::IntValue(value),
        Value::Float(value) => Any::DoubleValue(value),
        Value::Text(value) => Any::StringValue(value.to_owned()),
        Value::Bytes(value) => Any::BytesValue(value.to_vec()),
        Value::List(values) => {
            let values = values.into_iter().map(|value| AnyValue { value: any(value) }).collect();
            Any::ArrayValue(ArrayValue { values })
        }
        Value::Map(values) => Any::KvlistValue(KeyValueList { values: pairs(values) }),
    })
}

impl Sink for Traces {
    fn wants(&self, head: &Head) -> bool {
        head.flags & flags::SPAN != 0
    }

    fn linger(&self) -> Duration {
        self.linger
    }

    fn batch_bytes(&self) -> usize {
        512 * 1024
    }

    fn send(&mut self, items: &[Item], until: Instant) -> Delivery {
        let (request, broken) = self.request(items);
        if broken == items.len() {
            return Delivery::refused(items, "no spans".into());
        }
        let body = request.encode_to_vec();
        let mut delivery = self.endpoint.post(items, &body, until, "spans", |answer| {
            let partial = ExportTraceServiceResponse::decode(answer).ok()?.partial_success?;
            Some((partial.rejected_spans, partial.error_message))
        });
        if delivery.retry.is_none() {
            delivery.rejected = (delivery.rejected + broken).min(items.len());
        }
        delivery
    }
}
