//! Prometheus remote write 1.0: `prometheus.WriteRequest` messages, made from the text format.
//!
//! From the text, because that is what the samples of every kind of family, those of collectors written
//! in Python too, have in common: names, labels, values, times. It is our own text or that of
//! `prometheus_client`, so a line that makes no sense is left out without ceremony.

use super::wire::{bytes, double, nested, number};
use crate::labels::pairs;

/// `WriteRequest`'s repeated `timeseries`.
const SERIES: u64 = 1;

/// Label names and values.
pub(super) type Labels = Vec<(String, String)>;

/// Calls `send` with one uncompressed message for at most `limit` samples at a time, and their number.
///
/// `timestamp` (milliseconds since 1970) is that of samples that have none of their own. `labels` are
/// added where a sample has none of that name.
pub fn encode(text: &[u8], timestamp: i64, labels: &[(String, String)], limit: usize, send: impl FnMut(&[u8], usize)) {
    let mut batches = Batches::new(limit, send);
    for line in text.split(|&byte| byte == b'\n') {
        let Some(sample) = Sample::parse(line) else { continue };
        batches.add(|out| sample.encode(timestamp, labels, out));
    }
    batches.finish();
}

/// Messages of no more than so many series.
pub(super) struct Batches<S> {
    out: Vec<u8>,
    held: usize,
    limit: usize,
    send: S,
}

impl<S: FnMut(&[u8], usize)> Batches<S> {
    pub(super) fn new(limit: usize, send: S) -> Self {
        Batches { out: Vec::new(), held: 0, limit, send }
    }

    /// Adds the series that `write` writes.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        nested(SERIES, &mut self.out, write);
        self.held += 1;
        if self.held == self.limit {
            self.finish();
        }
    }

    /// Sends what is held.
    pub(super) fn finish(&mut self) {
        if self.held > 0 {
            (self.send)(&self.out, self.held);
            self.out.clear();
            self.held = 0;
        }
    }
}

/// A `TimeSeries`: its labels in order, and what `write` puts behind them.
pub(super) fn series(
    name: &str,
    mut labels: Labels,
    further: &[(String, String)],
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    for label in further {
        if labels.iter().all(|(name, _)| *name != label.0) {
            labels.push(label.clone());
        }
    }
    // A label without a value is none, and a receiver may refuse it.
    labels.retain(|(_, value)| !value.is_empty());
    labels.push(("__name__".into(), name.into()));
    labels.sort_unstable();
    for (name, value) in &labels {
        nested(1, out, |out| {
            bytes(1, name.as_bytes(), out);
            bytes(2, value.as_bytes(), out);
        });
    }
    write(out);
}

struct Sample<'a> {
    name: &'a str,
    labels: Labels,
    value: f64,
    timestamp: Option<i64>,
}

impl<'a> Sample<'a> {
    /// `name{label="value",…} value timestamp`; nothing for comments and empty lines.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let end = line.iter().position(|&byte| byte == b'{' || byte == b' ')?;
        let name = std::str::from_utf8(&line[..end]).ok()?;
        if name.is_empty() || name.starts_with('#') {
            return None;
        }
        let (labels, rest) = if line[end] == b'{' {
            let close = line.iter().rposition(|&byte| byte == b'}')?;
            (pairs(&line[end + 1..close]), &line[close + 1..])
        } else {
            (Vec::new(), &line[end..])
        };
        let mut words = std::str::from_utf8(rest).ok()?.split_ascii_whitespace();
        // Rust reads what Go and Python write, in any case of the letters.
        let value = words.next()?.parse().ok()?;
        let timestamp = words.next().and_then(|word| word.parse().ok());
        Some(Sample { name, labels, value, timestamp })
    }

    fn encode(self, now: i64, further: &[(String, String)], out: &mut Vec<u8>) {
        let timestamp = self.timestamp.unwrap_or(now).cast_unsigned();
        series(self.name, self.labels, further, out, |out| {
            nested(2, out, |out| {
                double(1, self.value, out);
                number(2, timestamp, out);
            });
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn batches(text: &str, limit: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        encode(text.as_bytes(), 1, &[], limit, |_, samples| sizes.push(samples));
        sizes
    }

    #[test]
    fn lines_are_samples_and_comments_are_not() {
        let sample = Sample::parse(br#"a_total{x="1} 2",y="\"\n"} +Inf 123"#).expect("a sample");
        assert_eq!(sample.name, "a_total");
        assert_eq!(sample.labels, [("x".into(), "1} 2".into()), ("y".into(), "\"\n".into())]);
        assert_eq!((sample.value, sample.timestamp), (f64::INFINITY, Some(123)));
        for (text, value) in [("1e+06", 1e6), ("-Inf", f64::NEG_INFINITY), ("1.0", 1.0), ("0.5", 0.5)] {
            let line = format!("a {text}");
            assert_eq!(Sample::parse(line.as_bytes()).map(|sample| sample.value.to_bits()), Some(f64::to_bits(value)));
        }
        assert!(Sample::parse(b"a NaN").expect("a sample").value.is_nan());
        for line in ["", "# HELP a b", "a", "a{", "a{} x", "a{} ", " 5", "{} 5"] {
            assert!(Sample::parse(line.as_bytes()).is_none(), "{line}");
        }
    }

    #[test]
    fn batches_are_no_larger_than_the_limit() {
        let text = "a 1\n".repeat(7);
        assert_eq!(batches(&text, 3), [3, 3, 1]);
        assert_eq!(batches(&text, 7), [7]);
        assert_eq!(batches("# nothing\n", 7), [0usize; 0]);
    }
}
