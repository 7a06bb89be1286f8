//! `Metric`: the native base of `Counter`, `Gauge`, `Histogram`, `Summary`, `Info` and `Enum`.
//!
//! One object is a family without labels, a labelled family, or one child of it. Definition and
//! everything cold is here; the hot calls are in `raw.rs`.

use crate::gil::GilCell;
use crate::label_cache::LabelCache;
use crate::registry::Registry;
use ferrometer_core::cell::{CounterCell, GaugeCell};
use ferrometer_core::error::Error;
use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::histogram::{Buckets, Histogram as Cells, Layout};
use ferrometer_core::labels::{escape, pairs};
use ferrometer_core::sampling::Sampler;
use ferrometer_core::series::SeriesRef;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
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
    plain: bool,
    /// The Python layer's own attributes.
    meta: Py<PyDict>,
    /// `set_function` callbacks.
    callbacks: GilCell<Vec<(SeriesRef, Py<PyAny>)>>,
}

/// The native base class of all metrics.
#[pyclass(subclass, frozen, module = "ferrometer._core")]
pub struct Metric {
    /// The address of the cells, which `series` keeps in place: a `CounterCell`, a `GaugeCell`, or a
    /// `Histogram`, with 1 added for a sampled one. Zero for labelled families, infos and enums.
    pub cell: GilCell<usize>,
    series: GilCell<Option<SeriesRef>>,
    parent: GilCell<Option<Arc<Parent>>>,
    /// Of a labelled family only.
    pub cache: GilCell<Option<Box<LabelCache>>>,
}

impl Metric {
    /// An undefined metric of a native class.
    pub fn with<T: PyClass<BaseType = Metric>>(kind: T) -> PyClassInitializer<T> {
        PyClassInitializer::from(Metric::empty()).add_subclass(kind)
    }

    fn empty() -> Self {
        Metric {
            cell: GilCell::new(0),
            series: GilCell::new(None),
            parent: GilCell::new(None),
            cache: GilCell::new(None),
        }
    }

    /// The shared part.
    pub fn parent(&self) -> PyResult<&Arc<Parent>> {
        // SAFETY: the GIL is held by every caller (methods and slots); set once, never changed.
        unsafe { self.parent.peek() }
            .as_ref()
            .ok_or_else(|| PyRuntimeError::new_err("the metric is not initialised: call super().__init__() first"))
    }

    /// The series of a child or of a family without labels.
    pub fn series(&self) -> PyResult<&SeriesRef> {
        // SAFETY: as in `parent`.
        match unsafe { self.series.peek() } {
            Some(series) => Ok(series),
            None => {
                let kind = self.parent()?.family.definition().kind.name();
                Err(PyValueError::new_err(format!("{kind} metric is missing label values")))
            }
        }
    }

