//! Totals over all endpoints, and the namespaced families computed from them at scrape: the same cells, recorded once.

use super::shared::Shared;
use ferrometer_core::error::Error;
use ferrometer_core::histogram::Snapshot;
use ferrometer_core::registry::{Computed, Registry, Sample, Source, Value};
use ferrometer_core::scrape::Scrape;
use std::sync::Arc;

const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Everything over all series.
pub struct Totals {
    pub uptime: f64,
    pub total: u64,
    /// Answered with 5xx, unhandled exceptions included.
    pub failed: u64,
    pub in_flight: u64,
    durations: Option<Snapshot>,
}

impl Totals {
    /// Reads the cells. Requests may go on meanwhile, so `total` may be a few behind the durations.
    pub fn of(scrape: &Scrape, shared: &Shared) -> Self {
        let (mut total, mut failed) = (0, 0);
        scrape.reading(&shared.requests).for_each(&mut |series| {
            let (count, _) = series.counter();
            total += count;
            // The status is the last label, and also last in the text, whose order is that of the names.
            if series.text().rsplitn(2, |&byte| byte == b'=').next().is_some_and(|value| value.starts_with(b"\"5")) {
                failed += count;
            }
        });
        let mut durations: Option<Snapshot> = None;
        scrape.reading(&shared.duration).for_each(&mut |series| {
            let snapshot = series.snapshot();
            match &mut durations {
                Some(sum) => sum.merge(&snapshot),
                None => durations = Some(snapshot),
            }
        });
        let mut in_flight = 0.0;
        scrape.reading(&shared.requests_in_flight).for_each(&mut |series| in_flight += series.gauge());
        #[expect(clippy::cast_sign_loss, reason = "clamped to zero before")]
        let in_flight = in_flight.max(0.0) as u64;
        Self { uptime: shared.started.elapsed().as_secs_f64(), total, failed, in_flight, durations }
    }

    /// The share of requests that did not fail, in percent; 100 when there were none.
    pub fn success_rate(&self) -> f64 {
        if self.total == 0 {
            return 100.0;
        }
        100.0 * (self.total - self.failed.min(self.total)) as f64 / self.total as f64
    }

    /// p50, p95, p99 and mean duration in milliseconds; zeros when nothing was timed.
    pub fn milliseconds(&self) -> [f64; 4] {
        let Some(durations) = self.durations.as_ref().filter(|durations| durations.count() > 0) else {
            return [0.0; 4];
        };
        let [p50, p95, p99] = QUANTILES.map(|q| durations.quantile(q) * 1e3);
        [p50, p95, p99, durations.buckets.sum / durations.count() as f64 * 1e3]
    }
}

/// The namespaced families.
struct Views {
    namespace: String,
    shared: Arc<Shared>,
}

/// Adds the namespaced families to a registry, once.
///
/// # Errors
/// When one of the names belongs to something else.
pub fn register(registry: &Registry, shared: &Arc<Shared>, namespace: &str) -> Result<(), Error> {
    if !shared.add_namespace(namespace) {
        return Ok(());
    }
    let views = Arc::new(Views { namespace: namespace.into(), shared: shared.clone() });
    let description = format!("the HTTP views of namespace {namespace:?}");
    registry.register_source(views, &description).inspect_err(|_| shared.remove_namespace(namespace))
}

impl Views {
    fn family(&self, name: &str, help: &str, kind: &str, value: Value) -> Computed {
        let sample = Sample { suffix: suffix(kind).into(), labels: String::new(), value };
        Computed { name: self.name(name), help: help.into(), kind: kind.into(), samples: vec![sample] }
    }

    fn name(&self, name: &str) -> String {
        format!("{}_{name}", self.namespace)
    }
}

fn suffix(kind: &str) -> &'static str {
    if kind == "counter" {
        "_total"
    } else {
        ""
    }
}

impl Source for Views {
    fn collect(&self, scrape: &Scrape, out: &mut Vec<Computed>) {
        use Value::{Float, Int};
        let totals = Totals::of(scrape, &self.shared);
        out.extend([
            self.family(
                "uptime_seconds",
                "Seconds since the application was instrumented.",
                "gauge",
                Float(totals.uptime),
            ),
            self.family("requests", "Requests served.", "counter", Int(totals.total)),
            // A count by nature, a gauge by type: the name is a contract, and a counter's would end in _total.
            self.family(
                "requests_failed",
                "Requests answered with 5xx or ended by an exception.",
                "gauge",
                Int(totals.failed),
            ),
            self.family("requests_in_flight", "Requests being served now.", "gauge", Int(totals.in_flight)),
            self.family(
                "request_success_rate",
                "Percent of requests that did not fail.",
                "gauge",
                Float(totals.success_rate()),
            ),
        ]);
        let [quantiles @ .., _] = totals.milliseconds();
        let mut samples: Vec<Sample> = QUANTILES
            .iter()
            .zip(quantiles)
            .map(|(q, value)| Sample {
                suffix: String::new(),
                labels: format!("quantile=\"{q}\""),
                value: Float(value),
            })
            .collect();
        let (sum, count) = totals.durations.as_ref().map_or((0.0, 0), |all| (all.buckets.sum * 1e3, all.count()));
        samples.push(Sample { suffix: "_count".into(), labels: String::new(), value: Int(count) });
        samples.push(Sample { suffix: "_sum".into(), labels: String::new(), value: Float(sum) });
        out.push(Computed {
            name: self.name("request_duration_milliseconds"),
            help: "Request durations over all endpoints, in milliseconds.".into(),
            kind: "summary".into(),
            samples,
        });
    }

    fn names(&self) -> Vec<String> {
        let plain = ["uptime_seconds", "requests", "requests_total", "requests_failed", "requests_in_flight"];
        let duration = ["", "_sum", "_count"].map(|suffix| format!("request_duration_milliseconds{suffix}"));
        let all = plain.into_iter().chain(["request_success_rate"]).map(str::to_owned).chain(duration);
        all.map(|name| self.name(&name)).collect()
    }
}
