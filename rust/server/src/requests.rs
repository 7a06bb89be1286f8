//! The requests that the middleware has recorded, added up.

use crate::lookup::{value, Lookup};
use ferrometer_core::family::Kind;
use ferrometer_core::histogram::Snapshot;
use ferrometer_core::reading::Series;
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

/// The families of the totals by application, where several record into one registry. The label is `namespace`.
pub mod own {
    /// A counter.
    pub const REQUESTS: &str = "ferrometer_application_requests";
    /// A counter.
    pub const FAILED: &str = "ferrometer_application_requests_failed";
    /// A gauge.
    pub const IN_FLIGHT: &str = "ferrometer_application_requests_in_flight";
    /// A summary.
    pub const DURATION: &str = "ferrometer_application_request_duration_seconds";
}

/// Whether a status is that of a failed request.
pub fn status_is_failure(status: u16) -> bool {
    (500..600).contains(&status)
}

/// Whether a series of `http_requests_total` counts failed requests.
pub fn is_failed(text: &[u8]) -> bool {
    // The status is the last label, and also last in the text, whose order is that of the names.
    text.rsplit(|&byte| byte == b'=').next().unwrap_or_default().starts_with(b"\"5")
}

impl Requests {
    /// Reads them; those of the application of this namespace, where several are told apart. Requests may go on
    /// meanwhile, so the total may be a few behind the durations. Families of other kinds are an application's own
    /// that are called alike.
    pub fn read(namespace: Option<&str>, look: Lookup<'_>) -> Self {
        namespace.and_then(|namespace| Self::of_one(namespace, look)).unwrap_or_else(|| Self::of_all(look))
    }

    /// Those being served now, likewise.
    pub fn in_flight(namespace: Option<&str>, look: Lookup<'_>) -> u64 {
        let one = namespace.and_then(|namespace| {
            let mut found = None;
            each_of(namespace, own::IN_FLIGHT, look, &mut |series| found = Some(series.gauge()));
            found
        });
        #[expect(clippy::cast_sign_loss, reason = "clamped to zero before")]
        let in_flight = one.unwrap_or_else(|| value(look, IN_FLIGHT)).max(0.0) as u64;
        in_flight
    }

    /// The application's own totals, where it has some.
    fn of_one(namespace: &str, look: Lookup<'_>) -> Option<Self> {
        let (mut total, mut failed, mut durations) = (None, 0, None);
        each_of(namespace, own::REQUESTS, look, &mut |series| total = Some(series.counter().0));
        let total = total?;
        each_of(namespace, own::FAILED, look, &mut |series| failed = series.counter().0);
        each_of(namespace, own::DURATION, look, &mut |series| durations = Some(series.snapshot()));
        let in_flight = Self::in_flight(Some(namespace), look);
        Some(Requests { total, failed, in_flight, ..Requests::default() }.with(durations.as_ref()))
    }

    fn of_all(look: Lookup<'_>) -> Self {
        let mut requests = Requests::default();
        look("http_requests", &mut |family| {
            if matches!(family.definition().kind, Kind::Counter) {
                family.for_each(&mut |series| {
                    let (count, _) = series.counter();
                    requests.total += count;
                    if is_failed(series.text()) {
                        requests.failed += count;
                    }
                });
            }
        });
        requests.in_flight = Self::in_flight(None, look);
        requests.with(durations(look).as_ref())
    }

    /// With what is computed.
    fn with(mut self, durations: Option<&Snapshot>) -> Self {
        if self.total > 0 {
            self.success_rate = 100.0 * self.total.saturating_sub(self.failed) as f64 / self.total as f64;
        }
        if let Some(durations) = durations.filter(|durations| durations.count() > 0) {
            let [p50, p95, p99] = QUANTILES.map(|q| durations.quantile(q) * 1e3);
            self.milliseconds = [p50, p95, p99, durations.buckets.sum / durations.count() as f64 * 1e3];
            self.timed = durations.count();
            self.timed_milliseconds = durations.buckets.sum * 1e3;
        }
        self
    }
}

/// Reads the series of one application in one of its families.
fn each_of(namespace: &str, name: &str, look: Lookup<'_>, read: &mut dyn FnMut(&dyn Series)) {
    let text = format!("namespace=\"{namespace}\"");
    look(name, &mut |family| {
        if family.definition().name == name {
            family.for_each(&mut |series| {
                if series.text() == text.as_bytes() {
                    read(series);
                }
            });
        }
    });
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
