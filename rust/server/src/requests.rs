//! The requests that the middleware has recorded, added up.

use crate::lookup::{value, Lookup};
use ferrometer_core::family::Kind;
use ferrometer_core::histogram::Snapshot;
use std::time::{SystemTime, UNIX_EPOCH};

/// The middleware's gauge, which is there as soon as the middleware is.
pub const IN_FLIGHT: &str = "http_requests_in_flight";

/// When the application was first instrumented, in seconds since 1970: the least of all its processes', also of those
/// that are gone.
pub const START: &str = "ferrometer_start_time_seconds";

/// Seconds since then; zero where nobody has said it.
pub fn uptime(look: Lookup<'_>) -> f64 {
    let start = value(look, START);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    if start > 0.0 {
        (now - start).max(0.0)
    } else {
        0.0
    }
}

/// What of the durations is told, before their mean.
pub const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Totals over all endpoints.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requests {
    /// Requests served.
    pub total: u64,
    /// Of those, answered with 5xx.
    pub failed: u64,
    /// Being served now.
    pub in_flight: u64,
    /// Percent that did not fail; NaN when there were none.
    pub success_rate: f64,
    /// p50, p95, p99 and mean duration in milliseconds; NaN when nothing was timed.
    pub milliseconds: [f64; 4],
    /// How many requests the durations are of.
    pub timed: u64,
    /// How long those took, together.
    pub timed_milliseconds: f64,
}

impl Default for Requests {
    fn default() -> Self {
        Requests {
            total: 0,
            failed: 0,
            in_flight: 0,
            success_rate: f64::NAN,
            milliseconds: [f64::NAN; 4],
            timed: 0,
            timed_milliseconds: 0.0,
        }
    }
}

impl Requests {
    /// Reads them. Requests may go on meanwhile, so the total may be a few behind the durations. Families of
    /// other kinds are an application's own that are called alike.
    pub fn read(look: Lookup<'_>) -> Self {
        let mut requests = Requests::default();
        look("http_requests", &mut |family| {
            if matches!(family.definition().kind, Kind::Counter) {
                family.for_each(&mut |series| {
                    let (count, _) = series.counter();
                    requests.total += count;
                    // The status is the last label, and also last in the text, whose order is that of the names.
                    let status = series.text().rsplit(|&byte| byte == b'=').next().unwrap_or_default();
                    if status.starts_with(b"\"5") {
                        requests.failed += count;
                    }
                });
            }
        });
        if requests.total > 0 {
            requests.success_rate = 100.0 * (requests.total - requests.failed) as f64 / requests.total as f64;
        }
        if let Some(durations) = durations(look).filter(|durations| durations.count() > 0) {
            let [p50, p95, p99] = QUANTILES.map(|q| durations.quantile(q) * 1e3);
            requests.milliseconds = [p50, p95, p99, durations.buckets.sum / durations.count() as f64 * 1e3];
            requests.timed = durations.count();
            requests.timed_milliseconds = durations.buckets.sum * 1e3;
        }
        #[expect(clippy::cast_sign_loss, reason = "clamped to zero before")]
        let in_flight = value(look, IN_FLIGHT).max(0.0) as u64;
        Requests { in_flight, ..requests }
    }
}

fn durations(look: Lookup<'_>) -> Option<Snapshot> {
    let mut durations: Option<Snapshot> = None;
    look("http_request_duration_seconds", &mut |family| {
        if matches!(family.definition().kind, Kind::Histogram(_)) {
            family.for_each(&mut |series| {
                let snapshot = series.snapshot();
                match &mut durations {
                    Some(sum) => sum.merge(&snapshot),
                    None => durations = Some(snapshot),
                }
            });
        }
    });
    durations
}
