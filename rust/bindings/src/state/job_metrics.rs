//! The metrics of jobs, read from the table that all workers share.

use super::tables::JOBS;
use crate::gil::detached;
use crate::metric::state::value_error;
use crate::registry::Registry;
use ferrometer_core::labels::Labels;
use ferrometer_core::registry::{Computed, Sample, Source, Value};
use ferrometer_core::scrape::Scrape;
use ferrometer_state::jobs::kind::{Outcome, Times, BOUNDS_MS, BUCKETS};
use ferrometer_state::jobs::table::Running;
use ferrometer_state::time::now_ns;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// The families of one namespace, and those that have none; of a directory or of this process's table.
struct Jobs {
    prefix: String,
    stuck_after: u64,
    directory: Option<PathBuf>,
}

/// The metrics of a directory's jobs, and after how many seconds one is stuck.
pub fn of_directory(prefix: &str, directory: &Path, stuck_after: f64) -> Arc<dyn Source> {
    let (prefix, stuck_after) = (prefix.to_owned(), nanoseconds(stuck_after));
    Arc::new(Jobs { prefix, stuck_after, directory: Some(directory.into()) })
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Name, type, help; without a namespace those that RS3 spells out, with one the rest.
const PLAIN: [(&str, &str, &str); 2] = [
    ("jobs_processed", "counter", "Jobs that ended, by how"),
    ("job_processing_duration_seconds", "histogram", "How long jobs ran that ended"),
];
const OWN: [(&str, &str, &str); 12] = [
    ("job_submitted", "counter", "Jobs that were put into a queue"),
    ("job_started", "counter", "Starts of jobs"),
    ("job_completed", "counter", "Jobs that completed"),
    ("job_failed", "counter", "Jobs that failed"),
    ("job_retried", "counter", "Runs of jobs that ended and will be repeated"),
    ("job_cancelled", "counter", "Jobs that were cancelled"),
    ("job_lost", "counter", "Jobs whose process died"),
    ("job_duration_seconds", "histogram", "How long a job ran, by how it ended"),
    ("job_wait_seconds", "histogram", "How long a job was queued before it started"),
    ("job_in_flight", "gauge", "Jobs that are running, in all workers"),
    ("job_stuck", "gauge", "Jobs that have been running for too long"),
    ("job_oldest_seconds", "gauge", "How long the oldest running job has been running"),
];

fn family((name, kind, help): (&str, &str, &str), prefix: &str) -> Computed {
    Computed { name: format!("{prefix}{name}"), help: help.into(), kind: kind.into(), samples: Vec::new() }
}

fn render(names: &[&str], values: &[&str]) -> String {
    let mut text = Vec::new();
    Labels::new(names).render(values, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn add(to: &mut Computed, suffix: &str, labels: String, value: Value) {
    to.samples.push(Sample { suffix: suffix.into(), labels, value });
}

/// Counts by bucket, and a sum in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Sum([u64; BUCKETS], u64);

impl Sum {
    fn of(times: Times<'_>) -> Self {
        Sum(times.buckets(), times.sum())
    }

    fn count(self) -> u64 {
        self.0.iter().sum()
    }

    fn add(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, its)| *mine += its);
        self.1 = self.1.wrapping_add(other.1);
    }

    fn print(self, to: &mut Computed, names: &[&str], values: &[&str]) {
        let mut all = 0;
        for (bucket, count) in self.0.into_iter().enumerate() {
            all += count;
            let bound = BOUNDS_MS.get(bucket).map_or("+Inf".into(), |&bound| format!("{:?}", bound as f64 / 1000.0));
            let labels = render(&[names, &["le"]].concat(), &[values, &[bound.as_str()]].concat());
            add(to, "_bucket", labels, Value::Int(all));
        }
        add(to, "_sum", render(names, values), Value::Float(seconds(self.1)));
        add(to, "_count", render(names, values), Value::Int(all));
    }
}

impl Source for Jobs {
    fn collect(&self, _: &Scrape, out: &mut Vec<Computed>) {
        let Ok(Some(table)) = JOBS.of(self.directory.as_deref()) else { return };
        let running = table.look(self.stuck_after, now_ns());
        let mut own = OWN.map(|row| family(row, &self.prefix));
        let mut plain = PLAIN.map(|row| family(row, ""));
        let (mut all, mut ended) = (Sum::default(), [0; 5]);
        for (number, kind) in table.kinds() {
            let Some(name) = kind.name() else { continue };
            let labels = render(&["job_type"], &[&name]);
            let mut count = |place: usize, value: u64| {
                let suffix = if OWN[place].1 == "counter" { "_total" } else { "" };
                add(&mut own[place], suffix, labels.clone(), Value::Int(value));
            };
            count(0, kind.submitted().load(Relaxed));
            count(1, kind.started().load(Relaxed));
            let lost = kind.lost().load(Relaxed);
            count(6, lost);
            ended[4] += lost;
            let now = running.get(&number).copied().unwrap_or_default();
            count(9, now.jobs);
            count(10, now.stuck);
            let durations = Outcome::ALL.map(|outcome| kind.duration(outcome).map(Sum::of).unwrap_or_default());
            for (place, sum) in durations.into_iter().enumerate() {
                count(2 + place, sum.count());
                ended[place] += sum.count();
            }
            if now.jobs > 0 {
                add(&mut own[11], "", labels, Value::Float(seconds(now.oldest)));
            }
            for (outcome, sum) in Outcome::ALL.into_iter().zip(durations) {
                if sum.count() > 0 {
                    sum.print(&mut own[7], &["job_type", "status"], &[&name, outcome.name()]);
                    all.add(sum);
                }
            }
            let wait = Sum::of(kind.wait());
            if wait.count() > 0 {
                wait.print(&mut own[8], &["job_type"], &[&name]);
            }
        }
        if own[0].samples.is_empty() {
            return;
        }
        for (outcome, count) in Outcome::ALL.into_iter().chain([Outcome::Lost]).zip(ended) {
            add(&mut plain[0], "_total", render(&["status"], &[outcome.name()]), Value::Int(count));
        }
        all.print(&mut plain[1], &[], &[]);
        out.extend(plain.into_iter().chain(own).filter(|family| !family.samples.is_empty()));
        let rows = [("entries", table.without_room()), ("types", table.kinds_without_room())];
        let rows = rows.map(|(what, count)| (what.to_owned(), count.load(Relaxed)));
        out.extend(Computed::about("counter", [WITHOUT_ROOM.0, WITHOUT_ROOM.1, "what"], rows));
    }

    fn names(&self) -> Vec<String> {
        let named = |(name, kind, _): (&str, &str, &str), prefix: &str| {
            format!("{prefix}{name}{}", if kind == "counter" { "_total" } else { "" })
        };
        let own = OWN.into_iter().map(|row| named(row, &self.prefix));
        own.chain(PLAIN.into_iter().map(|row| named(row, ""))).chain([format!("{}_total", WITHOUT_ROOM.0)]).collect()
    }
}

const WITHOUT_ROOM: (&str, &str) =
    ("ferrometer_jobs_without_room", "Running jobs, or types of jobs, for which the table of all workers has no room");

/// Shows the jobs of all workers in a registry.
#[pyfunction]
pub fn register_job_metrics(registry: &Bound<'_, Registry>, namespace: &str, stuck_after: f64) -> PyResult<()> {
    let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}_") };
    let core = &registry.get().core;
    let source = Jobs { prefix, stuck_after: nanoseconds(stuck_after), directory: None };
    core.register_source(Arc::new(source), "the metrics of jobs").map_err(value_error)
}

/// Type, running, stuck, seconds of the oldest, lost since the beginning.
type Row = (String, u64, u64, f64, u64);

/// What is running in all workers, by type; jobs of dead processes become lost.
#[pyfunction]
pub fn running_jobs(py: Python<'_>, stuck_after: f64) -> Vec<Row> {
    detached(py, || {
        let Some(table) = JOBS.attach() else { return Vec::new() };
        let running: HashMap<usize, Running> = table.look(nanoseconds(stuck_after), now_ns());
        let row = |(number, kind): (usize, ferrometer_state::jobs::kind::Kind<'_>)| {
            let now = running.get(&number).copied().unwrap_or_default();
            Some((kind.name()?, now.jobs, now.stuck, seconds(now.oldest), kind.lost().load(Relaxed)))
        };
        table.kinds().filter_map(row).collect()
    })
}
