//! An exposition as OTLP metrics: cumulative; histograms explicit, or exponential from the narrow buckets, exactly.

use crate::otlp::common::{attribute, scope};
use crate::otlp::prometheus as prom;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    exemplar, metric, number_data_point, AggregationTemporality, Exemplar, ExponentialHistogram,
    ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ScopeMetrics, Sum,
    Summary, SummaryDataPoint,
};
use prost::Message;

/// Bytes of a batch, about; a ring's record takes twice as much.
const BATCH: usize = 96 * 1024;
/// Label names of an exemplar that are ids of a trace.
const TRACE_ID: &str = "trace_id";
const SPAN_ID: &str = "span_id";

/// When: of this look, and since when series without a time of their own count.
#[derive(Clone, Copy)]
struct Times {
    now: u64,
    start: u64,
}

/// The exposition as encoded batches of metrics, and how many data points it had. What is no family ends it.
pub fn convert(families: &[u8], time_ns: u64, start_ns: u64, is_exponential: bool) -> (Vec<Vec<u8>>, usize) {
    let times = Times { now: time_ns, start: start_ns };
    let mut batches = Batches::default();
    let mut rest = families;
    while !rest.is_empty() {
        let Ok(family) = prom::MetricFamily::decode_length_delimited(&mut rest) else { break };
        for_each_metric(family, times, is_exponential, &mut batches);
    }
    batches.finish();
    (batches.done, batches.points)
}

#[derive(Default)]
struct Batches {
    metrics: Vec<Metric>,
    bytes: usize,
    points: usize,
    done: Vec<Vec<u8>>,
}

impl Batches {
    fn add(&mut self, metric: Metric, points: usize) {
        self.bytes += metric.encoded_len();
        self.points += points;
        self.metrics.push(metric);
        if self.bytes > BATCH {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if !self.metrics.is_empty() {
            let metrics = std::mem::take(&mut self.metrics);
            let batch = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
            self.done.push(batch.encode_to_vec());
            self.bytes = 0;
        }
    }
}

fn for_each_metric(family: prom::MetricFamily, times: Times, is_exponential: bool, batches: &mut Batches) {
    let prom::MetricFamily { name, help, kind, metric: all, unit } = family;
    // In pieces: one family may be longer than a batch.
    let mut all = all.into_iter().peekable();
    while all.peek().is_some() {
        let mut piece = Vec::new();
        let mut bytes = 0;
        while let Some(series) = all.next_if(|_| bytes < BATCH) {
            bytes += series.encoded_len() + 64;
            piece.push(series);
        }
        let points = piece.len();
        for data in data_of(kind, piece, times, is_exponential) {
            let name = name_of(&name, &unit, kind);
            let metric = Metric {
                name,
                description: help.clone(),
                unit: unit_of(&unit).to_owned(),
                data: Some(data),
                ..Metric::default()
            };
            batches.add(metric, points);
        }
    }
}

/// Without what Prometheus appends, and a receiver for it appends again: `_total`, and the unit.
fn name_of(name: &str, unit: &str, kind: i32) -> String {
    let name =
        if kind == prom::MetricType::Counter as i32 { name.strip_suffix("_total").unwrap_or(name) } else { name };
    let without = (!unit.is_empty() && !unit_of(unit).is_empty()).then(|| name.strip_suffix(unit)).flatten();
    without.and_then(|name| name.strip_suffix('_')).filter(|name| !name.is_empty()).unwrap_or(name).to_owned()
}

/// The unit in UCUM, which OTLP wants; empty for one that is not known.
fn unit_of(unit: &str) -> &'static str {
    match unit {
        "seconds" => "s",
        "milliseconds" => "ms",
        "bytes" => "By",
        "celsius" => "Cel",
        "meters" => "m",
        "volts" => "V",
        "amperes" => "A",
        "joules" => "J",
        "watts" => "W",
        "grams" => "g",
        "percent" => "%",
        _ => "",
    }
}

fn data_of(kind: i32, piece: Vec<prom::Series>, times: Times, is_exponential: bool) -> Vec<metric::Data> {
    let cumulative = AggregationTemporality::Cumulative.into();
    match prom::MetricType::try_from(kind).unwrap_or(prom::MetricType::Untyped) {
        prom::MetricType::Counter => {
            let data_points = piece.into_iter().filter_map(|series| counter(series, times)).collect();
            vec![metric::Data::Sum(Sum { data_points, aggregation_temporality: cumulative, is_monotonic: true })]
        }
        prom::MetricType::Summary => {
            let data_points = piece.into_iter().filter_map(|series| summary(series, times)).collect();
            vec![metric::Data::Summary(Summary { data_points })]
        }
        prom::MetricType::Histogram | prom::MetricType::GaugeHistogram => {
            let (mut explicit, mut exponential) = (Vec::new(), Vec::new());
            for series in piece {
                let prom::Series { label, histogram: Some(histogram), .. } = series else { continue };
                match histogram.schema.filter(|_| is_exponential) {
                    Some(schema) => exponential.push(narrow(label, &histogram, schema, times)),
                    None => explicit.push(classic(label, histogram, times)),
                }
            }
            let mut found = Vec::new();
            if !explicit.is_empty() {
                let data = Histogram { data_points: explicit, aggregation_temporality: cumulative };
                found.push(metric::Data::Histogram(data));
            }
            if !exponential.is_empty() {
                let data = ExponentialHistogram { data_points: exponential, aggregation_temporality: cumulative };
                found.push(metric::Data::ExponentialHistogram(data));
            }
            found
        }
        prom::MetricType::Gauge | prom::MetricType::Untyped => {
            let data_points = piece
                .into_iter()
                .filter_map(|series| {
                    let value = series.gauge.or(series.untyped)?.value;
                    Some(number(series.label, value, 0, times, Vec::new()))
                })
                .collect();
            vec![metric::Data::Gauge(Gauge { data_points })]
        }
    }
}

