//! The Prometheus text format 0.0.4 and `OpenMetrics` 1.0, byte for byte as `prometheus_client` writes them.

use super::exports_created;
use super::number::{write_count, write_float, write_value};
use crate::exemplar::Exemplar;
use crate::family::{Family, Kind};
use crate::histogram::Buckets;
use crate::labels::{escape, pairs, Labels};
use crate::reading::{Reading, Series};
use crate::registry::{Computed, Registry, Visited};
use crate::scrape::Scrape;

/// Which of the two text formats.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`: units, `_created` beside its series, exemplars, and
    /// an end mark, which [`encode`] leaves to the caller, who may have more to append.
    OpenMetrics,
}

/// The last line of an `OpenMetrics` exposition.
pub const END: &[u8] = b"# EOF\n";

/// Appends the exposition of a registry without the families for which `leave_out` is true, and what
/// the registry has to say about itself.
pub fn encode(registry: &Registry, format: Format, leave_out: &dyn Fn(&Family) -> bool, out: &mut Vec<u8>) {
    encode_each(format, |each| registry.visit(&Scrape::begin(), leave_out, each), out);
}

/// Appends the exposition of everything that `visit` comes by.
pub fn encode_each(format: Format, visit: impl FnOnce(&mut dyn FnMut(Visited)), out: &mut Vec<u8>) {
    let mut text = Text {
        open: format == Format::OpenMetrics,
        out,
        created: Vec::new(),
        head: Vec::new(),
        buckets: Buckets::default(),
    };
    visit(&mut |visited| match visited {
        Visited::Family(family) => text.family(family),
        Visited::Computed(family) => text.computed(family),
    });
}

