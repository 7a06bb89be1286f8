//! The shipper of this process: it takes log lines out of rings in threads that never take the GIL.

use crate::registry::Registry;
use crate::thread_exit::protect;
use ferrometer_core::registry::{Computed, Source};
use ferrometer_core::scrape::Scrape;
use ferrometer_ring::metrics::{families, named, names};
use ferrometer_ring::{own as ring, Head, Kind, Level, Outcome, Reason};
use ferrometer_ship::config::Config;
use ferrometer_ship::own;
use ferrometer_ship::shipper::Shipper;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

fn raise(error: &io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, format!("logs cannot be shipped: {error}"))),
        None => PyValueError::new_err(format!("logs cannot be shipped: {error}")),
    }
}

/// Opens the ring of this process and starts its shipper, by a configuration in JSON.
#[pyfunction]
pub fn start_shipping(config: &str) -> PyResult<()> {
    let config = Config::parse(config).map_err(|error| raise(&error))?;
    // SAFETY: the GIL is held.
    unsafe { own::start(config) }.map_err(|error| raise(&error))
}

/// Waits until everything that this process logged has left; False at the deadline, in seconds.
#[pyfunction]
pub fn flush_logs(py: Python<'_>, timeout: f64) -> bool {
    protect();
    let Some((shipper, _)) = own::current(Kind::Lines) else { return true };
    let time = Duration::from_secs_f64(timeout.clamp(0.0, 86_400.0));
    // Not as `detached` does it: a fork need not wait for a slow receiver, and finds nothing locked.
    py.detach(|| own::flush(Kind::Lines, &shipper, time))
}

/// Appends a finished line as it is; False when it is dropped.
#[pyfunction]
#[pyo3(signature = (level, line, time_ns=None))]
pub fn append_log_line(level: u64, line: &[u8], time_ns: Option<u64>) -> bool {
    let time_ns = time_ns.unwrap_or_else(ferrometer_ship::time::now_ns);
    let head = Head { level: Level::of(level), time_ns, ..Head::default() };
    // SAFETY: the GIL is held.
    unsafe { ring::append(Kind::Lines, &head, &[line]) == Outcome::Queued }
}

/// Gives up shipping; what has not left yet stays for others, where processes share.
#[pyfunction]
pub fn stop_shipping(py: Python<'_>, timeout: f64) {
    protect();
    py.detach(|| own::stop(Kind::Lines, Duration::from_secs_f64(timeout.clamp(0.0, 86_400.0))));
}

/// What was logged and what became of it, as JSON: lines, dropped, sinks; "null" where nobody logs.
#[pyfunction]
pub fn log_counts() -> PyResult<String> {
    let Some(told) = own::told(Kind::Lines).map_err(|error| raise(&error))? else { return Ok("null".into()) };
    let snapshot = &told.snapshot;
    let levels = Level::ALL.map(|level| (level.name().to_owned(), snapshot.lines(level).into()));
    let dropped = Reason::ALL.map(|reason| (reason.name().to_owned(), snapshot.refused(reason).into()));
    let sinks = snapshot.receivers.iter().map(|receiver| {
        let counts = &receiver.counts;
        let status = told.statuses.iter().find(|status| status.0 == receiver.name).map(|status| &status.1);
        let told = json!({
            "shipped": counts.shipped,
            "rejected": counts.rejected,
            "full": counts.full,
            "damaged": counts.damaged,
            "expired": counts.expired,
            "repeated": counts.repeated,
            "queued": receiver.queued,
            "queued_bytes": receiver.queued_bytes,
            "last_success": (receiver.success > 0.0).then_some(receiver.success),
            "trouble": status.and_then(|status| status.trouble.clone()),
        });
        (receiver.name.clone(), told)
    });
    let all = json!({
        "lines": levels.into_iter().collect::<serde_json::Map<_, _>>(),
        "dropped": dropped.into_iter().collect::<serde_json::Map<_, _>>(),
        "closed": Level::ALL.iter().map(|&level| ring::closed(Kind::Lines, level)).sum::<u64>(),
        "sinks": sinks.collect::<serde_json::Map<_, _>>(),
        "leads": told.leads,
    });
    Ok(all.to_string())
}

/// The families of the above, in a registry of whatever process.
struct Logs {
    namespace: String,
}

impl Source for Logs {
    fn collect(&self, _: &Scrape, out: &mut Vec<Computed>) {
        // A directory that cannot be read is told of by the segments.
        if let Ok(Some(mut told)) = own::told(Kind::Lines) {
            told.snapshot.namespace.clone_from(&self.namespace);
            out.extend(families(&told.snapshot));
        }
    }

    fn names(&self) -> Vec<String> {
        names(Kind::Lines).iter().map(|name| named(&self.namespace, name)).collect()
    }
}

/// Shows in a registry what was logged and what became of it.
#[pyfunction]
pub fn register_log_metrics(registry: &Bound<'_, Registry>, namespace: String) -> PyResult<()> {
    let core = &registry.get().core;
    core.register_source(Arc::new(Logs { namespace }), "the metrics of logs").map_err(crate::metric::value_error)
}

/// A shipper of a directory in which this process does not log.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct DirectoryShipper(Mutex<Option<Shipper>>);

#[pymethods]
impl DirectoryShipper {
    #[new]
    fn new(config: &str) -> PyResult<Self> {
        let config = Config::parse(config).map_err(|error| raise(&error))?;
        Ok(DirectoryShipper(Mutex::new(Some(Shipper::start(&config).map_err(|error| raise(&error))?))))
    }

    /// Whether it is this process that ships.
    #[getter]
    fn leads(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(Shipper::leads)
    }

    /// Ends it.
    fn stop(&self, py: Python<'_>, timeout: f64) {
        let shipper = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        protect();
        py.detach(|| {
            if let Some(shipper) = shipper {
                shipper.stop(Duration::from_secs_f64(timeout.clamp(0.0, 86_400.0)));
            }
        });
    }
}
