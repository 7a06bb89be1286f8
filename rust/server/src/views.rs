//! The namespaced families of the requests: the same cells as the middleware's, told otherwise.

use crate::requests::{Requests, QUANTILES};
use ferrometer_core::registry::Value::{Float, Int};
use ferrometer_core::registry::{Computed, Sample, Value};

/// The families, in the order to print.
pub fn views(namespace: &str, uptime_seconds: f64, requests: &Requests) -> Vec<Computed> {
    let family = |name: &str, help: &str, kind: &str, value: Value| {
        let suffix = if kind == "counter" { "_total" } else { "" };
        let sample = Sample { suffix: suffix.into(), labels: String::new(), value };
        Computed { name: format!("{namespace}_{name}"), help: help.into(), kind: kind.into(), samples: vec![sample] }
    };
    vec![
        family("uptime_seconds", "Seconds since the application was instrumented.", "gauge", Float(uptime_seconds)),
        family("requests", "Requests served.", "counter", Int(requests.total)),
        // A count by nature, a gauge by type: the name is a contract, and a counter's would end in _total.
        family(
            "requests_failed",
            "Requests answered with 5xx or ended by an exception.",
            "gauge",
            Int(requests.failed),
        ),
        family("requests_in_flight", "Requests being served now.", "gauge", Int(requests.in_flight)),
        family("request_success_rate", "Percent of requests that did not fail.", "gauge", Float(requests.success_rate)),
        Computed {
            name: format!("{namespace}_request_duration_milliseconds"),
            help: "Request durations over all endpoints, in milliseconds.".into(),
            kind: "summary".into(),
            samples: durations(requests),
        },
    ]
}

fn durations(requests: &Requests) -> Vec<Sample> {
    let sample = |suffix: &str, labels, value| Sample { suffix: suffix.into(), labels, value };
    let quantiles = QUANTILES.iter().zip(requests.milliseconds);
    let quantiles = quantiles.map(|(q, value)| sample("", format!("quantile=\"{q}\""), Float(value)));
    let sums = [
        sample("_count", String::new(), Int(requests.timed)),
        sample("_sum", String::new(), Float(requests.timed_milliseconds)),
    ];
    quantiles.chain(sums).collect()
}

/// All names of their samples.
pub fn names(namespace: &str) -> Vec<String> {
    let plain = ["uptime_seconds", "requests", "requests_total", "requests_failed", "requests_in_flight"];
    let duration = ["", "_sum", "_count"].map(|suffix| format!("request_duration_milliseconds{suffix}"));
    let all = plain.into_iter().chain(["request_success_rate"]).map(str::to_owned).chain(duration);
    all.map(|name| format!("{namespace}_{name}")).collect()
}
