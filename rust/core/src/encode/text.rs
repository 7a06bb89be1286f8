//! The Prometheus text format 0.0.4, byte for byte as `prometheus_client` writes it.

use super::number::{write_count, write_float, write_value};
use crate::family::{Family, Kind};
use crate::histogram::Buckets;
use crate::labels::escape;
use crate::registry::{Computed, Entry, Registry};
use crate::series::SeriesRef;

/// Appends the exposition of a registry without the families for which `leave_out` is true, and what
/// the registry has to say about itself.
pub fn encode(registry: &Registry, leave_out: &dyn Fn(&Family) -> bool, out: &mut Vec<u8>) {
    let mut text = Text { out, created: Vec::new(), head: Vec::new(), buckets: Buckets::default() };
    let mut computed = Vec::new();
    for entry in registry.entries() {
        match entry {
            Entry::Family(family) => {
                if !leave_out(&family) {
                    text.family(&family);
                }
            }
            Entry::Source(source) => {
                source.collect(&mut computed);
                computed.drain(..).for_each(|family| text.computed(&family));
            }
        }
    }
    registry.faults().iter().for_each(|family| text.computed(family));
}

struct Text<'a> {
    out: &'a mut Vec<u8>,
    /// `_created` lines follow the family under a heading of their own.
    created: Vec<u8>,
    /// What every bucket line of a series starts with.
    head: Vec<u8>,
    buckets: Buckets,
}

/// How the format calls a type, and what it appends to the name in HELP, TYPE and the samples.
fn type_and_suffix(kind: &str) -> (&str, &'static str) {
    match kind {
        "counter" => ("counter", "_total"),
        "info" => ("gauge", "_info"),
        "stateset" => ("gauge", ""),
        "gaugehistogram" => ("histogram", ""),
        "unknown" => ("untyped", ""),
        other => (other, ""),
    }
}

