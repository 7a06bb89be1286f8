//! Batches of metrics as OTLP: exported once for all processes of an application, so of no process's resource.

use crate::otlp::common::Endpoint;
use crate::sink::{Delivery, Item, Sink};
use ferrometer_ring::Head;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use prost::Message;
use std::time::Instant;

/// A receiver.
pub struct Metrics {
    endpoint: Endpoint,
}

impl Metrics {
    /// Nothing is connected yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Metrics { endpoint }
    }
}

impl Sink for Metrics {
    fn wants(&self, _: &Head) -> bool {
        true
    }

    fn batch_bytes(&self) -> usize {
        512 * 1024
    }

    fn send(&mut self, items: &[Item], until: Instant) -> Delivery {
        let scope_metrics: Vec<ScopeMetrics> =
            items.iter().filter_map(|item| ScopeMetrics::decode(&item.record.payload[..]).ok()).collect();
        let broken = items.len() - scope_metrics.len();
        if scope_metrics.is_empty() {
            return Delivery::refused(items, "no metrics".into());
        }
        let resource = Some(self.endpoint.service());
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        let body = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        let mut delivery = self.endpoint.post(items, &body, until, "data points", |answer| {
            let partial = ExportMetricsServiceResponse::decode(answer).ok()?.partial_success?;
            Some((partial.rejected_data_points, partial.error_message))
        });
        if delivery.retry.is_none() {
            delivery.rejected = (delivery.rejected + broken).min(items.len());
        }
        delivery
    }
}
