//! Prometheus's protobuf exposition (`io.prometheus.client`), as far as it is made here.

use prost::Message;

/// A family: all series of a name.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct MetricFamily {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub help: String,
    #[prost(enumeration = "MetricType", tag = "3")]
    pub kind: i32,
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<Series>,
    #[prost(string, tag = "5")]
    pub unit: String,
}

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[allow(missing_docs, reason = "the names say it")]
pub enum MetricType {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

/// A series.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Series {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<Label>,
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    pub untyped: Option<Number>,
    #[prost(message, optional, tag = "7")]
    pub histogram: Option<Histogram>,
    #[prost(int64, tag = "6")]
    pub timestamp_ms: i64,
}

/// A label.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A value.
#[derive(Clone, Copy, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Number {
    #[prost(double, tag = "1")]
    pub value: f64,
}

/// A time.
#[derive(Clone, Copy, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// An exemplar.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<Label>,
    #[prost(double, tag = "2")]
    pub value: f64,
    #[prost(message, optional, tag = "3")]
    pub timestamp: Option<Timestamp>,
}

/// A counter's value.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Counter {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(message, optional, tag = "2")]
    pub exemplar: Option<Exemplar>,
    #[prost(message, optional, tag = "3")]
    pub created: Option<Timestamp>,
}

/// A summary's values.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Summary {
    #[prost(uint64, tag = "1")]
    pub count: u64,
    #[prost(double, tag = "2")]
    pub sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub quantile: Vec<Quantile>,
    #[prost(message, optional, tag = "4")]
    pub created: Option<Timestamp>,
}

/// A quantile of a summary.
#[derive(Clone, Copy, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Quantile {
    #[prost(double, tag = "1")]
    pub quantile: f64,
    #[prost(double, tag = "2")]
    pub value: f64,
}

/// A histogram, classic, native or both.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Histogram {
    #[prost(uint64, tag = "1")]
    pub count: u64,
    #[prost(double, tag = "2")]
    pub sum: f64,
    #[prost(message, repeated, tag = "3")]
    pub bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub schema: Option<i32>,
    #[prost(double, tag = "6")]
    pub zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    pub zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<Span>,
    #[prost(sint64, repeated, tag = "13")]
    pub positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    pub created: Option<Timestamp>,
}

/// A bucket of a classic histogram.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Bucket {
    #[prost(uint64, tag = "1")]
    pub cumulative_count: u64,
    #[prost(double, tag = "2")]
    pub upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    pub exemplar: Option<Exemplar>,
}

/// Buckets of a native histogram in a row.
#[derive(Clone, Copy, PartialEq, Message)]
#[allow(missing_docs, reason = "the names of the fields are those of the format")]
pub struct Span {
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    #[prost(uint32, tag = "2")]
    pub length: u32,
}
