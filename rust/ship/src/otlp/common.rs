//! What the signals have in common: who sends, attributes, and what an answer means.

use crate::fields::hex;
use crate::http::Client;
use crate::sink::{Delivery, Item};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::time::{Duration, Instant};

/// A receiver, and who sends to it.
pub struct Endpoint {
    /// Posts.
    pub client: Client,
    /// Attributes that describe the service.
    pub resource: Vec<(String, String)>,
    /// How long an attempt may take.
    pub timeout: Duration,
}

impl Endpoint {
    /// The service, whichever of its processes tells.
    pub fn service(&self) -> Resource {
        let attributes = self.resource.iter().map(|(name, value)| attribute(name, Any::StringValue(value.clone())));
        Resource { attributes: attributes.collect(), ..Resource::default() }
    }

    /// The service in one process.
    pub fn resource(&self, ring: &[u8; 16], pid: u64) -> Resource {
        let mut attributes: Vec<KeyValue> =
            self.resource.iter().map(|(name, value)| attribute(name, Any::StringValue(value.clone()))).collect();
        if !self.resource.iter().any(|(name, _)| name == "service.instance.id") {
            attributes.push(attribute("service.instance.id", Any::StringValue(hex(ring).unwrap_or_default())));
        }
        attributes.push(attribute("process.pid", Any::IntValue(i64::try_from(pid).unwrap_or(i64::MAX))));
        Resource { attributes, ..Resource::default() }
    }

    /// Posts a batch. `partial`: of an answer, how many were refused, and why.
    pub fn post(
        &self,
        items: &[Item],
        body: &[u8],
        until: Instant,
        what: &str,
        partial: impl FnOnce(&[u8]) -> Option<(i64, String)>,
    ) -> Delivery {
        let until = until.min(Instant::now() + self.timeout);
        let answer = match self.client.post("application/x-protobuf", body, until) {
            Ok(answer) => answer,
            Err(error) => return self.client.failed(&error),
        };
        let mut delivery = self.client.judge(items, &answer, |status| matches!(status, 429 | 502 | 503 | 504));
        if answer.status < 300 {
            // A part may have been refused; sending it again would not help.
            if let Some((rejected, message)) = partial(&answer.body) {
                delivery.rejected = usize::try_from(rejected).unwrap_or(0).min(items.len());
                if delivery.rejected > 0 {
                    delivery.trouble = Some(format!("{} {what} refused: {message}", delivery.rejected));
                }
            }
        }
        delivery
    }
}

/// A pair.
pub fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// This library.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "ferrometer".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}
