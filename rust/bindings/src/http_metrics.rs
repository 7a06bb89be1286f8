//! `HttpMetrics`: what the middleware records into and the endpoints read from.

mod active;
mod application;
mod definition;
mod endpoint;
mod held;
mod resolve;
mod shared;
mod table;
mod traces;
mod views;

pub use active::Links;
pub use application::Application;
pub use endpoint::{Endpoint, Measured, SocketSeries};
pub use resolve::Scope;
pub use shared::{series_removed, Shared};
pub use table::Table;
pub use traces::Traces;

use crate::gil::detached;
use crate::registry::Registry;
use crate::thread_exit::protect;
use ferrometer_core::cell::GaugeCell;
use ferrometer_core::clock::Clock;
use ferrometer_core::registry::Registry as Core;
use ferrometer_core::sampling::Sampler;
use ferrometer_core::scrape::Scrape;
use ferrometer_core::segment::remote_removals;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;

/// The HTTP metrics of one application.
///
/// Two of these on one registry record into the same series; each has its own sampling.
#[pyclass(module = "ferrometer._core", frozen, weakref)]
pub struct HttpMetrics {
    pub instrument: Instrument,
    namespace: Option<String>,
    registry: Py<PyAny>,
}

/// The part of [`HttpMetrics`] that the middleware touches for every request; what it always touches comes first.
#[repr(C)]
pub struct Instrument {
    /// That of `shared`, one step nearer.
    pub in_flight: NonNull<GaugeCell>,
    pub shared: Arc<Shared>,
    pub clock: &'static Clock,
    /// Whether only some requests are timed.
    pub sampled: bool,
    /// So many of the next requests are timed in any case.
    eager: Cell<u32>,
    /// [`remote_removals::counted`] when the table's series were looked up; [`u64::MAX`] when they are to be looked at
    /// again.
    heeded: Cell<u64>,
    /// How many removals the families had seen then.
    removals: Cell<u64>,
    pub table: Table,
    pub sampler: Sampler,
    /// Where exemplars are wanted.
    pub traces: Option<Traces>,
    /// Whose requests these are.
    pub application: Arc<Application>,
}

/// What an [`HttpMetrics`] is made of.
pub struct Options<'a, 'py> {
    pub registry: Option<&'a Bound<'py, PyAny>>,
    pub namespace: Option<String>,
    pub sample: Option<f64>,
    pub buckets: Option<Vec<f64>>,
    pub exemplars: Option<&'a Bound<'py, PyAny>>,
}

// SAFETY: the gauge lies in a series that `shared` owns; that, `eager` and `application` are only touched with the GIL
// held.
unsafe impl Send for Instrument {}
// SAFETY: what is not `Sync` in it (the gauge's address, `eager`, `application`) is only touched with the GIL held.
unsafe impl Sync for Instrument {}

/// A series shows nothing of what was not timed before its first sample, so the first requests of all, and those after
/// a new endpoint appeared, are timed whatever the sampler says. Which ones does not depend on how long they take, so
/// the distribution stays unbiased.
const EAGER: u32 = 64;

impl Instrument {
    /// Whether this request is timed.
    #[inline(always)]
    pub fn times(&self) -> bool {
        !self.sampled || self.sampler.take() || self.is_eager()
    }

    #[inline(always)]
    fn is_eager(&self) -> bool {
        let left = self.eager.get();
        if left > 0 {
            self.eager.set(left - 1);
        }
        left > 0
    }

    /// Whether no family has lost series since the table's were looked up.
    #[inline(always)]
    pub fn is_current(&self) -> bool {
        remote_removals::counted() == self.heeded.get()
    }

    /// Forgets the table's series when families have lost some, by `clear()` or `remove()` in whichever process:
    /// nobody would see what is counted in them.
    pub fn heed(&self) {
        if self.is_current() {
            return;
        }
        remote_removals::apply();
        let address = NonNull::from(&self.heeded);
        if !self.shared.heeded.borrow().contains(&address) {
            self.shared.heeded.borrow_mut().push(address);
        }
        let removals = self.shared.removals();
        if self.removals.replace(removals) != removals {
            self.table.forget();
        }
        self.heeded.set(if remote_removals::is_up_to_date() { remote_removals::counted() } else { u64::MAX });
    }

    /// A series without a sample has appeared.
    pub fn be_eager(&self) {
        self.eager.set(EAGER);
    }

    /// The gauge of requests being served.
    #[inline(always)]
    pub fn in_flight(&self) -> &GaugeCell {
        // SAFETY: the address is that of a cell in a series that `shared` owns as long as this lives.
        unsafe { self.in_flight.as_ref() }
    }
}

impl Drop for Instrument {
    fn drop(&mut self) {
        let address = NonNull::from(&self.heeded);
        self.shared.heeded.borrow_mut().retain(|other| *other != address);
    }
}

#[pymethods]
impl HttpMetrics {
    #[new]
    #[pyo3(signature = (registry=None, namespace=None, sample=1.0, buckets=None, exemplars=None))]
    fn new(
        py: Python<'_>,
        registry: Option<&Bound<'_, PyAny>>,
        namespace: Option<String>,
        sample: f64,
        buckets: Option<Vec<f64>>,
        exemplars: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Self::make(py, Options { registry, namespace, sample: Some(sample), buckets, exemplars })
    }

