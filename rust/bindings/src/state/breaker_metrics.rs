//! The metrics of circuit breakers, read from the table that all workers share.

use super::tables::BREAKERS;
use crate::metric::state::value_error;
use crate::registry::Registry;
use ferrometer_core::labels::Labels;
use ferrometer_core::registry::{Computed, Sample, Source, Value};
use ferrometer_core::scrape::Scrape;
use ferrometer_state::breaker::circuit::{force, reset, trials_under_way};
use ferrometer_state::breaker::table::Table;
use ferrometer_state::breaker::word::State;
use ferrometer_state::time::now_ms;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// The families of one namespace, of a directory or of this process's table; without one, that which has none.
struct Breakers {
    prefix: Option<String>,
    directory: Option<PathBuf>,
}

/// The metrics of a directory's breakers: those with the prefix, or that which has none.
pub fn of_directory(prefix: Option<&str>, directory: &Path) -> Arc<dyn Source> {
    Arc::new(Breakers { prefix: prefix.map(str::to_owned), directory: Some(directory.into()) })
}

/// Name without namespace, type, help.
const FAMILIES: [(&str, &str, &str); 5] = [
    ("circuit_breaker_state", "gauge", "1 for the state that the breaker is in, in all workers"),
    ("circuit_breaker_changes", "counter", "Changes of a breaker to a state"),
    ("circuit_breaker_rejected", "counter", "Calls that a breaker did not let through"),
    ("circuit_breaker_trials", "gauge", "Trial calls of a half-open breaker that are under way"),
    ("circuit_breaker_kept_closed", "counter", "Failures that would have opened the last breaker of a group"),
];
const OVERFLOW: &str = "ferrometer_breakers_without_room";

pub fn labels(names: &[&str], values: &[&str]) -> String {
    let mut text = Vec::new();
    Labels::new(names).render(values, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn families(table: &Table, prefix: &str, out: &mut Vec<Computed>) {
    let mut families = FAMILIES.map(|(name, kind, help)| Computed {
        name: format!("{prefix}{name}"),
        help: help.into(),
        kind: kind.into(),
        samples: Vec::new(),
    });
    for slot in table.slots() {
        let Some(name) = slot.name() else { continue };
        let now = slot.state().state(); // one load: exactly one state is 1
        let mut add = |family: usize, labels: String, count: u64| {
            let suffix = if FAMILIES[family].1 == "counter" { "_total" } else { "" };
            let sample = Sample { suffix: suffix.into(), labels, value: Value::Int(count) };
            families[family].samples.push(sample);
        };
        for (state, changes) in State::ALL.into_iter().zip(slot.changes()) {
            let labels = labels(&["provider", "state"], &[&name, state.name()]);
            add(0, labels.clone(), u64::from(state == now));
            add(1, labels, changes.load(Relaxed));
        }
        let labels = labels(&["provider"], &[&name]);
        add(2, labels.clone(), slot.rejected().load(Relaxed));
        add(3, labels.clone(), trials_under_way(slot, now_ms()) as u64);
        add(4, labels, slot.kept_closed().load(Relaxed));
    }
    out.extend(families.into_iter().filter(|family| !family.samples.is_empty()));
}

impl Source for Breakers {
    fn collect(&self, _: &Scrape, out: &mut Vec<Computed>) {
        let Ok(Some(table)) = BREAKERS.of(self.directory.as_deref()) else { return };
        if let Some(prefix) = &self.prefix {
            return families(table, prefix, out);
        }
        let refused = table.without_room().load(Relaxed);
        let help = "Breakers beyond the table's room, whose state each worker has for itself";
        out.extend(Computed::about("counter", [OVERFLOW, help, "table"], [("breakers".into(), refused)]));
    }

    fn names(&self) -> Vec<String> {
        let Some(prefix) = &self.prefix else { return vec![format!("{OVERFLOW}_total")] };
        let named = |(name, kind, _): (&str, &str, &str)| {
            format!("{prefix}{name}{}", if kind == "counter" { "_total" } else { "" })
        };
        FAMILIES.into_iter().map(named).collect()
    }
}

/// What stands before the names of an application's own families.
pub fn prefix(namespace: &str) -> String {
    if namespace.is_empty() {
        String::new()
    } else {
        format!("{namespace}_")
    }
}

/// Shows the breakers of all workers in a registry: the families of a namespace, or that which has none.
#[pyfunction]
#[pyo3(signature = (registry, namespace))]
pub fn register_breaker_metrics(registry: &Bound<'_, Registry>, namespace: Option<&str>) -> PyResult<()> {
    let source = Breakers { prefix: namespace.map(prefix), directory: None };
    let core = &registry.get().core;
    core.register_source(Arc::new(source), "the metrics of circuit breakers").map_err(value_error)
}

/// Name, state, whether it is forced, refused calls and trials under way of one breaker.
pub type Row = (String, &'static str, bool, u64, usize);

/// The breakers of a directory, or of this process's table.
#[pyfunction]
#[pyo3(signature = (directory=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn list_breakers(directory: Option<PathBuf>) -> PyResult<Vec<Row>> {
    Ok(table_of(directory.as_deref())?.map(rows).unwrap_or_default())
}

/// All breakers of a table.
pub fn rows(table: &Table) -> Vec<Row> {
    let rows = table.slots().filter_map(|slot| {
        let (name, word) = (slot.name()?, slot.state());
        let rejected = slot.rejected().load(Relaxed);
        Some((name, word.state().name(), word.is_forced(), rejected, trials_under_way(slot, now_ms())))
    });
    rows.collect()
}

/// The table of a directory, which must be there, or of this process.
fn table_of(directory: Option<&Path>) -> PyResult<Option<&'static Table>> {
    match directory {
        Some(directory) if !directory.is_dir() => {
            Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no directory {}", directory.display()))
                .into())
        }
        _ => Ok(BREAKERS.of(directory)?),
    }
}

/// Does to a breaker of a directory, or of this process's table, what is said: open, close or reset.
#[pyfunction]
#[pyo3(signature = (name, action, directory=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn change_breaker(name: &str, action: &str, directory: Option<PathBuf>) -> PyResult<()> {
    match table_of(directory.as_deref())?.map_or(Err(Refused::Unknown), |table| change(table, name, action)) {
        Ok(()) => Ok(()),
        Err(Refused::Unknown) => Err(PyKeyError::new_err(format!("there is no breaker {name:?}"))),
        Err(Refused::Action) => {
            Err(PyValueError::new_err(format!("the actions are open, close and reset, not {action:?}")))
        }
    }
}

/// Why nothing was done to a breaker.
pub enum Refused {
    /// There is none of this name.
    Unknown,
    /// There is no such action.
    Action,
}

/// Does to a breaker what is said.
pub fn change(table: &Table, name: &str, action: &str) -> Result<(), Refused> {
    let slot = table.find(name).ok_or(Refused::Unknown)?;
    match action {
        "open" => force(slot, State::Open),
        "close" => force(slot, State::Closed),
        "reset" => reset(slot),
        _ => return Err(Refused::Action),
    };
    Ok(())
}
