//! Samples: floats and native histograms with their times in milliseconds.

use std::sync::Arc;

use crate::histogram::Histogram;

/// The bits of Prometheus's stale marker: a NaN that ends a series. Compare bits, not values.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Prometheus's stale marker as a value.
pub const STALE: f64 = f64::from_bits(STALE_BITS);

/// Whether a value is the stale marker, and no other NaN.
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A float at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970, negative before.
    pub time_ms: i64,
    /// The value; [`STALE`] ends the series at this time.
    pub value: f64,
}

/// A native histogram at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramPoint {
    /// Milliseconds since 1970, negative before.
    pub time_ms: i64,
    /// The histogram; one whose sum is [`STALE`] ends the series at this time.
    pub histogram: Arc<Histogram>,
}

/// The samples of one series, each kind in ascending order of time; no time is in both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// The floats.
    pub floats: Vec<Point>,
    /// The native histograms.
    pub histograms: Vec<HistogramPoint>,
}

impl Samples {
    /// Forgets all samples and keeps the memory.
    pub fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
    }
}
