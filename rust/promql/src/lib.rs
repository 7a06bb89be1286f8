//! PromQL with the semantics of Prometheus 3, over any [`Storage`].
//!
//! The crate knows neither Python nor where samples are kept. From the ground up: [`labels`], [`sample`],
//! [`histogram`], [`matcher`], [`storage`] (the trait that a store implements).

mod answer;
pub mod ast;
pub mod error;
mod eval;
pub mod function;
pub mod histogram;
mod kahan;
pub mod labels;
pub mod matcher;
pub mod memory;
pub mod number;
pub mod parse;
mod query;
pub mod sample;
pub mod storage;

pub use answer::{Answer, MatrixSeries, SampleValue, Value, VectorSample};
pub use error::{ErrorKind, QueryError};
pub use histogram::{Bin, Bucket, CounterReset, Histogram};
pub use labels::{Label, Labels};
pub use matcher::{Matcher, Operation};
pub use query::{instant, range, Limits};
pub use sample::{HistogramPoint, Point, Samples, STALE};
pub use storage::{CounterWindow, Extreme, Instant, Selection, Storage, StorageError, Windows};
