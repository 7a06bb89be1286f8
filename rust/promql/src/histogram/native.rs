//! A native histogram: its schema, its bins, its sum.

use std::sync::Arc;

/// The schema of histograms with bounds of their own.
pub const CUSTOM: i8 = -53;

/// What is known about a counter reset between a histogram and its predecessor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterReset {
    /// Nothing: it has to be found out by comparing.
    #[default]
    Unknown,
    /// The counter was reset before this one.
    Reset,
    /// It was not.
    NotReset,
    /// It is a gauge, which knows no resets.
    Gauge,
}

/// One bin that is not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Exponential: the bin is `(2^((index - 1) / 2^schema), 2^(index / 2^schema)]`, mirrored for negative values.
    /// Custom: `(bounds[index - 1], bounds[index]]`, infinite where there is no such bound.
    pub index: i32,
    /// How many observations, not cumulative.
    pub count: f64,
}

/// A native histogram as Prometheus knows it, its bins sparse.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// -4 to 8: `2^schema` bins an octave. [`CUSTOM`]: the bins end at [`bounds`](Self::bounds).
    pub schema: i8,
    /// What is known about a reset before this histogram.
    pub reset: CounterReset,
    /// The zero bin holds `-zero_threshold ..= zero_threshold`.
    pub zero_threshold: f64,
    /// Observations in the zero bin.
    pub zero_count: f64,
    /// All observations, NaN ones included.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The bins of positive values in ascending order of their indexes.
    pub positive: Vec<Bin>,
    /// The bins of negative values in ascending order of their indexes, which is ascending in the absolute value.
    pub negative: Vec<Bin>,
    /// The upper bounds of the bins of schema [`CUSTOM`] without +Inf, ascending; empty for all others.
    pub bounds: Arc<[f64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            schema: 0,
            reset: CounterReset::Unknown,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
            bounds: Arc::from([]),
        }
    }
}
