//! A metric's state: what it shares with its family, its series, and where its cells lie.

use crate::gil::GilCell;
use crate::label_cache::LabelCache;
use crate::thread_exit::protect;
use ferrometer_core::cell::{CounterCell, GaugeCell};
use ferrometer_core::clock::now;
use ferrometer_core::error::Error;
use ferrometer_core::family::{Family, Kind};
use ferrometer_core::histogram::Histogram as Cells;
use ferrometer_core::sampling::Sampler;
use ferrometer_core::series::SeriesRef;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::PyClass;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// A definition's fault as Python's `ValueError`.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub fn value_error(error: Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// What a family and its children share.
pub struct Parent {
    pub family: Arc<Family>,
    /// The label names as interned strings, to compare keyword names by address.
    pub names: Vec<Py<PyString>>,
    /// Decides which observations are looked at; none when all are.
    pub sampler: Option<Sampler>,
    /// Whether children are made natively; a user's subclass makes its own.
    pub plain: bool,
    /// Whether it is a gauge of the latest value, which has no `inc` and no `dec`.
    pub only_set: bool,
    /// The Python layer's own attributes.
    pub meta: Py<PyDict>,
    /// `set_function` callbacks.
    pub callbacks: GilCell<Vec<(SeriesRef, Py<PyAny>)>>,
}

impl Parent {
    /// Sets a gauge, and where that counts, when.
    pub fn set_gauge(&self, series: &SeriesRef, value: f64) {
        if self.only_set {
            series.gauge().set_at(value, now());
        } else {
            series.gauge().set(value);
        }
    }
}

/// The lowest bits of [`Metric::cell`]: one for each kind, so that a test of that bit tells the kind and that there is
/// a cell. Cells are aligned to eight bytes at least.
pub const COUNTER: usize = 1;
pub const GAUGE: usize = 2;
pub const HISTOGRAM: usize = 4;
const _: () = assert!(align_of::<CounterCell>() >= 8 && align_of::<GaugeCell>() >= 8 && align_of::<Cells>() >= 8);

/// The native base class of all metrics.
#[pyclass(subclass, frozen, weakref, module = "ferrometer._core")]
pub struct Metric {
    /// The address of the cells, which `series` keeps in place, and in its lowest bits what they are: [`COUNTER`],
    /// [`GAUGE`] or [`HISTOGRAM`]. Zero for all that has no fast path: labelled families, infos, enums, sampled
    /// histograms, and gauges that can only be set. The kind stands here and not in the Python type, which a program
    /// can assign to.
    pub cell: GilCell<usize>,
    pub series: GilCell<Option<SeriesRef>>,
    pub parent: GilCell<Option<Arc<Parent>>>,
    /// Of a labelled family only.
    pub cache: GilCell<Option<Box<LabelCache>>>,
}

impl Metric {
    /// An undefined metric of a native class.
    pub fn with<T: PyClass<BaseType = Metric>>(kind: T) -> PyClassInitializer<T> {
        PyClassInitializer::from(Metric::empty()).add_subclass(kind)
    }

    pub fn empty() -> Self {
        Metric {
            cell: GilCell::new(0),
            series: GilCell::new(None),
            parent: GilCell::new(None),
            cache: GilCell::new(None),
        }
    }

    /// The shared part.
    pub fn parent(&self) -> PyResult<&Arc<Parent>> {
        protect();
        // SAFETY: the GIL is held by every caller (methods and slots); set once, never changed.
        unsafe { self.parent.peek() }
            .as_ref()
            .ok_or_else(|| PyRuntimeError::new_err("the metric is not initialised: call super().__init__() first"))
    }

    /// The series of a child or of a family without labels.
    pub fn series(&self) -> PyResult<&SeriesRef> {
        protect();
        // SAFETY: the GIL is held, and a series is set once: nobody replaces it while it is borrowed.
        if let Some(series) = unsafe { self.series.peek() } {
            return Ok(series);
        }
        let kind = self.parent()?.family.definition().kind.name();
        Err(PyValueError::new_err(format!("{kind} metric is missing label values")))
    }

    /// The cell of a counter.
    pub fn counter(&self) -> PyResult<&CounterCell> {
        let series = self.series()?;
        match self.kind()? {
            Kind::Counter => Ok(series.counter()),
            kind => Err(wrong_kind(kind, "counter")),
        }
    }