fn attributes(labels: Vec<prom::Label>) -> Vec<KeyValue> {
    labels.into_iter().map(|label| attribute(&label.name, Any::StringValue(label.value))).collect()
}

fn nanoseconds(time: Option<prom::Timestamp>) -> Option<u64> {
    let time = time?;
    let seconds = u64::try_from(time.seconds).ok()?;
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.nanos).unwrap_or(0)))
}

/// When a series began, which is no later than this look.
fn start(created: Option<prom::Timestamp>, times: Times) -> u64 {
    nanoseconds(created).filter(|&start| start > 0).unwrap_or(times.start).min(times.now)
}

fn number(labels: Vec<prom::Label>, value: f64, start: u64, times: Times, exemplars: Vec<Exemplar>) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start,
        time_unix_nano: times.now,
        exemplars,
        flags: 0,
        value: Some(number_data_point::Value::AsDouble(value)),
    }
}

fn counter(series: prom::Series, times: Times) -> Option<NumberDataPoint> {
    let counter = series.counter?;
    let exemplars = counter.exemplar.map(exemplar_of).into_iter().collect();
    Some(number(series.label, counter.value, start(counter.created, times), times, exemplars))
}

fn summary(series: prom::Series, times: Times) -> Option<SummaryDataPoint> {
    let summary = series.summary?;
    let at = |quantile: &prom::Quantile| ValueAtQuantile { quantile: quantile.quantile, value: quantile.value };
    Some(SummaryDataPoint {
        attributes: attributes(series.label),
        start_time_unix_nano: start(summary.created, times),
        time_unix_nano: times.now,
        count: summary.count,
        sum: summary.sum,
        // OTLP has no word for "nothing was recorded".
        quantile_values: summary.quantile.iter().filter(|quantile| !quantile.value.is_nan()).map(at).collect(),
        flags: 0,
    })
}

fn classic(labels: Vec<prom::Label>, histogram: prom::Histogram, times: Times) -> HistogramDataPoint {
    let (mut bucket_counts, mut explicit_bounds, mut exemplars) = (Vec::new(), Vec::new(), Vec::new());
    let mut before = 0;
    for bucket in histogram.bucket {
        if bucket.upper_bound.is_finite() {
            explicit_bounds.push(bucket.upper_bound);
            bucket_counts.push(bucket.cumulative_count.saturating_sub(before));
            before = bucket.cumulative_count;
        }
        exemplars.extend(bucket.exemplar.map(exemplar_of));
    }
    bucket_counts.push(histogram.count.saturating_sub(before));
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start(histogram.created, times),
        time_unix_nano: times.now,
        count: histogram.count,
        sum: Some(histogram.sum),
        bucket_counts,
        explicit_bounds,
        exemplars,
        ..HistogramDataPoint::default()
    }
}

/// The narrow buckets. OTLP's bucket i reaches from base^i to base^(i+1), Prometheus's to base^i.
fn narrow(
    labels: Vec<prom::Label>,
    histogram: &prom::Histogram,
    schema: i32,
    times: Times,
) -> ExponentialHistogramDataPoint {
    let (mut counts, mut offset, mut index, mut count) = (Vec::new(), None, 0i32, 0i64);
    let mut deltas = histogram.positive_delta.iter();
    for span in &histogram.positive_span {
        index += span.offset;
        if offset.is_none() {
            offset = Some(index - 1);
        } else {
            // Empty buckets between two spans.
            counts.extend(std::iter::repeat_n(0, usize::try_from(span.offset).unwrap_or(0).min(100_000)));
        }
        for delta in deltas.by_ref().take(span.length as usize) {
            count += delta;
            counts.push(u64::try_from(count).unwrap_or(0));
            index += 1;
        }
    }
    let exemplars = histogram.bucket.iter().filter_map(|bucket| bucket.exemplar.clone()).map(exemplar_of).collect();
    ExponentialHistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start(histogram.created, times),
        time_unix_nano: times.now,
        count: histogram.count,
        sum: Some(histogram.sum),
        scale: schema,
        zero_count: histogram.zero_count,
        positive: Some(Buckets { offset: offset.unwrap_or(0), bucket_counts: counts }),
        zero_threshold: histogram.zero_threshold,
        exemplars,
        ..ExponentialHistogramDataPoint::default()
    }
}

fn exemplar_of(exemplar: prom::Exemplar) -> Exemplar {
    let (mut trace_id, mut span_id, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for label in exemplar.label {
        match label.name.as_str() {
            TRACE_ID => trace_id = bytes_of::<16>(&label.value),
            SPAN_ID => span_id = bytes_of::<8>(&label.value),
            _ => others.push(label),
        }
    }
    Exemplar {
        filtered_attributes: attributes(others),
        time_unix_nano: nanoseconds(exemplar.timestamp).unwrap_or(0),
        span_id,
        trace_id,
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
    }
}

/// The bytes of an id; none for what is none.
fn bytes_of<const N: usize>(digits: &str) -> Vec<u8> {
    let mut id = [0; N];
    if ferrometer_traces::ids::read_hex(digits.as_bytes(), &mut id) {
        id.to_vec()
    } else {
        Vec::new()
    }
}
