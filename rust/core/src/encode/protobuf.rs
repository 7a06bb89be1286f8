//! The Prometheus protobuf format: length-delimited `io.prometheus.client.MetricFamily` messages, with
//! native histograms beside the classic buckets.
//!
//! Written by hand because a message is a dozen tags, and because the nested lengths can be computed
//! into one reused scratch buffer; the tests decode with a generated parser.

use super::further::{encode_further, Further};
use super::wire::{bytes, delimited, double, gauge, kind, label, metric, nested, number, signed, varint, zigzag};
use crate::exemplar::Exemplar;
use crate::family::{Family, Kind};
use crate::histogram::filled::Filled;
use crate::histogram::native::Native;
use crate::histogram::Layout;
use crate::labels::pairs;
use crate::reading::{Reading, Series};
use crate::registry::{names_of, Registry, Visited};
use crate::scrape::Scrape;
use std::collections::BTreeSet;

/// Buckets that a native histogram may have before its resolution is halved.
pub const NATIVE_BUCKETS: usize = 160;

/// Appends the exposition of a registry without the families for which `leave_out` is true and, where
/// `names` are given, of only those that have samples of one of these. Native histograms have at most
/// `native_buckets` buckets; with 0, all are classic only.
pub fn encode(
    registry: &Registry,
    leave_out: &dyn Fn(&Family) -> bool,
    names: Option<&BTreeSet<String>>,
    native_buckets: usize,
    out: &mut Vec<u8>,
) {
    encode_each(|each| registry.visit(&Scrape::begin(), leave_out, each), names, native_buckets, out);
}

/// Appends the exposition of everything that `visit` comes by; where `names` are given, likewise.
pub fn encode_each(
    visit: impl FnOnce(&mut dyn FnMut(Visited)),
    names: Option<&BTreeSet<String>>,
    native_buckets: usize,
    out: &mut Vec<u8>,
) {
    let wanted = |name: &str| names.is_none_or(|names| names.contains(name));
    visit(&mut |visited| match visited {
        Visited::Family(family) => {
            if names_of(family.definition()).iter().any(|name| wanted(name)) {
                delimited(out, |message| encode_family(family, native_buckets, message));
            }
        }
        Visited::Computed(family) => {
            if family.samples.iter().any(|sample| wanted(&format!("{}{}", family.name, sample.suffix))) {
                encode_further(&Further::from(family.clone()), out);
            }
        }
    });
}

fn encode_family(family: &dyn Reading, native_buckets: usize, out: &mut Vec<u8>) {
    let definition = family.definition();
    let (suffix, kind) = match &definition.kind {
        Kind::Counter => ("_total", kind::COUNTER),
        Kind::Gauge(_) | Kind::StateSet(_) => ("", kind::GAUGE),
        Kind::Histogram(_) => ("", kind::HISTOGRAM),
        Kind::Summary(..) => ("", kind::SUMMARY),
        Kind::Info => ("_info", kind::GAUGE),
    };
    bytes(1, format!("{}{suffix}", definition.name).as_bytes(), out);
    bytes(2, definition.help.as_bytes(), out);
    number(3, kind, out);
    let mut filled = Filled::default();
    family.for_each(&mut |series| encode_series(family, series, native_buckets, &mut filled, out));
    if !definition.unit.is_empty() {
        bytes(5, definition.unit.as_bytes(), out);
    }
}

fn encode_series(
    family: &dyn Reading,
    series: &dyn Series,
    native_buckets: usize,
    filled: &mut Filled,
    out: &mut Vec<u8>,
) {
    let definition = family.definition();
    let named = family.labels().named(series.text());
    let labels: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match &definition.kind {
        Kind::Counter => metric(out, &labels, |out| {
            nested(3, out, |out| {
                double(1, total(series.counter()), out);
                write_exemplar(2, series.exemplars().first(), out);
                timestamp(3, series.created(), out);
            });
        }),
        Kind::Gauge(_) => metric(out, &labels, |out| gauge(series.gauge(), out)),
        Kind::Histogram(layout) => {
            series.filled(filled);
            metric(out, &labels, |out| histogram(series, layout, filled, native_buckets, out));
        }
        Kind::Summary(_, quantiles) => metric(out, &labels, |out| {
            let snapshot = series.snapshot();
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
            let current = series.gauge();
            for (index, state) in states.iter().enumerate() {
                let mut labels = labels.clone();
                labels.push((&definition.name, state));
                let is_current = (current - index as f64).abs() < 0.5;
                metric(out, &labels, |out| gauge(f64::from(u8::from(is_current)), out));
            }
        }
    }
}

fn histogram(series: &dyn Series, layout: &Layout, filled: &Filled, native_buckets: usize, out: &mut Vec<u8>) {
    nested(7, out, |out| {
        number(1, filled.buckets.counts.iter().sum(), out);
        double(2, filled.buckets.sum, out);
        let exemplars = series.exemplars();
        let mut cumulative = 0;
        for (index, (&bound, count)) in layout.bounds().iter().zip(&filled.buckets.counts).enumerate() {
            cumulative += count;
            nested(3, out, |out| {
                number(1, cumulative, out);
                double(2, bound, out);
                write_exemplar(3, exemplars.get(index), out);
            });
        }
        if let Some(native) = (native_buckets > 0).then(|| Native::new(filled, native_buckets)).flatten() {
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

fn total((whole, fraction): (u64, f64)) -> f64 {
    whole as f64 + fraction
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

fn timestamp(field: u64, seconds: f64, out: &mut Vec<u8>) {
    let whole = seconds.floor();
    nested(field, out, |out| {
        number(1, (whole as i64).cast_unsigned(), out);
        number(2, (((seconds - whole) * 1e9) as i64).cast_unsigned(), out);
    });
}
