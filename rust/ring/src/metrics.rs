//! What became of log records, as metric families.

use crate::head::{Level, Reason};
use crate::totals::Snapshot;
use ferrometer_core::computed::{Computed, Sample, Value};
use ferrometer_core::labels::Labels;

/// The names of the samples, behind the namespace.
pub const NAMES: [&str; 5] = [
    "log_lines_total",
    "log_dropped_total",
    "log_shipped_total",
    "log_queue_bytes",
    "log_last_success_timestamp_seconds",
];

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
    let lines = Level::ALL.map(|level| sample(&["level"], &[level.name()], Value::Int(snapshot.lines(level))));
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
    let family = |name: &str, help: &str, kind: &str, mut samples: Vec<Sample>| {
        let name = named(&snapshot.namespace, name.trim_end_matches("_total"));
        if kind == "counter" {
            for sample in &mut samples {
                sample.suffix = "_total".into();
            }
        }
        Computed { name, help: help.into(), kind: kind.into(), samples }
    };
    let families = [
        family(NAMES[0], "Log lines, whatever became of them", "counter", lines.into()),
        family(NAMES[1], "Log lines given up, by reason and by the sink that never saw them", "counter", dropped),
        family(NAMES[2], "Log lines that a sink took", "counter", shipped),
        family(NAMES[3], "Bytes of log lines that wait for a sink", "gauge", queued),
        family(NAMES[4], "When a sink took log lines last", "gauge", success),
    ];
    families.into_iter().filter(|family| !family.samples.is_empty()).collect()
}

fn sample(names: &[&str], values: &[&str], value: Value) -> Sample {
    let mut labels = Vec::new();
    Labels::new(names).render(values, &mut labels);
    Sample { suffix: String::new(), labels: String::from_utf8_lossy(&labels).into_owned(), value }
}
