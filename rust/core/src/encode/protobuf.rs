//! The Prometheus protobuf format: length-delimited `io.prometheus.client.MetricFamily` messages, with
//! native histograms beside the classic buckets.
//!
//! Written by hand because a message is a dozen tags, and because the nested lengths can be computed
//! into one reused scratch buffer; the tests decode with a generated parser.

use crate::exemplar::Exemplar;
use crate::family::{Family, Kind};
use crate::histogram::native::Native;
use crate::labels::pairs;
use crate::registry::{Computed, Entry, Registry, Value};
use crate::series::SeriesRef;

/// Buckets that a native histogram may have before its resolution is halved.
pub const NATIVE_BUCKETS: usize = 160;

/// `MetricType`.
mod kind {
    pub const COUNTER: u64 = 0;
    pub const GAUGE: u64 = 1;
    pub const SUMMARY: u64 = 2;
    pub const UNTYPED: u64 = 3;
    pub const HISTOGRAM: u64 = 4;
    pub const GAUGE_HISTOGRAM: u64 = 5;
}

/// Wire types.
const VARINT: u64 = 0;
const DOUBLE: u64 = 1;
const BYTES: u64 = 2;

/// Appends the exposition of a registry without the families for which `leave_out` is true. Native
/// histograms have at most `native_buckets` buckets.
pub fn encode(registry: &Registry, leave_out: &dyn Fn(&Family) -> bool, native_buckets: usize, out: &mut Vec<u8>) {
    let mut computed = Vec::new();
    for entry in registry.entries() {
        match entry {
            Entry::Family(family) => {
                if !leave_out(&family) {
                    delimited(out, |message| encode_family(&family, native_buckets, message));
                }
            }
            Entry::Source(source) => source.collect(&mut computed),
        }
    }
    computed.extend(registry.faults());
    encode_further(&computed, out);
}

/// Appends families that were computed for this scrape.
pub fn encode_further(families: &[Computed], out: &mut Vec<u8>) {
    for family in families {
        delimited(out, |message| encode_computed(family, message));
    }
}

fn encode_family(family: &Family, native_buckets: usize, out: &mut Vec<u8>) {
    let definition = family.definition();
    let (suffix, kind) = match &definition.kind {
        Kind::Counter => ("_total", kind::COUNTER),
        Kind::Gauge | Kind::StateSet(_) => ("", kind::GAUGE),
        Kind::Histogram(_) => ("", kind::HISTOGRAM),
        Kind::Summary(..) => ("", kind::SUMMARY),
        Kind::Info => ("_info", kind::GAUGE),
    };
    bytes(1, format!("{}{suffix}", definition.name).as_bytes(), out);
    bytes(2, definition.help.as_bytes(), out);
    number(3, kind, out);
    family.for_each(|series| encode_series(family, series, native_buckets, out));
    if !definition.unit.is_empty() {
        bytes(5, definition.unit.as_bytes(), out);
    }
}

fn encode_series(family: &Family, series: &SeriesRef, native_buckets: usize, out: &mut Vec<u8>) {
    let definition = family.definition();
    let names = family.labels().names();
    let values = family.labels().values(series.text());
    let labels: Vec<(&str, &str)> = names.iter().map(|name| &**name).zip(values.iter().map(String::as_str)).collect();
    match &definition.kind {
        Kind::Counter => metric(out, &labels, |out| {
            nested(3, out, |out| {
                double(1, series.counter().get(), out);
                write_exemplar(2, family.exemplars().of(series.text()).first(), out);
                timestamp(3, series.created(), out);
            });
        }),
        Kind::Gauge => metric(out, &labels, |out| gauge(series.gauge().get(), out)),
        Kind::Histogram(_) => metric(out, &labels, |out| histogram(family, series, native_buckets, out)),
        Kind::Summary(_, quantiles) => metric(out, &labels, |out| {
            let snapshot = series.histogram().snapshot();
            nested(4, out, |out| {
                number(1, snapshot.count(), out);
                double(2, snapshot.buckets.sum, out);
                for &quantile in quantiles.iter() {
                    nested(3, out, |out| {
                        double(1, quantile, out);
                        double(2, snapshot.quantile(quantile), out);
                    });
                }
                timestamp(4, series.created(), out);
            });
        }),
        Kind::Info => {
            let own = series.info().unwrap_or_default();
            let own = pairs(own.as_bytes());
            let own = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            metric(out, &labels.iter().copied().chain(own).collect::<Vec<_>>(), |out| gauge(1.0, out));
        }
        Kind::StateSet(states) => {
            let current = series.gauge().get();
            for (index, state) in states.iter().enumerate() {
                let mut labels = labels.clone();
                labels.push((&definition.name, state));
                let is_current = (current - index as f64).abs() < 0.5;
                metric(out, &labels, |out| gauge(f64::from(u8::from(is_current)), out));
            }
        }
    }
}

