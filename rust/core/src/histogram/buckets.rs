//! The classic view: what each bucket holds.

/// What the classic exposition of a series needs.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Buckets {
    /// Values per bucket, not cumulative; the last is that of `+Inf`.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}
