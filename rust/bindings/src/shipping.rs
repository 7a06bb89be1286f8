//! The shippers of this process: they take log lines and spans out of rings in threads that never take the GIL.

use crate::gil::detached;
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
        Some(number) => PyOSError::new_err((number, error.to_string())),
        None => PyValueError::new_err(error.to_string()),
    }
}

/// The kind of records of that name.
fn kind(records: &str) -> PyResult<Kind> {
    Kind::named(records)
        .ok_or_else(|| PyValueError::new_err(format!("records must be 'lines', 'spans' or 'metrics', not {records:?}")))
}

/// Opens a ring of this process and starts its shipper, by a configuration in JSON.
#[pyfunction]
pub fn start_shipping(config: &str) -> PyResult<()> {
    let config = Config::parse(config).map_err(|error| raise(&error))?;
    // SAFETY: the GIL is held.
    unsafe { own::start(config) }.map_err(|error| raise(&error))
}

/// Waits until everything of a kind that this process recorded has left; False at the deadline, in seconds.
#[pyfunction]
#[pyo3(signature = (timeout, records="lines"))]
pub fn flush_records(py: Python<'_>, timeout: f64, records: &str) -> PyResult<bool> {
    protect();
    let kind = kind(records)?;
    let Some((shipper, _)) = own::current(kind) else { return Ok(true) };
    let time = Duration::from_secs_f64(timeout.clamp(0.0, 86_400.0));
    // Not as `detached` does it: a fork need not wait for a slow receiver, and finds nothing locked.
    Ok(py.detach(|| own::flush(kind, &shipper, time)))
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

/// Puts an exposition in Prometheus's protobuf into the queue of metrics, as OTLP; how many data points it had, and how many
/// batches of them found no room. `start_ns`: since when series without a time of their own count.
#[pyfunction]
pub fn append_metrics(
    py: Python<'_>,
    families: &[u8],
    time_ns: u64,
    start_ns: u64,
    is_exponential: bool,
) -> (usize, usize) {
    let (batches, points) =
        detached(py, || ferrometer_ship::otlp::convert::convert(families, time_ns, start_ns, is_exponential));
    let head = Head { level: Level::Info, time_ns, ..Head::default() };
    // SAFETY: the GIL is held, and no Python runs in there.
    let append = |batch: &Vec<u8>| unsafe { ring::append(Kind::Metrics, &head, &[batch]) == Outcome::Queued };
    let dropped = batches.iter().filter(|batch| !append(batch)).count();
    (points, dropped)
}

/// Gives up shipping; what has not left yet stays for others, where processes share.
#[pyfunction]
#[pyo3(signature = (timeout, records="lines"))]
pub fn stop_shipping(py: Python<'_>, timeout: f64, records: &str) -> PyResult<()> {
    protect();
    let kind = kind(records)?;
    py.detach(|| own::stop(kind, Duration::from_secs_f64(timeout.clamp(0.0, 86_400.0))));
    Ok(())
}

/// What was recorded and what became of it, as JSON: by level, dropped, sinks; "null" where nobody records.
#[pyfunction]
#[pyo3(signature = (records="lines"))]
pub fn record_counts(records: &str) -> PyResult<String> {
    let kind = kind(records)?;
    let Some(told) = own::told(kind).map_err(|error| raise(&error))? else { return Ok("null".into()) };
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
        records: levels.into_iter().collect::<serde_json::Map<_, _>>(),
        "dropped": dropped.into_iter().collect::<serde_json::Map<_, _>>(),
        "closed": Level::ALL.iter().map(|&level| ring::closed(kind, level)).sum::<u64>(),
        "sinks": sinks.collect::<serde_json::Map<_, _>>(),
        "leads": told.leads,
    });
    Ok(all.to_string())
}

/// The families of the above, in a registry of whatever process.
struct Records {
    kind: Kind,
    namespace: String,
}

impl Source for Records {
    fn collect(&self, _: &Scrape, out: &mut Vec<Computed>) {
        // A directory that cannot be read is told of by the segments.
        if let Ok(Some(mut told)) = own::told(self.kind) {
            told.snapshot.namespace.clone_from(&self.namespace);
            out.extend(families(&told.snapshot));
        }
    }

    fn names(&self) -> Vec<String> {
        names(self.kind).iter().map(|name| named(&self.namespace, name)).collect()
    }
}

/// Shows in a registry what was recorded and what became of it.
#[pyfunction]
#[pyo3(signature = (registry, namespace, records="lines"))]
pub fn register_record_metrics(registry: &Bound<'_, Registry>, namespace: String, records: &str) -> PyResult<()> {
    let kind = kind(records)?;
    let what = match kind {
        Kind::Lines => "the metrics of logs",
        Kind::Spans => "the metrics of traces",
        Kind::Metrics => "the metrics of the export",
    };
    let source = Arc::new(Records { kind, namespace });
    registry.get().core.register_source(source, what).map_err(crate::metric::state::value_error)
}

/// A shipper of a directory in which this process records nothing.
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
