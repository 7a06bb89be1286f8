//! What remote write 1.0 takes beside samples: exemplars and native histograms, made from the protobuf
//! format, as the samples are made from the text.
//!
//! It is our own output, so what makes no sense is left out without ceremony.

use super::number::write_float;
use super::remote_write::{series, Batches, Labels};
use super::wire::{bytes, double, nested, number, Field, Fields};

/// Which of them a receiver is to have. Not every one takes native histograms.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// The latest event of each bucket and counter that has one.
    pub exemplars: bool,
    /// Histograms with their narrow buckets, beside the classic ones.
    pub native_histograms: bool,
}

/// As [`super::remote_write::encode`], of length-delimited `io.prometheus.client.MetricFamily` messages.
pub fn encode(
    families: &[u8],
    wanted: Wanted,
    timestamp: i64,
    labels: &[(String, String)],
    limit: usize,
    send: impl FnMut(&[u8], usize),
) {
    let mut writer = Writer { wanted, timestamp, further: labels, batches: Batches::new(limit, send) };
    let mut rest = Fields::new(families);
    while let Some(message) = rest.delimited() {
        writer.family(message);
    }
    writer.batches.finish();
}

struct Writer<'a, S> {
    wanted: Wanted,
    timestamp: i64,
    further: &'a [(String, String)],
    batches: Batches<S>,
}

impl<S: FnMut(&[u8], usize)> Writer<'_, S> {
    fn family(&mut self, family: &[u8]) {
        let name = Fields::new(family).find_map(|(field, value)| value.text().filter(|_| field == 1));
        let Some(name) = name else { return };
        for (field, value) in Fields::new(family) {
            if let (4, Field::Bytes(metric)) = (field, value) {
                self.metric(name, metric);
            }
        }
    }

    fn metric(&mut self, name: &str, metric: &[u8]) {
        let labels: Labels = Fields::new(metric)
            .filter_map(|(field, value)| match (field, value) {
                (1, Field::Bytes(pair)) => label(pair),
                _ => None,
            })
            .collect();
        for (field, value) in Fields::new(metric) {
            match (field, value) {
                (3, Field::Bytes(counter)) if self.wanted.exemplars => self.exemplar(name, &labels, counter, 2),
                (7, Field::Bytes(histogram)) => self.histogram(name, &labels, histogram),
                _ => {}
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &Labels, histogram: &[u8]) {
        if self.wanted.exemplars {
            let name = format!("{name}_bucket");
            for (field, value) in Fields::new(histogram) {
                let (3, Field::Bytes(bucket)) = (field, value) else { continue };
                let bound = Fields::new(bucket).find_map(|(field, value)| match (field, value) {
                    (2, Field::Double(bound)) => Some(bound),
                    _ => None,
                });
                let mut text = Vec::new();
                write_float(bound.unwrap_or(f64::INFINITY), &mut text);
                let mut labels = labels.clone();
                labels.push(("le".into(), String::from_utf8_lossy(&text).into_owned()));
                self.exemplar(&name, &labels, bucket, 3);
            }
        }
        // A schema is what makes it a native one.
        if self.wanted.native_histograms && Fields::new(histogram).any(|(field, _)| field == 5) {
            let timestamp = self.timestamp;
            self.add(name, labels.clone(), 4, |out| native(histogram, timestamp, out));
        }
    }

    /// The exemplar in a field of a counter or bucket, if there is one.
    fn exemplar(&mut self, name: &str, labels: &Labels, holder: &[u8], at: u64) {
        for (field, value) in Fields::new(holder) {
            match value {
                Field::Bytes(exemplar) if field == at => {
                    self.add(name, labels.clone(), 3, |out| write_exemplar(exemplar, out));
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, name: &str, labels: Labels, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let further = self.further;
        self.batches.add(|out| series(name, labels, further, out, |out| nested(field, out, write)));
    }
}

fn label(pair: &[u8]) -> Option<(String, String)> {
    let mut found = (None, None);
    for (field, value) in Fields::new(pair) {
        match field {
            1 => found.0 = value.text(),
            2 => found.1 = value.text(),
            _ => {}
        }
    }
    Some((found.0?.into(), found.1.unwrap_or_default().into()))
}

/// `io.prometheus.client.Exemplar` as `prometheus.Exemplar`: the time in milliseconds.
fn write_exemplar(exemplar: &[u8], out: &mut Vec<u8>) {
    for (field, value) in Fields::new(exemplar) {
        match (field, value) {
            (1, Field::Bytes(pair)) => bytes(1, pair, out),
            (2, Field::Double(value)) => double(2, value, out),
            (3, Field::Bytes(time)) => {
                let mut milliseconds = 0u64;
                for (field, value) in Fields::new(time) {
                    match (field, value) {
                        (1, Field::Number(seconds)) => milliseconds = seconds.wrapping_mul(1000),
                        (2, Field::Number(nanos)) => milliseconds = milliseconds.wrapping_add(nanos / 1_000_000),
                        _ => {}
                    }
                }
                number(3, milliseconds, out);
            }
            _ => {}
        }
    }
}

/// `io.prometheus.client.Histogram` as `prometheus.Histogram`: the same fields under other numbers.
fn native(histogram: &[u8], timestamp: i64, out: &mut Vec<u8>) {
    for (field, value) in Fields::new(histogram) {
        match (field, value) {
            (1, Field::Number(count)) => number(1, count, out),
            (2, Field::Double(sum)) => double(3, sum, out),
            (5, Field::Number(schema)) => number(4, schema, out),
            (6, Field::Double(threshold)) => double(5, threshold, out),
            (7, Field::Number(zero)) => number(6, zero, out),
            (12, Field::Bytes(span)) => bytes(11, span, out),
            (13, Field::Bytes(deltas)) => bytes(12, deltas, out),
            _ => {}
        }
    }
    number(15, timestamp.cast_unsigned(), out);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the bytes are.
        #[test]
        fn nothing_panics(families in proptest::collection::vec(any::<u8>(), 0..200), limit in 1usize..4) {
            let wanted = Wanted { exemplars: true, native_histograms: true };
            let mut most = 0;
            encode(&families, wanted, 1, &[("a".into(), "b".into())], limit, |_, count| most = most.max(count));
            prop_assert!(most <= limit);
        }
    }
}