struct Text<'a> {
    /// Whether it is `OpenMetrics`.
    open: bool,
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
    /// HELP, TYPE and, in `OpenMetrics`, UNIT of a family.
    fn family_heading(&mut self, name: &str, help: &str, kind: &str, unit: &str) {
        if !self.open {
            let (kind, suffix) = type_and_suffix(kind);
            return self.heading(name, suffix, help, kind);
        }
        self.heading(name, "", help, kind);
        if !unit.is_empty() {
            self.out.extend_from_slice(format!("# UNIT {name} {unit}\n").as_bytes());
        }
    }

    fn heading(&mut self, name: &str, suffix: &str, help: &str, kind: &str) {
        for (word, text) in [("HELP", None), ("TYPE", Some(kind))] {
            for part in ["# ", word, " ", name, suffix, " "] {
                self.out.extend_from_slice(part.as_bytes());
            }
            match text {
                Some(kind) => self.out.extend_from_slice(kind.as_bytes()),
                None if self.open => escape(help, self.out),
                None => escape_help(help, self.out),
            }
            self.out.push(b'\n');
        }
    }

    fn family(&mut self, family: &dyn Reading) {
        let definition = family.definition();
        let (_, suffix) = type_and_suffix(definition.kind.name());
        self.family_heading(&definition.name, &definition.help, definition.kind.name(), &definition.unit);
        let name = format!("{}{suffix}", definition.name);
        match &definition.kind {
            Kind::Counter => family.for_each(&mut |series| {
                let (whole, fraction) = series.counter();
                self.start(&name, "", series.text());
                if fraction == 0.0 {
                    write_count(whole, self.out);
                } else {
                    write_float(whole as f64 + fraction, self.out);
                }
                if self.open {
                    write_exemplar(series.exemplars().first(), self.out);
                }
                self.out.push(b'\n');
                self.created_line(&definition.name, series);
            }),
            Kind::Gauge(_) => family.for_each(&mut |series| {
                self.start(&name, "", series.text());
                write_float(series.gauge(), self.out);
                self.out.push(b'\n');
            }),
            Kind::Histogram(layout) => {
                let bounds: Vec<Vec<u8>> = layout.bounds().iter().map(|&bound| quoted("le", bound)).collect();
                family.for_each(&mut |series| self.histogram(family, series, &bounds));
            }
            Kind::Summary(_, quantiles) => family.for_each(&mut |series| self.summary(family, series, quantiles)),
            Kind::Info => family.for_each(&mut |series| {
                let own = series.info().unwrap_or_default();
                let all: Vec<_> = pairs(series.text()).into_iter().chain(pairs(own.as_bytes())).collect();
                let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
                let values: Vec<&str> = all.iter().map(|(_, value)| value.as_str()).collect();
                let mut text = Vec::new();
                Labels::new(&names).render(&values, &mut text);
                self.start(&name, "", &text);
                self.out.extend_from_slice(b"1.0\n");
            }),
            Kind::StateSet(states) => family.for_each(&mut |series| {
                let current = series.gauge();
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

    fn histogram(&mut self, family: &dyn Reading, series: &dyn Series, bounds: &[Vec<u8>]) {
        let definition = family.definition();
        series.buckets(&mut self.buckets);
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
        let exemplars = if self.open { series.exemplars() } else { Vec::new() };
        let mut cumulative = 0;
        for (index, (bound, count)) in bounds.iter().zip(&self.buckets.counts).enumerate() {
            cumulative += count;
            self.out.extend_from_slice(head);
            self.out.extend_from_slice(bound);
            self.out.extend_from_slice(tail);
            write_count(cumulative, self.out);
            write_exemplar(exemplars.get(index), self.out);
            self.out.push(b'\n');
        }
        // As the peer: with negative bounds the sum is no counter, and is not exposed.
        let monotone = matches!(&definition.kind, Kind::Histogram(layout) if layout.bounds()[0] >= 0.0);
        self.count_and_sum(&definition.name, series.text(), cumulative, monotone.then_some(self.buckets.sum));
        self.created_line(&definition.name, series);
    }

    fn summary(&mut self, family: &dyn Reading, series: &dyn Series, quantiles: &[f64]) {
        let definition = family.definition();
        let (count, sum) = if quantiles.is_empty() {
            series.buckets(&mut self.buckets);
            (self.buckets.counts.iter().sum(), self.buckets.sum)
        } else {
            let snapshot = series.snapshot();
            let (before, after) = family.labels().split(series.text(), "quantile");
            for &quantile in quantiles {
                self.start_with(&definition.name, before, &quoted("quantile", quantile), after);
                write_float(snapshot.quantile(quantile), self.out);
                self.out.push(b'\n');
            }
            (snapshot.count(), snapshot.buckets.sum)
        };
        self.count_and_sum(&definition.name, series.text(), count, Some(sum));
        self.created_line(&definition.name, series);
    }

    fn count_and_sum(&mut self, name: &str, labels: &[u8], count: u64, sum: Option<f64>) {
        self.start(name, "_count", labels);
        write_count(count, self.out);
        self.out.push(b'\n');
        if let Some(sum) = sum {
            self.start(name, "_sum", labels);
            write_float(sum, self.out);
            self.out.push(b'\n');
        }
    }

    fn created_line(&mut self, name: &str, series: &dyn Series) {
        if !exports_created() {
            return;
        }
        let out = if self.open { &mut *self.out } else { &mut self.created };
        start(name, "_created", series.text(), out);
        write_float(series.created(), out);
        out.push(b'\n');
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
        self.family_heading(&family.name, &family.help, &family.kind, "");
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

/// Appends what follows a value that has an exemplar.
fn write_exemplar(exemplar: Option<&Option<Exemplar>>, out: &mut Vec<u8>) {
    if let Some(Some(exemplar)) = exemplar {
        out.extend_from_slice(b" # {");
        out.extend_from_slice(exemplar.labels.as_bytes());
        out.extend_from_slice(b"} ");
        write_float(exemplar.value, out);
        // A timestamp is a plain decimal, not a Go float.
        out.extend_from_slice(format!(" {:?}", exemplar.timestamp).as_bytes());
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
