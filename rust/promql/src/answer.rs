//! What a query is answered with.

use std::sync::Arc;

use crate::histogram::Histogram;
use crate::labels::Labels;

/// An answer: the value, and what is to be known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// What makes the value doubtful.
    pub warnings: Vec<String>,
    /// What may be a mistake in the query.
    pub infos: Vec<String>,
}

/// A value. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(i64, f64),
    /// A text.
    String(i64, String),
    /// A sample per series.
    Vector(Vec<VectorSample>),
    /// Samples per series.
    Matrix(Vec<MatrixSeries>),
}

/// A sample of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// The series.
    pub labels: Labels,
    /// When.
    pub time_ms: i64,
    /// The value.
    pub value: SampleValue,
}

/// A float or a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// The samples of a series, in ascending order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatrixSeries {
    /// The series.
    pub labels: Labels,
    /// Its floats.
    pub floats: Vec<(i64, f64)>,
    /// Its native histograms.
    pub histograms: Vec<(i64, Arc<Histogram>)>,
}
