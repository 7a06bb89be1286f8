//! What a query may take.

use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::Duration;

/// What a query may take. [`Limits::default`] is what Prometheus allows, with less memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Samples read from the store and made on the way, all together.
    pub samples: u64,
    /// Bytes of intermediate and final results held at once.
    pub bytes: usize,
    /// Steps of a range query, and of a subquery.
    pub points: usize,
    /// Seconds for parsing and evaluation.
    pub seconds: f64,
    /// How far an instant selector looks back, in milliseconds.
    pub lookback_ms: i64,
    /// The step of a subquery that names none, in milliseconds: the rules' evaluation interval.
    pub subquery_step_ms: i64,
    /// Set to true by whoever no longer waits for the answer.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Prometheus's feature `promql-delayed-name-removal`: metric names are dropped at the end of a query. Its own
    /// test files are written for it.
    #[doc(hidden)]
    pub delayed_name_removal: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            samples: 50_000_000,
            bytes: 256 << 20,
            points: 11_000,
            seconds: 120.0,
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            cancel: None,
            delayed_name_removal: false,
        }
    }
}

impl Limits {
    pub(crate) fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or(if self.seconds > 0.0 {
            Duration::MAX
        } else {
            Duration::ZERO
        })
    }
}
