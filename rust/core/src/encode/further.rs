//! Families that were computed for one scrape, by native sources or by collectors written in Python, as protobuf.

use super::wire::{bytes, delimited, double, gauge, kind, metric, nested, number};
use crate::labels::pairs;
use crate::registry::{Computed, Value};
use std::collections::HashMap;

/// A family that was computed for this scrape.
pub struct Further {
    /// The name without its type's suffix.
    pub name: String,
    /// One line of documentation.
    pub help: String,
    /// As in [`Computed`].
    pub kind: String,
    /// The base unit, or nothing.
    pub unit: String,
    /// What stands on a line of its own in the text formats.
    pub lines: Vec<Line>,
}

/// Label names and values.
pub type Pairs = Vec<(String, String)>;

/// One sample of a [`Further`].
pub struct Line {
    /// What follows the family's name.
    pub suffix: String,
    /// Names and values.
    pub labels: Pairs,
    /// The value.
    pub value: Value,
    /// When it was so, in milliseconds since 1970; nothing for now.
    pub timestamp: Option<i64>,
}

impl From<Computed> for Further {
    fn from(family: Computed) -> Self {
        let lines = family.samples.into_iter().map(|sample| Line {
            labels: pairs(sample.labels.as_bytes()),
            suffix: sample.suffix,
            value: sample.value,
            timestamp: None,
        });
        Further { name: family.name, help: family.help, kind: family.kind, unit: String::new(), lines: lines.collect() }
    }
}

/// Appends a family that was computed for this scrape. Lines that are one metric here (a histogram's
/// buckets, count and sum) are put together again by their labels.
pub fn encode_further(family: &Further, out: &mut Vec<u8>) {
    delimited(out, |out| further(family, out));
}

fn further(family: &Further, out: &mut Vec<u8>) {
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
    match kind {
        kind::SUMMARY => grouped(family, "quantile", 4, out),
        kind::HISTOGRAM | kind::GAUGE_HISTOGRAM => grouped(family, "le", 7, out),
        _ => {
            for line in family.lines.iter().filter(|line| line.suffix == suffix) {
                further_metric(&line.labels, line.timestamp, out, |out| match kind {
                    kind::COUNTER => nested(3, out, |out| double(1, as_double(line.value), out)),
                    kind::GAUGE => gauge(as_double(line.value), out),
                    _ => nested(5, out, |out| double(1, as_double(line.value), out)),
                });
            }
        }
    }
    if !family.unit.is_empty() {
        bytes(5, family.unit.as_bytes(), out);
    }
}

/// A line and what its `le` or `quantile` says.
type Bounded<'a> = (&'a Line, Option<f64>);

/// The metrics of a histogram or summary, of whose lines one label tells the bound.
fn grouped(family: &Further, own: &str, field: u64, out: &mut Vec<u8>) {
    let mut places = HashMap::new();
    let mut metrics: Vec<(Pairs, Vec<Bounded>)> = Vec::new();
    for line in &family.lines {
        let mut labels = line.labels.clone();
        let bound = labels.iter().position(|(name, _)| name == own).map(|place| labels.remove(place).1);
        let bound = bound.and_then(|bound| bound.replace("Inf", "inf").parse().ok());
        let place = *places.entry(labels.clone()).or_insert(metrics.len());
        if place == metrics.len() {
            metrics.push((labels, Vec::new()));
        }
        metrics[place].1.push((line, bound));
    }
    for (labels, lines) in metrics {
        let timestamp = lines.iter().find_map(|(line, _)| line.timestamp);
        further_metric(&labels, timestamp, out, |out| {
            nested(field, out, |out| lines.iter().for_each(|(line, bound)| grouped_line(line, *bound, out)));
        });
    }
}

/// The fields of `Histogram` and `Summary` have the same numbers, but for a quantile's and a bucket's.
fn grouped_line(line: &Line, bound: Option<f64>, out: &mut Vec<u8>) {
    match (line.suffix.as_str(), bound) {
        ("_count" | "_gcount", _) => number(1, as_count(line.value), out),
        ("_sum" | "_gsum", _) => double(2, as_double(line.value), out),
        ("_bucket", Some(bound)) => nested(3, out, |out| {
            number(1, as_count(line.value), out);
            double(2, bound, out);
        }),
        ("", Some(quantile)) => nested(3, out, |out| {
            double(1, quantile, out);
            double(2, as_double(line.value), out);
        }),
        _ => {}
    }
}

fn further_metric(
    labels: &[(String, String)],
    timestamp: Option<i64>,
    out: &mut Vec<u8>,
    value: impl FnOnce(&mut Vec<u8>),
) {
    let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    metric(out, &labels, |out| {
        value(out);
        if let Some(timestamp) = timestamp {
            number(6, timestamp.cast_unsigned(), out);
        }
    });
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