    /// Makes this object the handle of a series.
    pub fn bind(&self, parent: &Arc<Parent>, series: SeriesRef) {
        let cell = match &parent.family.definition().kind {
            Kind::Counter => ptr::from_ref::<CounterCell>(series.counter()) as usize,
            Kind::Gauge => ptr::from_ref::<GaugeCell>(series.gauge()) as usize,
            Kind::Histogram(_) | Kind::Summary(..) => {
                ptr::from_ref::<Cells>(series.histogram()) as usize + usize::from(parent.sampler.is_some())
            }
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

    fn forget_children(&self) {
        // SAFETY: the GIL is held; the evicted references are dropped after the borrow.
        let evicted = unsafe { self.cache.with(|cache| cache.as_mut().map(|cache| cache.take_all())) };
        drop(evicted);
    }

    fn forget_callbacks(&self, gone: impl Fn(&SeriesRef) -> bool) -> PyResult<()> {
        let parent = self.parent()?;
        // SAFETY: as above.
        let dropped: Vec<_> = unsafe { parent.callbacks.with(|all| all.extract_if(.., |(s, _)| gone(s)).collect()) };
        drop(dropped);
        Ok(())
    }
}

impl Drop for Metric {
    fn drop(&mut self) {
        // A plain child takes its address back, so that the next `labels()` makes a new one.
        // SAFETY: exclusive access; deallocation happens under the GIL.
        if let Some(series) = unsafe { self.series.peek() } {
            let _ = series.handle().compare_exchange(ptr::from_ref(self) as usize, 0, Relaxed, Relaxed);
        }
    }
}

/// The text of a label value: `str(value)`, with what UTF-8 cannot say replaced by `?`.
pub fn label_text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = value.str()?;
    match text.to_str() {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Ok(String::from_utf8_lossy(
            text.call_method1("encode", ("utf-8", "replace"))?.extract::<&[u8]>().unwrap_or_default(),
        )
        .into_owned()),
    }
}

fn texts(values: &Bound<'_, PyTuple>) -> PyResult<Vec<String>> {
    values.iter().map(|value| label_text(&value)).collect()
}

fn borrowed(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

#[pymethods]
impl Metric {
    /// Accepts whatever a subclass's `__init__` takes.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Metric::empty()
    }

    /// Defines the metric; once. The same definition again is accepted and changes nothing.
    ///
    /// `detail` is the buckets of a histogram, the quantiles of a summary, the states of an enum.
    #[pyo3(signature = (registry, kind, name, help, unit, labels, detail, max_series, sample, plain, meta))]
    #[expect(clippy::too_many_arguments, reason = "called from one place, with all of them")]
    fn _define(
        &self,
        py: Python<'_>,
        registry: Option<&Bound<'_, Registry>>,
        kind: &str,
        name: String,
        help: String,
        unit: String,
        labels: Vec<String>,
        detail: &Bound<'_, PyAny>,
        max_series: usize,
        sample: f64,
        plain: bool,
        meta: Py<PyDict>,
    ) -> PyResult<()> {
        let kind = match kind {
            "counter" => Kind::Counter,
            "gauge" => Kind::Gauge,
            "histogram" => Kind::Histogram(Layout::new(&detail.extract::<Vec<f64>>()?).map_err(value_error)?),
            "summary" => Kind::Summary(Layout::new(&[]).map_err(value_error)?, detail.extract::<Vec<f64>>()?.into()),
            "info" => Kind::Info,
            "stateset" => Kind::StateSet(detail.extract::<Vec<String>>()?.into()),
            other => return Err(PyValueError::new_err(format!("no metric type is called {other:?}"))),
        };
        let sampler =
            if sample.to_bits() == 1f64.to_bits() { None } else { Some(Sampler::new(sample).map_err(value_error)?) };
        let definition = Definition { name, help, unit, kind, labels, max_series };
        if let Ok(parent) = self.parent() {
            let existing = parent.family.definition();
            if existing.same(&definition) {
                return Ok(());
            }
            let (existing, wanted, name) = (existing.describe(), definition.describe(), definition.name);
            return Err(value_error(Error::Conflict { existing, wanted, name }));
        }
        let names = definition.labels.iter().map(|label| PyString::intern(py, label).unbind()).collect::<Vec<_>>();
        let family = match registry {
            Some(registry) => registry.get().core.family(definition).map_err(value_error)?,
            None => Arc::new(Family::new(definition)),
        };
        let labelled = !names.is_empty();
        let count = names.len();
        let parent = Arc::new(Parent { family, names, sampler, plain, meta, callbacks: GilCell::new(Vec::new()) });
        if labelled {
            // SAFETY: the GIL is held; the old values are empty, so nothing is dropped.
            unsafe {
                self.cache.with(|cache| *cache = Some(Box::new(LabelCache::new(count))));
                self.parent.with(|p| *p = Some(parent));
            }
        } else {
            let series = parent.family.series(&[]).map_err(value_error)?;
            self.bind(&parent, series);
        }
        Ok(())
    }

    /// Makes this object, a user's subclass, the child of `parent` with these label values.
    fn _become_child(&self, parent: &Bound<'_, Metric>, values: &Bound<'_, PyTuple>) -> PyResult<()> {
        let parent = parent.get().parent()?;
        let series = parent.family.series(&borrowed(&texts(values)?)).map_err(value_error)?;
        self.bind(parent, series);
        Ok(())
    }

    /// The Python layer's attributes of this metric, shared by all its children.
    #[getter]
    fn _meta(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        Ok(self.parent()?.meta.clone_ref(py))
    }

    /// Whether the definition was made.
    #[getter]
    fn _defined(&self) -> bool {
        self.parent().is_ok()
    }

    /// The label values of a child; `()` otherwise.
    #[getter]
    fn _labelvalues<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let parent = self.parent()?;
        // SAFETY: as in `Metric::parent`.
        match unsafe { self.series.peek() } {
            Some(series) => PyTuple::new(py, parent.family.labels().values(series.text())),
            None => Ok(PyTuple::empty(py)),
        }
    }

    /// Removes the series with these label values.
    #[pyo3(signature = (*labelvalues))]
    fn _remove(&self, labelvalues: &Bound<'_, PyTuple>) -> PyResult<bool> {
        let parent = self.parent()?;
        let values = texts(labelvalues)?;
        let values = borrowed(&values);
        let mut text = Vec::new();
        let removed = parent.family.remove(&values).map_err(value_error)?;
        parent.family.labels().render(&values, &mut text);
        self.forget_children();
        self.forget_callbacks(|series| series.text() == text)?;
        Ok(removed)
    }

    /// Removes all series.
    fn _clear(&self) -> PyResult<()> {
        self.parent()?.family.clear();
        self.forget_children();
        self.forget_callbacks(|_| true)
    }

