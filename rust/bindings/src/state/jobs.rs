//! `JobType` and `JobRun`: jobs of a type, and one of them that this process runs.

use super::tables::JOBS;
use crate::gil::GilCell;
use crate::thread_exit::protect;
use ferrometer_state::jobs::kind::{Outcome, MAX_NAME};
use ferrometer_state::jobs::table::{key_of, Run, Table};
use ferrometer_state::time::now_ns;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

/// A type of job. `ferrometer.jobs` has what is for use.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct JobType {
    name: String,
    /// Its number in the table that this process uses now.
    resolved: GilCell<Option<(&'static Table, usize)>>,
}

/// A job that is running.
#[pyclass(frozen, freelist = 64, module = "ferrometer._core")]
pub struct JobRun {
    run: GilCell<Option<(&'static Table, Run)>>,
}

/// Nanoseconds of seconds; what is no duration is none.
fn nanoseconds(seconds: f64) -> Option<u64> {
    (0.0..1e9).contains(&seconds).then_some((seconds * 1e9) as u64)
}

fn outcome(status: &str) -> PyResult<Outcome> {
    Outcome::of_name(status).ok_or_else(|| {
        let words = "a job ends completed, failed, retried, cancelled or lost";
        PyValueError::new_err(format!("{words}, not {status:?}"))
    })
}

impl JobType {
    #[inline]
    fn place(&self) -> Option<(&'static Table, usize)> {
        // SAFETY: the GIL is held in every method of a Python object; the value is copied.
        let known = unsafe { self.resolved.with(|resolved| *resolved) };
        match (known, JOBS.look()) {
            (Some((table, number)), Some(current)) if std::ptr::eq(table, current) => Some((table, number)),
            _ => self.resolve(),
        }
    }

    #[cold]
    fn resolve(&self) -> Option<(&'static Table, usize)> {
        let table = JOBS.get().ok()?;
        let found = (table, table.find_or_add(&self.name));
        // SAFETY: the GIL is held, and storing a plain value runs no Python.
        unsafe { self.resolved.with(|resolved| *resolved = Some(found)) };
        Some(found)
    }
}

#[pymethods]
impl JobType {
    #[new]
    fn new(name: String) -> PyResult<Self> {
        if name.is_empty() {
            return Err(PyValueError::new_err("a type of job has a name, such as \"resize\", not \"\""));
        }
        let made = JobType { name, resolved: GilCell::new(None) };
        made.place();
        Ok(made)
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Counts jobs that were put into a queue.
    #[pyo3(signature = (count=None))]
    fn submitted(&self, count: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        protect();
        let count = count.map_or(Ok(1), PyAnyMethods::extract)?;
        if let Some((table, number)) = self.place() {
            table.kind(number).submitted().fetch_add(count, Relaxed);
        }
        Ok(())
    }

    /// A job starts in this process.
    #[pyo3(signature = (id=None, wait=None))]
    fn start(&self, id: Option<&str>, wait: Option<&Bound<'_, PyAny>>) -> PyResult<JobRun> {
        protect(); // `wait` may be any number
        let wait: Option<f64> = wait.map(PyAnyMethods::extract).transpose()?;
        let key = id.map(|id| key_of(&self.name, id));
        let run = self.place().map(|(table, number)| {
            let wait = wait.and_then(nanoseconds);
            (table, table.start(number, key, wait, now_ns()))
        });
        Ok(JobRun { run: GilCell::new(run) })
    }

    /// A job of that id has ended, in whatever process it runs: its seconds, or None when none is running.
    fn end(&self, id: &str, status: &str) -> PyResult<Option<f64>> {
        let outcome = outcome(status)?;
        let Some((table, _)) = self.place() else { return Ok(None) };
        Ok(table.end_by_key(key_of(&self.name, id), outcome, now_ns()).map(|took| took as f64 / 1e9))
    }

    #[classattr]
    const LONGEST_NAME: usize = MAX_NAME;
}

#[pymethods]
impl JobRun {
    /// It has ended. False when somebody has said so before, and in a child of the process that runs it.
    fn end(&self, status: &str) -> PyResult<bool> {
        let outcome = outcome(status)?;
        // SAFETY: the GIL is held in every method of a Python object; the value is copied.
        let Some((table, run)) = (unsafe { self.run.with(|run| *run) }) else { return Ok(false) };
        if !table.is_own(run) {
            return Ok(false);
        }
        // SAFETY: the GIL is held, and storing a plain value runs no Python.
        unsafe { self.run.with(|run| *run = None) };
        Ok(match JOBS.look() {
            // This process has begun to share since then.
            Some(current) if !std::ptr::eq(table, current) => current.end_by_key(run.key, outcome, now_ns()).is_some(),
            _ => table.end(run, outcome, now_ns()),
        })
    }
}
