//! What can be wrong with a definition; each text names the value and the remedy.

use std::fmt;

/// A definition that was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// A bucket bound is NaN.
    NanBucket {
        /// Its position.
        position: usize,
    },
    /// Two neighbouring bounds do not ascend.
    UnsortedBuckets {
        /// The first of them.
        left: f64,
        /// The second.
        right: f64,
    },
    /// More bounds than a bucket index holds.
    TooManyBuckets {
        /// How many.
        count: usize,
    },
    /// A name is in use by another metric.
    Conflict {
        /// The definition that has the name.
        existing: String,
        /// The definition that wants it.
        wanted: String,
        /// The name.
        name: String,
    },
    /// A sampling rate outside (0, 1].
    Rate {
        /// The rate.
        rate: f64,
    },
    /// Not as many label values as label names.
    LabelCount {
        /// How many names.
        expected: usize,
        /// How many values.
        got: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NanBucket { position } => {
                write!(f, "Bucket bound {position} is NaN, and no value is below NaN; remove it")
            }
            Error::UnsortedBuckets { left, right } => {
                write!(f, "Buckets not in sorted order: {left} is followed by {right}; bounds must ascend, each once")
            }
            Error::TooManyBuckets { count } => {
                write!(f, "{count} buckets are too many: at most 65000; quantile() needs none of them")
            }
            Error::Conflict { existing, wanted, name } => write!(
                f,
                "Duplicated timeseries in CollectorRegistry: {name:?} is taken. Registered: {existing}. Wanted: \
                 {wanted}. Use the same definition to share it, another name, or another registry",
            ),
            Error::Rate { rate } => write!(
                f,
                "sample must be in (0, 1], not {rate}: 1 times every event, 0.01 one in a hundred. \
                 To time nothing, use a Counter"
            ),
            Error::LabelCount { expected, got } => {
                write!(f, "Incorrect label count: {expected} label names, {got} values")
            }
        }
    }
}

impl std::error::Error for Error {}
