//! Why a query has no answer.

use std::fmt;

/// The kind of an error, as Prometheus's API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The query or its times are wrong: HTTP 400.
    BadData,
    /// The query cannot be evaluated on this data, or takes more than a limit: HTTP 422.
    Execution,
    /// It took longer than its limit: HTTP 503.
    Timeout,
    /// Whoever asked no longer waits: HTTP 503.
    Canceled,
}

impl ErrorKind {
    /// The `errorType` of Prometheus's API.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
        }
    }

    /// The HTTP status of Prometheus's API.
    pub fn status(self) -> u16 {
        match self {
            Self::BadData => 400,
            Self::Execution => 422,
            Self::Timeout | Self::Canceled => 503,
        }
    }
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// The kind.
    pub kind: ErrorKind,
    /// The words; a parse error names the line and column.
    pub message: String,
}

impl QueryError {
    /// A wrong query.
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::BadData, message: message.into() }
    }

    /// A query that cannot be evaluated.
    pub fn execution(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Execution, message: message.into() }
    }

    /// More samples than [`crate::Limits::samples`].
    pub fn too_many_samples() -> Self {
        Self::execution("query processing would load too many samples into memory in query execution")
    }

    /// More than [`crate::Limits::bytes`], which are `most`.
    pub fn too_many_bytes(most: usize) -> Self {
        Self::execution(format!("query processing would hold more than {most} bytes in memory"))
    }

    /// More than [`crate::Limits::seconds`]; `place` is where the time ran out.
    pub fn timed_out(place: &str) -> Self {
        Self { kind: ErrorKind::Timeout, message: format!("query timed out in {place}") }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

impl std::error::Error for QueryError {}
