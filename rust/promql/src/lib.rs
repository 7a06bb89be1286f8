//! PromQL with the semantics of Prometheus 3, over any [`Storage`].
//!
//! The crate knows neither Python nor where samples are kept. From the ground up: [`labels`], [`sample`],
//! [`histogram`], [`matcher`], [`storage`] (the trait that a store implements).

pub mod histogram;
pub mod labels;
pub mod matcher;
pub mod sample;
pub mod storage;

pub use histogram::{Bin, CounterReset, Histogram};
pub use labels::{Label, Labels};
pub use matcher::{Matcher, Operation};
pub use sample::{HistogramPoint, Point, Samples, STALE};
pub use storage::{CounterWindow, Extreme, Instant, Selection, Storage, StorageError, Windows};
