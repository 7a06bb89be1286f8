//! What became of records, as metric families.

use crate::head::{Level, Reason};
use crate::kind::Kind;
use crate::totals::Snapshot;
use ferrometer_core::computed::{Computed, Sample, Value};
use ferrometer_core::labels::Labels;
use ferrometer_logs::redact::Rule;

/// How the families of a kind of records are called, behind the namespace, and what they tell.
struct Words {
    /// Records by what they are; given up; taken; bytes that wait; the latest success.
    names: [&'static str; 5],
    helps: [&'static str; 5],
}

/// Lines only: secrets taken out, by the rule that found them.
const REDACTIONS: &str = "log_redactions_total";

const LINES: Words = Words {
    names: [
        "log_lines_total",
        "log_dropped_total",
        "log_shipped_total",
        "log_queue_bytes",
        "log_last_success_timestamp_seconds",
    ],
    helps: [
        "Log lines, whatever became of them",
        "Log lines given up, by reason and by the sink that never saw them",
        "Log lines that a sink took",
        "Bytes of log lines that wait for a sink",
        "When a sink took log lines last",
    ],
};

const SPANS: Words = Words {
    names: [
        "spans_total",
        "spans_dropped_total",
        "spans_exported_total",
        "span_queue_bytes",
        "span_last_success_timestamp_seconds",
    ],
    helps: [
        "Recorded spans that have ended, whatever became of them",
        "Spans given up, by reason and by the receiver that never saw them",
        "Spans that a receiver took",
        "Bytes of spans that wait for a receiver",
        "When a receiver took spans last",
    ],
};

const METRICS: Words = Words {
    names: [
        "metric_batches_total",
        "metric_batches_dropped_total",
        "metric_batches_exported_total",
        "metric_queue_bytes",
        "metric_last_success_timestamp_seconds",
    ],
    helps: [
        "Batches of data points that were collected for export, whatever became of them",
        "Batches of data points given up, by reason and by the receiver that never saw them",
        "Batches of data points that a receiver took",
        "Bytes of data points that wait for a receiver",
        "When a receiver took data points last",
    ],
};

fn words(kind: Kind) -> &'static Words {
    match kind {
        Kind::Lines => &LINES,
        Kind::Spans => &SPANS,
        Kind::Metrics => &METRICS,
    }
}

/// The names of the samples of a kind of records, behind the namespace.
pub fn names(kind: Kind) -> Vec<&'static str> {
    let mut names = words(kind).names.to_vec();
    if kind == Kind::Lines {
        names.push(REDACTIONS);
    }
    names
}

/// A name behind a namespace.
pub fn named(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}_{name}")
    }
}

/// The families. A reason that never occurred is told all the same, as 0: its increase can be watched.
pub fn families(snapshot: &Snapshot) -> Vec<Computed> {
    let recorded: Vec<Sample> = match snapshot.kind {
        Kind::Lines => Level::ALL
            .iter()
            .map(|&level| sample(&["level"], &[level.name()], Value::Int(snapshot.lines(level))))
            .collect(),
        Kind::Metrics => vec![sample(&[], &[], Value::Int(snapshot.lines(Level::Info)))],
        // A span that says that it failed is an error, every other one is information.
        Kind::Spans => [("ok", Level::Info), ("error", Level::Error)]
            .iter()
            .map(|&(status, level)| sample(&["status"], &[status], Value::Int(snapshot.lines(level))))
            .collect(),
    };
    // Before the ring they are lost for all receivers; behind it for one.
    let mut dropped: Vec<Sample> = Reason::ALL
        .iter()
        .filter(|&&reason| reason != Reason::Closed)
        .map(|&reason| sample(&["reason", "sink"], &[reason.name(), "all"], Value::Int(snapshot.refused(reason))))
        .collect();
    let (mut shipped, mut queued, mut success) = (Vec::new(), Vec::new(), Vec::new());
    for receiver in &snapshot.receivers {
        let counts = &receiver.counts;
        let reasons = [
            ("rejected", counts.rejected),
            ("full", counts.full),
            ("damaged", counts.damaged),
            ("expired", counts.expired),
        ];
        let name = receiver.name.as_str();
        dropped.extend(reasons.map(|(reason, count)| sample(&["reason", "sink"], &[reason, name], Value::Int(count))));
        shipped.push(sample(&["sink"], &[name], Value::Int(counts.shipped)));
        queued.push(sample(&["sink"], &[name], Value::Int(receiver.queued_bytes)));
        if receiver.success > 0.0 {
            success.push(sample(&["sink"], &[name], Value::Float(receiver.success)));
        }
    }
    let words = words(snapshot.kind);
    let family = |name: &str, help: &str, kind: &str, mut samples: Vec<Sample>| {
        let name = named(&snapshot.namespace, name.trim_end_matches("_total"));
        if kind == "counter" {
            for sample in &mut samples {
                sample.suffix = "_total".into();
            }
        }
        Computed { name, help: help.into(), kind: kind.into(), samples }
    };
    let kinds = ["counter", "counter", "counter", "gauge", "gauge"];
    let told = [recorded, dropped, shipped, queued, success];
    let about = words.names.into_iter().zip(words.helps).zip(kinds);
    let mut families: Vec<Computed> =
        about.zip(told).map(|(((name, help), kind), samples)| family(name, help, kind, samples)).collect();
    if snapshot.kind == Kind::Lines {
        let count = |&rule: &Rule| sample(&["rule"], &[rule.name()], Value::Int(snapshot.redactions[rule as usize]));
        let help = "Secrets taken out of log lines, by the rule that found them";
        families.push(family(REDACTIONS, help, "counter", Rule::ALL.iter().map(count).collect()));
    }
    families.into_iter().filter(|family| !family.samples.is_empty()).collect()
}

fn sample(names: &[&str], values: &[&str], value: Value) -> Sample {
    let mut labels = Vec::new();
    Labels::new(names).render(values, &mut labels);
    Sample { suffix: String::new(), labels: String::from_utf8_lossy(&labels).into_owned(), value }
}