fn histogram(family: &Family, series: &SeriesRef, native_buckets: usize, out: &mut Vec<u8>) {
    let snapshot = series.histogram().snapshot();
    nested(7, out, |out| {
        number(1, snapshot.count(), out);
        double(2, snapshot.buckets.sum, out);
        let exemplars = family.exemplars().of(series.text());
        let mut cumulative = 0;
        for (index, (&bound, count)) in snapshot.layout().bounds().iter().zip(&snapshot.buckets.counts).enumerate() {
            cumulative += count;
            nested(3, out, |out| {
                number(1, cumulative, out);
                double(2, bound, out);
                write_exemplar(3, exemplars.get(index), out);
            });
        }
        if let Some(native) = Native::new(&snapshot, native_buckets) {
            signed(5, i64::from(native.schema), out);
            double(6, native.zero_threshold, out);
            number(7, native.zero, out);
            let (spans, deltas) = native.spans();
            for (offset, length) in spans {
                nested(12, out, |out| {
                    signed(1, i64::from(offset), out);
                    number(2, u64::from(length), out);
                });
            }
            if !deltas.is_empty() {
                nested(13, out, |out| deltas.iter().for_each(|&delta| varint(zigzag(delta), out)));
            }
        }
        timestamp(15, series.created(), out);
    });
}

/// A computed family. Lines that are one metric here (a histogram's buckets, count and sum) are put
/// together again by their labels.
fn encode_computed(family: &Computed, out: &mut Vec<u8>) {
    let (suffix, kind) = match family.kind.as_str() {
        "counter" => ("_total", kind::COUNTER),
        "gauge" | "stateset" => ("", kind::GAUGE),
        "info" => ("_info", kind::GAUGE),
        "summary" => ("", kind::SUMMARY),
        "histogram" => ("", kind::HISTOGRAM),
        "gaugehistogram" => ("", kind::GAUGE_HISTOGRAM),
        _ => ("", kind::UNTYPED),
    };
    bytes(1, format!("{}{suffix}", family.name).as_bytes(), out);
    bytes(2, family.help.as_bytes(), out);
    number(3, kind, out);
    let own = match kind {
        kind::SUMMARY => "quantile",
        kind::HISTOGRAM | kind::GAUGE_HISTOGRAM => "le",
        _ => {
            for sample in family.samples.iter().filter(|sample| sample.suffix == suffix) {
                computed_metric(&pairs(sample.labels.as_bytes()), out, |out| match kind {
                    kind::COUNTER => nested(3, out, |out| double(1, as_double(sample.value), out)),
                    kind::GAUGE => gauge(as_double(sample.value), out),
                    _ => nested(5, out, |out| double(1, as_double(sample.value), out)),
                });
            }
            return;
        }
    };
    let mut metrics: Vec<(Pairs, Vec<Line>)> = Vec::new();
    for sample in &family.samples {
        let mut labels = pairs(sample.labels.as_bytes());
        let place = labels.iter().position(|(name, _)| name == own);
        let bound = place.and_then(|place| labels.remove(place).1.replace("Inf", "inf").parse().ok());
        let line = Line { suffix: &sample.suffix, bound, value: sample.value };
        match metrics.iter_mut().rev().find(|(known, _)| *known == labels) {
            Some((_, lines)) => lines.push(line),
            None => metrics.push((labels, vec![line])),
        }
    }
    for (labels, lines) in metrics {
        let field = if kind == kind::SUMMARY { 4 } else { 7 };
        computed_metric(&labels, out, |out| nested(field, out, |out| lines.iter().for_each(|line| line.encode(out))));
    }
}

