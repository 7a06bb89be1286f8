//! `History`: the store of the last day, its thread, and the API over it.

use crate::registry::Registry;
use crate::thread_exit::protect;
use ferrometer_core::registry::{Computed, Source};
use ferrometer_core::scrape::Scrape;
use ferrometer_history::api::{Api, ApiLimits, Asked};
use ferrometer_history::history::{now_ms, History as Core, SelfMetrics};
use ferrometer_history::level::Plan;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The history of this process that was started last: the one whose self-metrics the registries show.
static LATEST: Mutex<Weak<Core>> = Mutex::new(Weak::new());

struct Latest;

impl Source for Latest {
    fn collect(&self, scrape: &Scrape, out: &mut Vec<Computed>) {
        let latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner).clone();
        SelfMetrics(latest).collect(scrape, out);
    }

    fn names(&self) -> Vec<String> {
        SelfMetrics(Weak::new()).names()
    }
}

/// What is remembered of a registry, or of the processes that share a directory.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct History {
    plan: Plan,
    directory: Option<PathBuf>,
    /// Another one in the child of a fork. The lock is held for a glance, with the GIL.
    core: Mutex<Arc<Core>>,
    api: Arc<Api>,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned values")]
impl History {
    /// Nothing is recorded before `start`. `keep` are the seconds that the four levels reach back.
    #[new]
    #[pyo3(signature = (directory=None, *, keep=None, budget=None, marks=None, seconds=None, samples=None,
        result_bytes=None, per_client=None, at_once=None, job=""))]
    #[expect(clippy::too_many_arguments, reason = "keywords, of which ferrometer.history.feature gives all")]
    fn new(
        directory: Option<PathBuf>,
        keep: Option<[f64; 4]>,
        budget: Option<usize>,
        marks: Option<Vec<String>>,
        seconds: Option<f64>,
        samples: Option<u64>,
        result_bytes: Option<usize>,
        per_client: Option<usize>,
        at_once: Option<usize>,
        job: &str,
    ) -> PyResult<Self> {
        let mut plan = Plan::default();
        if let Some(keep) = keep {
            if keep.iter().any(|seconds| !(1.0..=1e10).contains(seconds)) {
                return Err(PyValueError::new_err(format!("each level keeps 1 second at least, not {keep:?}")));
            }
            plan = Plan::new(keep.map(|seconds| (seconds * 1000.0) as i64), plan.budget);
        }
        plan.budget = budget.unwrap_or(plan.budget);
        plan.marks = marks.unwrap_or(plan.marks);
        let known = ApiLimits::default();
        let limits = ApiLimits {
            seconds: seconds.unwrap_or(known.seconds),
            samples: samples.unwrap_or(known.samples),
            bytes: result_bytes.unwrap_or(known.bytes),
            per_client: per_client.unwrap_or(known.per_client),
            at_once: at_once.unwrap_or(known.at_once),
        };
        let core = Mutex::new(Arc::new(Core::new(plan.clone(), directory.as_deref())));
        Ok(History { plan, directory, core, api: Arc::new(Api::new(limits, job)) })
    }

    /// Begins to record this registry, as soon as no other process of the directory does.
    fn start(&self, py: Python<'_>, registry: &Bound<'_, Registry>) -> PyResult<()> {
        let core = self.core();
        *LATEST.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&core);
        let registry = registry.get().core.clone();
        // Refused where an earlier history's self-metrics are there: they are about the latest one.
        let _ = registry.register_source(Arc::new(Latest), "ferrometer's history about itself");
        protect();
        let directory = self.directory.clone();
        py.detach(|| core.start(&registry)).map_err(|error| refused(&error, directory))
    }

    /// Ends the thread and waits for it; another process goes on. Nothing when it was not started.
    fn stop(&self, py: Python<'_>) {
        let core = self.core();
        protect();
        py.detach(|| core.stop());
    }

    /// In the child of a fork: the parent's thread and files are not here.
    fn after_fork(&self) {
        let fresh = Arc::new(Core::new(self.plan.clone(), self.directory.as_deref()));
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        // Its locks may be held by threads that are not here.
        std::mem::forget(std::mem::replace(&mut *core, fresh));
    }

    /// Whether this process records.
    #[getter]
    fn writes(&self) -> bool {
        self.core().is_writer()
    }

    /// Answers a request to the API: status, media type and body. `path` is what follows `/api/v1/`.
    #[pyo3(signature = (method, path, parameters, client=""))]
    fn respond<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        path: &str,
        parameters: Vec<(String, String)>,
        client: &str,
    ) -> (u16, &'static str, Bound<'py, PyBytes>) {
        let (core, api) = (self.core(), self.api.clone());
        protect();
        let reply = py.detach(|| {
            let asked = Asked { method, path, parameters: &parameters, client, now_ms: now_ms() };
            api.respond(&core, &asked)
        });
        (reply.status, reply.media_type, PyBytes::new(py, reply.body.as_bytes()))
    }
}

impl History {
    fn core(&self) -> Arc<Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn refused(error: &io::Error, directory: Option<PathBuf>) -> PyErr {
    let place = directory.map_or_else(|| "memory".to_owned(), |directory| directory.display().to_string());
    let text = format!("no history in {place}: {error}");
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}
