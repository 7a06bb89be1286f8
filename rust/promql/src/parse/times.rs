//! The times of a query, as its durations may name them.

/// What `step()` and `range()` are in durations, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The step of a range query, 0 for an instant one.
    pub step_ms: i64,
    /// From the start to the end of the query.
    pub range_ms: i64,
}