/// Label names and values.
type Pairs = Vec<(String, String)>;

/// One line of a computed histogram or summary.
struct Line<'a> {
    suffix: &'a str,
    /// Its `le` or `quantile`.
    bound: Option<f64>,
    value: Value,
}

impl Line<'_> {
    /// The fields of `Histogram` and `Summary` have the same numbers, but for a quantile's and a bucket's.
    fn encode(&self, out: &mut Vec<u8>) {
        match (self.suffix, self.bound) {
            ("_count" | "_gcount", _) => number(1, as_count(self.value), out),
            ("_sum" | "_gsum", _) => double(2, as_double(self.value), out),
            ("_bucket", Some(bound)) => nested(3, out, |out| {
                number(1, as_count(self.value), out);
                double(2, bound, out);
            }),
            ("", Some(quantile)) => nested(3, out, |out| {
                double(1, quantile, out);
                double(2, as_double(self.value), out);
            }),
            _ => {}
        }
    }
}

fn computed_metric(labels: &[(String, String)], out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    metric(out, &labels, value);
}

fn as_count(value: Value) -> u64 {
    match value {
        Value::Int(count) => count,
        // Saturating: what is no count at all was none to its maker either.
        #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
        Value::Float(number) => number as u64,
    }
}

fn as_double(value: Value) -> f64 {
    match value {
        Value::Int(count) => count as f64,
        Value::Float(number) => number,
    }
}

fn metric(out: &mut Vec<u8>, labels: &[(&str, &str)], value: impl FnOnce(&mut Vec<u8>)) {
    nested(4, out, |out| {
        for (name, value) in labels {
            label(name, value, out);
        }
        value(out);
    });
}

fn write_exemplar(field: u64, exemplar: Option<&Option<Exemplar>>, out: &mut Vec<u8>) {
    if let Some(Some(exemplar)) = exemplar {
        nested(field, out, |out| {
            for (name, value) in pairs(exemplar.labels.as_bytes()) {
                label(&name, &value, out);
            }
            double(2, exemplar.value, out);
            timestamp(3, exemplar.timestamp, out);
        });
    }
}

fn label(name: &str, value: &str, out: &mut Vec<u8>) {
    nested(1, out, |out| {
        bytes(1, name.as_bytes(), out);
        bytes(2, value.as_bytes(), out);
    });
}

fn gauge(value: f64, out: &mut Vec<u8>) {
    nested(2, out, |out| double(1, value, out));
}

fn timestamp(field: u64, seconds: f64, out: &mut Vec<u8>) {
    let whole = seconds.floor();
    nested(field, out, |out| {
        number(1, (whole as i64).cast_unsigned(), out);
        number(2, (((seconds - whole) * 1e9) as i64).cast_unsigned(), out);
    });
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3 | VARINT, out);
    varint(value, out);
}

fn signed(field: u64, value: i64, out: &mut Vec<u8>) {
    number(field, zigzag(value), out);
}

fn double(field: u64, value: f64, out: &mut Vec<u8>) {
    varint(field << 3 | DOUBLE, out);
    out.extend_from_slice(&value.to_le_bytes());
}

fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | BYTES, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn nested(field: u64, out: &mut Vec<u8>, message: impl FnOnce(&mut Vec<u8>)) {
    varint(field << 3 | BYTES, out);
    delimited(out, message);
}

/// A message behind its length. Nearly all are below 128 bytes, so one byte is left for the length, and
/// a longer message is moved up by what its length takes more.
fn delimited(out: &mut Vec<u8>, message: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    message(out);
    let length = out.len() - start - 1;
    if length < 128 {
        out[start] = length as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(10);
    varint(length as u64, &mut prefix);
    out.splice(start..=start, prefix);
}
