//! `PromQL` with the semantics of Prometheus 3, over any [`Storage`].
//!
//! The crate knows neither Python nor where samples are kept. From the ground up: [`labels`], [`sample`],
//! [`histogram`], [`matcher`], [`storage`] (the trait that a store implements).

#![allow(clippy::float_cmp, reason = "the semantics of PromQL are exact comparisons of floats")]
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "what is not less is greater, equal or NaN, and that is meant")]
#![allow(clippy::manual_midpoint, reason = "Prometheus's own arithmetic, overflow included")]
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "counts of steps and samples, bounded by limits")]
#![allow(clippy::needless_pass_by_value, reason = "a table that has been evaluated is freed where it is used up")]
#![allow(clippy::similar_names, reason = "first, last and lost are the words for it")]
#![allow(clippy::unused_self, reason = "methods of one evaluation, whether or not they look at it")]
#![allow(clippy::needless_for_each, clippy::single_match_else, reason = "the shorter form here")]

mod answer;
pub mod ast;
pub mod error;
mod eval;
pub mod function;
pub mod histogram;
pub mod json;
mod kahan;
mod kind;
pub mod labels;
mod limits;
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
pub use limits::Limits;
pub use matcher::{Matcher, Operation};
pub use query::{instant, range};
pub use sample::{HistogramPoint, Point, Samples, STALE};
pub use storage::{CounterWindow, Extreme, HistogramWindow, Instant, Selection, Storage, StorageError, Windows};
