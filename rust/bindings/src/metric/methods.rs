//! The methods of `Metric` that Python sees and that need not be fast; the fast ones are in `hot/`.

use super::checks::{agree_on_sample, check_class};
use super::label_text::label_text;
use super::made::{series_of, stamp};
use super::removal::{borrowed, texts};
use super::state::{value_error, wrong_kind, Metric, Parent};
use crate::gil::{detached, GilCell};
use crate::label_cache::LabelCache;
use crate::registry::Registry;
use crate::samples::{self, Row};
use crate::thread_exit::protect;
use ferrometer_core::clock::now;
use ferrometer_core::error::Error;
use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::histogram::Layout;
use ferrometer_core::labels::Labels;
use ferrometer_core::mode::Mode;
use ferrometer_core::sampling::Sampler;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::Arc;

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
    /// `detail` is the buckets of a histogram, the quantiles of a summary, the states of an enum, the
    /// `multiprocess_mode` of a gauge.
    #[pyo3(signature = (registry, kind, name, documentation, unit, labels, detail, max_series, sample, plain, meta))]
    #[expect(clippy::too_many_arguments, reason = "called from one place, with all of them")]
    fn _define(
        slf: &Bound<'_, Self>,
        registry: Option<&Bound<'_, Registry>>,
        kind: &str,
        name: String,
        documentation: &Bound<'_, PyAny>,
        unit: String,
        labels: Vec<String>,
        detail: &Bound<'_, PyAny>,
        max_series: usize,
        sample: f64,
        plain: bool,
        meta: Py<PyDict>,
    ) -> PyResult<()> {
        protect();
        let (py, metric) = (slf.py(), slf.get());
        check_class(slf, kind)?;
        let only_set = kind == "gauge" && detail.extract::<&str>()?.ends_with("mostrecent");
        let kind = match kind {
            "counter" => Kind::Counter,
            "gauge" => {
                let mode = detail.extract::<&str>()?;
                let unknown = || PyValueError::new_err(format!("no gauge has the multiprocess_mode {mode:?}"));
                Kind::Gauge(Mode::from_name(mode).ok_or_else(unknown)?)
            }
            "histogram" => Kind::Histogram(Layout::new(&detail.extract::<Vec<f64>>()?).map_err(value_error)?),
            "summary" => Kind::Summary(Layout::new(&[]).map_err(value_error)?, detail.extract::<Vec<f64>>()?.into()),
            "info" => Kind::Info,
            "stateset" => Kind::StateSet(
                detail.try_iter()?.map(|state| label_text(&state?)).collect::<PyResult<Vec<_>>>()?.into(),
            ),
            other => return Err(PyValueError::new_err(format!("no metric type is called {other:?}"))),
        };
        let sampler =
            if sample.to_bits() == 1f64.to_bits() { None } else { Some(Sampler::new(sample).map_err(value_error)?) };
        let definition = Definition { name, help: label_text(documentation)?, unit, kind, labels, max_series };
        if let Ok(parent) = metric.parent() {
            let existing = parent.family.definition();
            if existing.same(&definition) {
                return agree_on_sample(&parent.family, &definition, sample);
            }
            let (existing, wanted, name) = (existing.describe(), definition.describe(), definition.name);
            return Err(value_error(Error::Conflict { existing, wanted, name }));
        }
        let names = definition.labels.iter().map(|label| PyString::intern(py, label).unbind()).collect::<Vec<_>>();
        let family = match registry {
            Some(registry) => {
                let family = registry.get().core.family(definition.clone()).map_err(value_error)?;
                agree_on_sample(&family, &definition, sample)?;
                family
            }
            None => Family::new(definition, ""),
        };
        let series = if names.is_empty() { Some(series_of(py, &family, &[])?) } else { None };
        let children = if plain || series.is_some() { None } else { Some(PyDict::new(py).unbind()) };
        metric.check_empty()?;
        let callbacks = GilCell::new(Vec::new());
        let parent = Arc::new(Parent { family, names, sampler, plain, only_set, meta, callbacks });
        if let Some(series) = series {
            metric.bind(&parent, series);
        } else {
            let cache = Box::new(LabelCache::new(parent.family.clone(), children));
            // SAFETY: the GIL is held; the old values are empty, so nothing is dropped.
            unsafe {
                metric.cache.with(|place| *place = Some(cache));
                metric.parent.with(|p| *p = Some(parent));
            }
        }
        Ok(())
    }

    /// Makes this object, a user's subclass, the child of `parent` with these label values.
    fn _become_child(slf: &Bound<'_, Self>, parent: &Bound<'_, Metric>, values: &Bound<'_, PyTuple>) -> PyResult<()> {
        let parent = parent.get().parent()?;
        check_class(slf, parent.family.definition().kind.name())?;
        slf.get().check_empty()?;
        let series = series_of(slf.py(), &parent.family, &borrowed(&texts(values)?))?;
        slf.get().check_empty()?;
        slf.get().bind(parent, series);
        Ok(())
    }

    /// The children that a user's subclass made, by label values.
    #[getter]
    fn _subclass_children<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.made_children(py).ok_or_else(|| PyTypeError::new_err("only a labelled family of a subclass has these"))
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
        // SAFETY: the GIL is held, and a series is set once: nobody replaces it while it is borrowed.
        match unsafe { self.series.peek() } {
            Some(series) => PyTuple::new(py, parent.family.labels().values(series.text())),
            None => Ok(PyTuple::empty(py)),
        }
    }

    /// Whether the series of this child has been removed, by whichever object of the same family.
    #[getter]
    fn _is_removed(&self) -> PyResult<bool> {
        Ok(self.series()?.is_removed())
    }

    /// Removes the series with these label values.
    #[pyo3(signature = (*labelvalues))]
    fn _remove(&self, labelvalues: &Bound<'_, PyTuple>) -> PyResult<bool> {
        self.drop_series(labelvalues, Family::remove)
    }

    /// Removes this process's series with these label values; other workers keep theirs.
    #[pyo3(signature = (*labelvalues))]
    fn _forget(&self, labelvalues: &Bound<'_, PyTuple>) -> PyResult<bool> {
        self.drop_series(labelvalues, Family::forget)
    }

    /// Removes all series.
    fn _clear(&self, py: Python<'_>) -> PyResult<()> {
        self.drop_all(py, Family::clear)
    }

    /// Removes all series of this process; other workers keep theirs.
    fn _forget_all(&self, py: Python<'_>) -> PyResult<()> {
        self.drop_all(py, Family::forget_all)
    }

    /// The label values of all series, in order of creation.
    fn _children<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let family = &self.parent()?.family;
        let mut children = Vec::new();
        family.for_each(|series| children.push(family.labels().values(series.text())));
        children.into_iter().map(|values| PyTuple::new(py, values)).collect()
    }

    /// Samples as `(suffix, further labels, value, label values, exemplar)`, of all workers or, `here`, this one.
    #[pyo3(signature = (here=false))]
    fn _rows<'py>(&self, py: Python<'py>, here: bool) -> PyResult<Vec<Row<'py>>> {
        let family = &self.parent()?.family;
        // SAFETY: the GIL is held, and a series is set once: nobody replaces it while it is cloned.
        let series = unsafe { self.series.peek() }.clone();
        samples::rows(py, family, series.as_ref().filter(|_| !family.labels().names().is_empty()), here)
    }

    /// The class of the object. It cannot be assigned to: methods of another kind would meet cells that they do not
    /// know.
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> Bound<'py, PyType> {
        slf.get_type()
    }

    #[setter(__class__)]
    fn set_class(slf: &Bound<'_, Self>, _class: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = slf.get_type().name()?;
        Err(PyTypeError::new_err(format!("the class of a metric cannot be changed: make a new metric ({name} it is)")))
    }

    /// The current value of a counter, gauge, or enum (the state's index).
    fn _get(&self) -> PyResult<f64> {
        let series = self.series()?;
        match &self.parent()?.family.definition().kind {
            Kind::Counter => Ok(series.counter().get()),
            Kind::Gauge(_) | Kind::StateSet(_) => Ok(series.gauge().get()),
            kind => Err(PyValueError::new_err(format!("a {} has no single value", kind.name()))),
        }
    }

    /// Replaces the value of a counter or gauge, for tests that start from zero.
    fn _put(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let series = self.series()?;
        let value = value.extract::<f64>()?;
        match &self.parent()?.family.definition().kind {
            Kind::Counter if value >= 0.0 && value.is_finite() => {
                series.counter().reset();
                series.counter().add(value);
                Ok(())
            }
            Kind::Gauge(_) => {
                self.parent()?.set_gauge(series, value);
                Ok(())
            }
            kind => Err(PyValueError::new_err(format!("a {} cannot become {value}", kind.name()))),
        }
    }

    /// Back to zero; `_created` becomes now.
    fn _reset(&self, py: Python<'_>) -> PyResult<()> {
        let series = self.series()?;
        series.reset();
        stamp(py, series);
        Ok(())
    }

    /// When counting began, in seconds since 1970.
    #[getter]
    fn _created(&self) -> PyResult<f64> {
        Ok(self.series()?.created())
    }

    #[setter]
    #[expect(non_snake_case, reason = "the property is called _created")]
    fn set__created(&self, seconds: &Bound<'_, PyAny>) -> PyResult<()> {
        let series = self.series()?;
        series.set_created(seconds.extract()?);
        Ok(())
    }

    /// Calls `function` at every scrape for the value of this series, a gauge's.
    fn _set_function(&self, function: Py<PyAny>) -> PyResult<()> {
        let (parent, series) = (self.parent()?, self.series()?);
        self.gauge()?;
        self.forget_callbacks(|other| other.text() == series.text())?;
        // SAFETY: the GIL is held; pushing runs no Python.
        unsafe { parent.callbacks.with(|all| all.push((series.clone(), function))) };
        Ok(())
    }

    /// Whether a value is to be asked for at scrapes.
    #[getter]
    fn _has_callbacks(&self) -> PyResult<bool> {
        // SAFETY: the GIL is held.
        Ok(unsafe { self.parent()?.callbacks.with(|all| !all.is_empty()) })
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
                Ok(value) => parent.set_gauge(&series, value),
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
        let (parent, histogram) = (self.parent()?, self.histogram()?);
        let counted = if parent.sampler.is_some() { histogram.record_sample(value) } else { histogram.record(value) };
        if !counted {
            parent.family.refuse();
        }
        Ok(())
    }

    /// Counts an event for which `_take` said no.
    fn _hold(&self) -> PyResult<()> {
        self.histogram()?.hold();
        Ok(())
    }

    /// The values at these fractions of what all processes have recorded, NaN while nothing is.
    fn _quantiles(&self, py: Python<'_>, fractions: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
        self.histogram()?;
        let fractions = fractions.extract::<Vec<f64>>()?;
        let (family, series) = (self.parent()?.family.clone(), self.series()?.clone());
        let snapshot = detached(py, || samples::snapshot(&family, &series));
        Ok(fractions.into_iter().map(|q| snapshot.quantile(q)).collect())
    }

    /// Count, sum, minimum and maximum.
    fn _statistics(&self) -> PyResult<(u64, f64, f64, f64)> {
        let snapshot = self.histogram()?.snapshot();
        Ok((snapshot.count(), snapshot.buckets.sum, snapshot.min, snapshot.max))
    }

    /// Replaces an info's labels.
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
    fn _set_info(&self, labels: Vec<(String, Bound<'_, PyAny>)>) -> PyResult<()> {
        let series = self.series()?;
        if !matches!(self.kind()?, Kind::Info) {
            return Err(wrong_kind(self.kind()?, "info"));
        }
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
        let values = labels.iter().map(|(_, value)| label_text(value)).collect::<PyResult<Vec<_>>>()?;
        let mut text = Vec::new();
        Labels::new(&names).render(&borrowed(&values), &mut text);
        series.info().set(String::from_utf8_lossy(&text).into_owned());
        Ok(())
    }

    /// Sets an enum's state by its index.
    #[expect(clippy::cast_precision_loss, reason = "a list of states is short")]
    fn _set_state(&self, index: usize) -> PyResult<()> {
        let series = self.series()?;
        match self.kind()? {
            Kind::StateSet(states) if index < states.len() => series.gauge().set_at(index as f64, now()),
            Kind::StateSet(_) => return Err(PyValueError::new_err(format!("the enum has no state {index}"))),
            kind => return Err(wrong_kind(kind, "enum")),
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the collector runs with the GIL, and never within `with`: nothing there allocates a
        // Python object.
        let (parent, cache) = unsafe { (self.parent.peek(), self.cache.peek()) };
        if let Some(cache) = cache {
            cache.traverse(&visit)?;
        }
        match parent {
            // Children share `parent`: each reference in it is reported once, by its owner.
            Some(parent) if self.is_owner(parent) => {
                // SAFETY: the GIL is held, and visiting runs no Python code that could change the list.
                let callbacks = unsafe { parent.callbacks.peek() };
                callbacks.iter().try_for_each(|(_, function)| visit.call(function))
            }
            _ => Ok(()),
        }
    }

    fn __clear__(&self) {
        self.forget_children();
        if self.parent().is_ok_and(|parent| self.is_owner(parent)) {
            let _ = self.forget_callbacks(|_| true);
        }
        // SAFETY: the GIL is held; the reference is dropped after the borrow.
        let children = unsafe { self.cache.with(|cache| cache.as_mut().and_then(|cache| cache.forget())) };
        drop(children);
    }
}
