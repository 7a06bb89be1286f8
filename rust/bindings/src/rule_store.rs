//! `SampleStore`: series in memory and `PromQL` over them, for tests of rules.

use crate::thread_exit::protect;
use ferrometer_promql::memory::Memory;
use ferrometer_promql::{instant, Label, Labels, Limits, STALE};
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Series with their samples, in ascending order of time.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct SampleStore {
    memory: Mutex<Memory>,
}

#[pymethods]
impl SampleStore {
    #[new]
    fn new() -> Self {
        SampleStore { memory: Mutex::new(Memory::new()) }
    }

    /// Appends a sample; None ends the series at this time.
    #[pyo3(signature = (labels, time_ms, value))]
    fn push(&self, labels: Vec<(String, String)>, time_ms: i64, value: Option<f64>) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.push(&labels_of(labels), time_ms, value.unwrap_or(STALE));
    }

    /// The answer of Prometheus's API to an expression at one time, and whether there is one.
    fn instant(&self, py: Python<'_>, query: &str, time_ms: i64) -> (bool, String) {
        protect();
        py.detach(|| {
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            match instant(&*memory, query, time_ms, &Limits::default()) {
                Ok(answer) => (true, answer.to_json()),
                Err(error) => (false, error.to_json()),
            }
        })
    }
}

/// None where `PromQL` can read the expression, else why not.
#[pyfunction]
pub fn check_expression(query: &str) -> Option<String> {
    ferrometer_promql::parse::parse(query).err().map(|error| error.message)
}

fn labels_of(mut pairs: Vec<(String, String)>) -> Labels {
    let at = pairs.iter().position(|(name, _)| name == "__name__");
    let name = at.map(|at| pairs.swap_remove(at).1.into());
    pairs.retain(|(_, value)| !value.is_empty());
    pairs.sort();
    pairs.dedup_by(|one, other| one.0 == other.0);
    let labels: Vec<Label> =
        pairs.into_iter().map(|(name, value)| Label { name: name.into(), value: value.into() }).collect();
    Labels::from_sorted(name, labels.into())
}