    /// The cell of a gauge.
    pub fn gauge(&self) -> PyResult<&GaugeCell> {
        let series = self.series()?;
        match self.kind()? {
            Kind::Gauge(_) => Ok(series.gauge()),
            kind => Err(wrong_kind(kind, "gauge")),
        }
    }

    /// The cells of a histogram or summary.
    pub fn histogram(&self) -> PyResult<&Cells> {
        let series = self.series()?;
        match self.kind()? {
            Kind::Histogram(_) | Kind::Summary(..) => Ok(series.histogram()),
            kind => Err(wrong_kind(kind, "histogram or summary")),
        }
    }

    pub fn kind(&self) -> PyResult<&Kind> {
        Ok(&self.parent()?.family.definition().kind)
    }

    /// Makes this object the handle of a series.
    pub fn bind(&self, parent: &Arc<Parent>, series: SeriesRef) {
        let cell = match &parent.family.definition().kind {
            Kind::Counter => ptr::from_ref::<CounterCell>(series.counter()) as usize + COUNTER,
            // Zero sends `inc` to the slow path, which refuses it.
            Kind::Gauge(_) if parent.only_set => 0,
            Kind::Gauge(_) => ptr::from_ref::<GaugeCell>(series.gauge()) as usize + GAUGE,
            Kind::Histogram(_) | Kind::Summary(..) if parent.sampler.is_some() => 0,
            Kind::Histogram(_) | Kind::Summary(..) => ptr::from_ref::<Cells>(series.histogram()) as usize + HISTOGRAM,
            Kind::Info | Kind::StateSet(_) => 0,
        };
        // SAFETY: the GIL is held, and nothing in here runs Python: the object is new, so the old
        // values are empty.
        unsafe {
            self.cell.with(|c| *c = cell);
            self.series.with(|s| *s = Some(series));
            self.parent.with(|p| *p = Some(parent.clone()));
        }
    }

    /// Refuses a second definition, also one that Python code made in the middle of this one: a label's
    /// `__str__`, a finaliser, the clock.
    pub fn check_empty(&self) -> PyResult<()> {
        match self.parent() {
            Ok(_) => Err(PyRuntimeError::new_err("the metric is defined already")),
            Err(_) => Ok(()),
        }
    }

    pub fn forget_children(&self) {
        // SAFETY: the GIL is held; the evicted references are dropped after the borrow.
        let evicted = unsafe { self.cache.with(|cache| cache.as_mut().map(|cache| cache.take_all())) };
        drop(evicted);
    }

    /// The children that a user's subclass made, by label values; none of other families.
    pub fn made_children<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyDict>> {
        // SAFETY: the GIL is held; cloning a reference runs no Python.
        unsafe { self.cache.with(|cache| cache.as_mut().and_then(|cache| cache.children(py))) }
    }

    /// Whether it is the family's own object and not a child: the one that answers for what the garbage
    /// collector has to know about `parent`.
    pub fn is_owner(&self, parent: &Parent) -> bool {
        // SAFETY: the GIL is held, and only the presence of a cache is asked.
        parent.names.is_empty() || unsafe { self.cache.peek() }.is_some()
    }

    pub fn forget_callbacks(&self, gone: impl Fn(&SeriesRef) -> bool) -> PyResult<()> {
        let parent = self.parent()?;
        // SAFETY: the GIL is held, and taking entries out runs no Python code: they are dropped afterwards.
        let dropped: Vec<_> = unsafe { parent.callbacks.with(|all| all.extract_if(.., |(s, _)| gone(s)).collect()) };
        drop(dropped);
        Ok(())
    }
}

impl Drop for Metric {
    fn drop(&mut self) {
        // The callbacks and children that go with a family may have finalisers.
        protect();
        // A plain child takes its address back, so that the next `labels()` makes a new one.
        // SAFETY: exclusive access; deallocation happens under the GIL.
        if let Some(series) = unsafe { self.series.peek() } {
            let _ = series.handle().compare_exchange(ptr::from_ref(self) as usize, 0, Relaxed, Relaxed);
        }
    }
}

/// What is raised where a method of one kind meets cells of another.
#[cold]
pub fn wrong_kind(kind: &Kind, wanted: &str) -> PyErr {
    PyTypeError::new_err(format!("the metric is a {}, and no {wanted}", kind.name()))
}