    /// The label values of all series, in order of creation.
    fn _children<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let family = &self.parent()?.family;
        let mut children = Vec::new();
        family.for_each(|series| children.push(family.labels().values(series.text())));
        children.into_iter().map(|values| PyTuple::new(py, values)).collect()
    }

    /// Samples as `(suffix, further labels, value, label values)`, as `collect()` wants them.
    fn _samples<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let family = &self.parent()?.family;
        let mut all = Vec::new();
        // SAFETY: as in `Metric::parent`.
        match unsafe { self.series.peek() } {
            Some(series) => all.push(series.clone()),
            None => family.for_each(|series| all.push(series.clone())),
        }
        let mut samples = Vec::new();
        for series in all {
            let values = PyTuple::new(py, family.labels().values(series.text()))?;
            for (suffix, labels, value) in child_samples(py, family, &series)? {
                samples.push((suffix, labels, value, &values).into_pyobject(py)?);
            }
        }
        Ok(samples)
    }

    /// The current value of a counter, gauge, or enum (the state's index).
    fn _get(&self) -> PyResult<f64> {
        let series = self.series()?;
        match &self.parent()?.family.definition().kind {
            Kind::Counter => Ok(series.counter().get()),
            Kind::Gauge | Kind::StateSet(_) => Ok(series.gauge().get()),
            kind => Err(PyValueError::new_err(format!("a {} has no single value", kind.name()))),
        }
    }

    /// Back to zero; `_created` becomes now.
    fn _reset(&self) -> PyResult<()> {
        self.series()?.reset();
        Ok(())
    }

    /// When counting began, in seconds since 1970.
    #[getter]
    fn _created(&self) -> PyResult<f64> {
        Ok(self.series()?.created())
    }

    #[setter]
    #[expect(non_snake_case, reason = "the property is called _created")]
    fn set__created(&self, seconds: f64) -> PyResult<()> {
        self.series()?.set_created(seconds);
        Ok(())
    }

    /// Calls `function` at every scrape for the value of this series.
    fn _set_function(&self, function: Py<PyAny>) -> PyResult<()> {
        let (parent, series) = (self.parent()?, self.series()?);
        self.forget_callbacks(|other| other.text() == series.text())?;
        // SAFETY: the GIL is held; pushing runs no Python.
        unsafe { parent.callbacks.with(|all| all.push((series.clone(), function))) };
        Ok(())
    }

    /// Runs the callbacks. Raises what the first failing one raised, after running the others.
    fn _run_callbacks(&self, py: Python<'_>) -> PyResult<()> {
        let parent = self.parent()?;
        // SAFETY: the GIL is held; cloning references runs no Python.
        let callbacks: Vec<_> =
            unsafe { parent.callbacks.with(|all| all.iter().map(|(s, f)| (s.clone(), f.clone_ref(py))).collect()) };
        let mut result = Ok(());
        for (series, function) in callbacks {
            match function.call0(py).and_then(|value| value.extract::<f64>(py)) {
                Ok(value) => match &parent.family.definition().kind {
                    Kind::Gauge => series.gauge().set(value),
                    _ => {
                        series.counter().reset();
                        series.counter().add(value);
                    }
                },
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// Whether the next observation is to be timed; always, without sampling.
    fn _take(&self) -> PyResult<bool> {
        Ok(self.parent()?.sampler.as_ref().is_none_or(Sampler::take))
    }

    /// Records a value for which `_take` said yes.
    fn _record(&self, value: f64) -> PyResult<()> {
        let (parent, series) = (self.parent()?, self.series()?);
        let histogram = series.histogram();
        let counted = if parent.sampler.is_some() { histogram.record_sample(value) } else { histogram.record(value) };
        if !counted {
            parent.family.refuse();
        }
        Ok(())
    }

    /// Counts an event for which `_take` said no.
    fn _hold(&self) -> PyResult<()> {
        self.series()?.histogram().hold();
        Ok(())
    }

    /// The values at these fractions, NaN while nothing is recorded.
    fn _quantiles(&self, fractions: Vec<f64>) -> PyResult<Vec<f64>> {
        let snapshot = self.series()?.histogram().snapshot();
        Ok(fractions.into_iter().map(|q| snapshot.quantile(q)).collect())
    }

    /// Count, sum, minimum and maximum.
    fn _statistics(&self) -> PyResult<(u64, f64, f64, f64)> {
        let snapshot = self.series()?.histogram().snapshot();
        Ok((snapshot.count(), snapshot.buckets.sum, snapshot.min, snapshot.max))
    }

    /// Replaces an info's labels.
    fn _set_info(&self, labels: Vec<(String, String)>) -> PyResult<()> {
        let mut labels = labels;
        labels.sort();
        let mut text = Vec::new();
        for (name, value) in &labels {
            if !text.is_empty() {
                text.push(b',');
            }
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"=\"");
            escape(value, &mut text);
            text.push(b'"');
        }
        self.series()?.set_info(String::from_utf8_lossy(&text).into_owned());
        Ok(())
    }

    /// Sets an enum's state by its index.
    #[expect(clippy::cast_precision_loss, reason = "a list of states is short")]
    fn _set_state(&self, index: usize) -> PyResult<()> {
        self.series()?.gauge().set(index as f64);
        Ok(())
    }
}

type ChildSample<'py> = (&'static str, Bound<'py, PyDict>, f64);

fn child_samples<'py>(py: Python<'py>, family: &Family, series: &SeriesRef) -> PyResult<Vec<ChildSample<'py>>> {
    let none = || PyDict::new(py);
    let one = |name: &str, value: String| -> PyResult<Bound<'py, PyDict>> {
        let labels = PyDict::new(py);
        labels.set_item(name, value)?;
        Ok(labels)
    };
    let number = |number: f64| {
        let mut text = Vec::new();
        ferrometer_core::encode::number::write_float(number, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let definition = family.definition();
    Ok(match &definition.kind {
        Kind::Counter => vec![("_total", none(), series.counter().get()), ("_created", none(), series.created())],
        Kind::Gauge => vec![("", none(), series.gauge().get())],
        Kind::Histogram(layout) => {
            let mut buckets = Buckets::default();
            series.histogram().read_buckets(&mut buckets);
            let mut samples = Vec::new();
            let mut cumulative = 0;
            for (&bound, count) in layout.bounds().iter().zip(&buckets.counts) {
                cumulative += count;
                samples.push(("_bucket", one("le", number(bound))?, cumulative as f64));
            }
            samples.push(("_count", none(), cumulative as f64));
            if layout.bounds()[0] >= 0.0 {
                samples.push(("_sum", none(), buckets.sum));
            }
            samples.push(("_created", none(), series.created()));
            samples
        }
        Kind::Summary(_, quantiles) => {
            let snapshot = series.histogram().snapshot();
            let mut samples = Vec::new();
            for &quantile in quantiles.iter() {
                samples.push(("", one("quantile", number(quantile))?, snapshot.quantile(quantile)));
            }
            samples.push(("_count", none(), snapshot.count() as f64));
            samples.push(("_sum", none(), snapshot.buckets.sum));
            samples.push(("_created", none(), series.created()));
            samples
        }
        Kind::Info => {
            let own = series.info().unwrap_or_default();
            let labels = PyDict::new(py);
            for (name, value) in pairs(own.as_bytes()) {
                labels.set_item(name, value)?;
            }
            vec![("_info", labels, 1.0)]
        }
        Kind::StateSet(states) => {
            let current = series.gauge().get();
            let mut samples = Vec::new();
            for (index, state) in states.iter().enumerate() {
                let is_current = (current - index as f64).abs() < 0.5;
                samples.push(("", one(&definition.name, state.clone())?, f64::from(u8::from(is_current))));
            }
            samples
        }
    })
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[pyclass(extends = Metric, subclass, frozen, module = "ferrometer._core")]
        pub struct $name;

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = (*_args, **_kwargs))]
            fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
                Metric::with($name)
            }
        }
    )*};
}