    /// The prefix of the views in the style of GP2, or `None`.
    #[getter]
    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The share of requests that are timed, in (0, 1].
    #[getter]
    fn sample(&self) -> f64 {
        self.instrument.sampler.rate()
    }

    /// The registry that the families are in.
    #[getter]
    fn registry(&self, py: Python<'_>) -> Py<PyAny> {
        self.registry.clone_ref(py)
    }

    /// Totals over all series: `uptime_seconds`, `total`, `failed`, `in_flight`, `success_rate` (percent), and
    /// `p50_ms`, `p95_ms`, `p99_ms`, `avg_ms` of the durations in milliseconds. The rate and
    /// the durations are NaN where nothing was recorded.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let shared = &self.instrument.shared;
        let namespace = self.namespace.as_deref();
        let (requests, uptime) = detached(py, || views::totals(&Scrape::begin(), shared, namespace));
        let dict = PyDict::new(py);
        dict.set_item("uptime_seconds", uptime)?;
        dict.set_item("total", requests.total)?;
        dict.set_item("failed", requests.failed)?;
        dict.set_item("in_flight", requests.in_flight)?;
        dict.set_item("success_rate", requests.success_rate)?;
        for (key, value) in ["p50_ms", "p95_ms", "p99_ms", "avg_ms"].into_iter().zip(requests.milliseconds) {
            dict.set_item(key, value)?;
        }
        Ok(dict)
    }

    /// The requests that are being served now.
    fn in_flight(&self, py: Python<'_>) -> u64 {
        let (shared, namespace) = (&self.instrument.shared, self.namespace.as_deref());
        detached(py, || views::in_flight(&Scrape::begin(), shared, namespace))
    }

    /// Seconds since the application was first instrumented, in whichever process.
    fn uptime(&self, py: Python<'_>) -> f64 {
        detached(py, || views::uptime_of(&Scrape::begin(), &self.instrument.shared))
    }

    fn __repr__(&self) -> String {
        let namespace = self.namespace.as_ref().map_or_else(|| "None".into(), |namespace| format!("'{namespace}'"));
        format!("HttpMetrics(namespace={namespace}, sample={:?})", self.sample())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.registry)?;
        if let Some(traces) = &self.instrument.traces {
            visit.call(traces.ask())?;
        }
        self.instrument.table.traverse(&visit)
    }

    fn __clear__(&self) {
        self.instrument.table.forget();
    }
}

impl HttpMetrics {
    /// Makes one, validating its options.
    pub fn make(py: Python<'_>, options: Options<'_, '_>) -> PyResult<Self> {
        protect();
        let Options { registry, namespace, sample, buckets, exemplars } = options;
        let traces = exemplars.map_or(Ok(None), Traces::new)?;
        if let Some(namespace) = &namespace {
            check_namespace(namespace)?;
        }
        let refused = |error: ferrometer_core::error::Error| PyValueError::new_err(error.to_string());
        let sampler = Sampler::new(sample.unwrap_or(1.0)).map_err(refused)?;
        let (registry, core) = core_of(py, registry)?;
        let buckets = buckets.unwrap_or_else(|| shared::BUCKETS.to_vec());
        let shared = Shared::of(&core, &buckets).map_err(refused)?;
        let application = shared.applications.of(namespace.as_deref(), &core, &shared.requests, &shared.duration);
        let application = application.map_err(refused)?;
        if let Some(namespace) = &namespace {
            views::register(&core, &shared, namespace).map_err(refused)?;
        }
        let in_flight = NonNull::from(&*shared.in_flight);
        let instrument = Instrument {
            in_flight,
            eager: Cell::new(EAGER),
            heeded: Cell::new(u64::MAX),
            removals: Cell::new(0),
            shared,
            table: Table::new(),
            sampled: sampler.rate() < 1.0,
            sampler,
            clock: Clock::get(),
            traces,
            application,
        };
        Ok(Self { instrument, namespace, registry })
    }
}

/// A `CollectorRegistry`, the default one where none is given, and the native registry inside.
fn core_of(py: Python<'_>, given: Option<&Bound<'_, PyAny>>) -> PyResult<(Py<PyAny>, Arc<Core>)> {
    let registry = match given {
        Some(registry) => registry.clone(),
        None => py.import("ferrometer.metrics.registry")?.getattr("REGISTRY")?,
    };
    let native = registry.getattr_opt("_native")?.unwrap_or_else(|| registry.clone());
    match native.cast::<Registry>() {
        Ok(native) => Ok((registry.unbind(), native.get().core.clone())),
        Err(_) => Err(PyTypeError::new_err(format!(
            "registry must be a ferrometer.CollectorRegistry, not {}; prometheus_client's registries cannot hold \
             native metrics",
            registry.repr()?
        ))),
    }
}

fn check_namespace(namespace: &str) -> PyResult<()> {
    let mut letters = namespace.chars();
    let starts = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if starts && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "namespace must be letters, digits and underscores, starting with no digit, not {namespace:?}; \
         try {:?}, or None for no namespaced metrics",
        suggest(namespace)
    )))
}

fn suggest(namespace: &str) -> String {
    let name: String = namespace.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        name
    } else {
        format!("app_{name}")
    }
}