impl Text<'_> {
    fn heading(&mut self, name: &str, suffix: &str, help: &str, kind: &str) {
        for (word, text) in [("HELP", None), ("TYPE", Some(kind))] {
            for part in ["# ", word, " ", name, suffix, " "] {
                self.out.extend_from_slice(part.as_bytes());
            }
            match text {
                Some(kind) => self.out.extend_from_slice(kind.as_bytes()),
                None => escape_help(help, self.out),
            }
            self.out.push(b'\n');
        }
    }

    fn family(&mut self, family: &Family) {
        let definition = family.definition();
        let (kind, suffix) = type_and_suffix(definition.kind.name());
        self.heading(&definition.name, suffix, &definition.help, kind);
        let name = format!("{}{suffix}", definition.name);
        match &definition.kind {
            Kind::Counter => family.for_each(|series| {
                let (whole, fraction) = series.counter().parts();
                self.start(&name, "", series.text());
                if fraction == 0.0 {
                    write_count(whole, self.out);
                } else {
                    write_float(whole as f64 + fraction, self.out);
                }
                self.out.push(b'\n');
                self.created_line(&definition.name, series);
            }),
            Kind::Gauge => family.for_each(|series| {
                self.start(&name, "", series.text());
                write_float(series.gauge().get(), self.out);
                self.out.push(b'\n');
            }),
            Kind::Histogram(layout) => {
                let bounds: Vec<Vec<u8>> = layout.bounds().iter().map(|&bound| quoted("le", bound)).collect();
                family.for_each(|series| self.histogram(family, series, &bounds));
            }
            Kind::Summary(_, quantiles) => family.for_each(|series| self.summary(family, series, quantiles)),
            Kind::Info => family.for_each(|series| {
                let own = series.info().unwrap_or_default();
                self.start_with(&name, series.text(), own.as_bytes(), b"");
                self.out.extend_from_slice(b"1.0\n");
            }),
            Kind::StateSet(states) => family.for_each(|series| {
                let current = series.gauge().get();
                let (before, after) = family.labels().split(series.text(), &definition.name);
                for (index, state) in states.iter().enumerate() {
                    let mut label = format!("{}=\"", definition.name).into_bytes();
                    escape(state, &mut label);
                    label.push(b'"');
                    self.start_with(&name, before, &label, after);
                    let is_current = (current - index as f64).abs() < 0.5;
                    self.out.extend_from_slice(if is_current { b"1.0\n" } else { b"0.0\n" });
                }
            }),
        }
        if !self.created.is_empty() {
            self.heading(&definition.name, "_created", &definition.help, "gauge");
            self.out.append(&mut self.created);
        }
    }

    fn histogram(&mut self, family: &Family, series: &SeriesRef, bounds: &[Vec<u8>]) {
        let definition = family.definition();
        series.histogram().read_buckets(&mut self.buckets);
        let (before, after) = family.labels().split(series.text(), "le");
        self.head.clear();
        self.head.extend_from_slice(definition.name.as_bytes());
        self.head.extend_from_slice(b"_bucket{");
        self.head.extend_from_slice(before);
        if !before.is_empty() {
            self.head.push(b',');
        }
        let end = self.head.len();
        if !after.is_empty() {
            self.head.push(b',');
            self.head.extend_from_slice(after);
        }
        self.head.extend_from_slice(b"} ");
        let (head, tail) = self.head.split_at(end);
        let mut cumulative = 0;
        for (bound, count) in bounds.iter().zip(&self.buckets.counts) {
            cumulative += count;
            self.out.extend_from_slice(head);
            self.out.extend_from_slice(bound);
            self.out.extend_from_slice(tail);
            write_count(cumulative, self.out);
            self.out.push(b'\n');
        }
        // As the peer: with negative bounds the sum is no counter, and neither is exposed.
        let monotone = matches!(&definition.kind, Kind::Histogram(layout) if layout.bounds()[0] >= 0.0);
        if monotone {
            self.count_and_sum(&definition.name, series.text(), cumulative, self.buckets.sum);
        }
        self.created_line(&definition.name, series);
    }

    fn summary(&mut self, family: &Family, series: &SeriesRef, quantiles: &[f64]) {
        let definition = family.definition();
        let (count, sum) = if quantiles.is_empty() {
            series.histogram().read_buckets(&mut self.buckets);
            (self.buckets.counts.iter().sum(), self.buckets.sum)
        } else {
            let snapshot = series.histogram().snapshot();
            let (before, after) = family.labels().split(series.text(), "quantile");
            for &quantile in quantiles {
                self.start_with(&definition.name, before, &quoted("quantile", quantile), after);
                write_float(snapshot.quantile(quantile), self.out);
                self.out.push(b'\n');
            }
            (snapshot.count(), snapshot.buckets.sum)
        };
        self.count_and_sum(&definition.name, series.text(), count, sum);
        self.created_line(&definition.name, series);
    }

    fn count_and_sum(&mut self, name: &str, labels: &[u8], count: u64, sum: f64) {
        self.start(name, "_count", labels);
        write_count(count, self.out);
        self.out.push(b'\n');
        self.start(name, "_sum", labels);
        write_float(sum, self.out);
        self.out.push(b'\n');
    }

    fn created_line(&mut self, name: &str, series: &SeriesRef) {
        start(name, "_created", series.text(), &mut self.created);
        write_float(series.created(), &mut self.created);
        self.created.push(b'\n');
    }

    fn start(&mut self, name: &str, suffix: &str, labels: &[u8]) {
        start(name, suffix, labels, self.out);
    }

    /// A line's name and labels, of which one is put in between the others.
    fn start_with(&mut self, name: &str, before: &[u8], own: &[u8], after: &[u8]) {
        self.out.extend_from_slice(name.as_bytes());
        let mut separator = b'{';
        for part in [before, own, after] {
            if !part.is_empty() {
                self.out.push(separator);
                self.out.extend_from_slice(part);
                separator = b',';
            }
        }
        self.out.extend_from_slice(if separator == b',' { b"} " } else { b" " });
    }

    fn computed(&mut self, family: &Computed) {
        let (kind, suffix) = type_and_suffix(&family.kind);
        self.heading(&family.name, suffix, &family.help, kind);
        for sample in &family.samples {
            start(&family.name, &sample.suffix, sample.labels.as_bytes(), self.out);
            write_value(sample.value, self.out);
            self.out.push(b'\n');
        }
    }
}

fn start(name: &str, suffix: &str, labels: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    if labels.is_empty() {
        out.push(b' ');
    } else {
        out.push(b'{');
        out.extend_from_slice(labels);
        out.extend_from_slice(b"} ");
    }
}

fn quoted(label: &str, number: f64) -> Vec<u8> {
    let mut text = format!("{label}=\"").into_bytes();
    write_float(number, &mut text);
    text.push(b'"');
    text
}

fn escape_help(help: &str, out: &mut Vec<u8>) {
    for byte in help.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
}