kinds! {
    /// The native half of `ferrometer.Counter`.
    Counter;
    /// The native half of `ferrometer.Gauge`.
    Gauge;
    /// The native half of `ferrometer.Histogram`.
    Histogram;
    /// The native half of `ferrometer.Summary`.
    Summary;
    /// The native half of `ferrometer.Info`.
    Info;
    /// The native half of `ferrometer.Enum`.
    Enum;
}

/// The child of a labelled family with these texts: the live one, or a new one of the same type.
pub fn child<'py>(slf: &Bound<'py, Metric>, values: &[&str]) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let parent = slf.get().parent()?;
    if !parent.plain {
        return slf.call_method1("_subclass_child", (PyTuple::new(py, values)?,));
    }
    let series = parent.family.series(values).map_err(value_error)?;
    let live = series.handle().load(Relaxed);
    if live != 0 {
        // SAFETY: a handle's address stays in the word exactly as long as the object lives (`Drop`
        // above clears it); plain metrics have no finaliser that could run in between.
        let object = unsafe { &*(live as *const Metric) };
        return Ok(crate::raw::object_of(py, object));
    }
    let kind: Bound<'_, PyType> = slf.get_type();
    let object = crate::raw::new_child(&kind)?;
    let metric = object.cast::<Metric>()?.get();
    series.handle().store(ptr::from_ref(metric) as usize, Relaxed);
    metric.bind(parent, series);
    Ok(object)
}
