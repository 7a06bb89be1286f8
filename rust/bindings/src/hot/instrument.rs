//! Instruments of OpenTelemetry's metrics API over our cells: `add`, `record`, `set`.
//!
//! The attributes of each measurement become the labels of a series: [`AttributeCache`] leads from those that came
//! before to it; a Python function tells the labels of new ones.

use super::attribute_cache::{AttributeCache, Key};
use super::call::{guarded, none};
use super::methods::add as add_method;
use crate::gil::GilCell;
use crate::metric::made::stamp;
use crate::metric::state::value_error;
use crate::once::interned;
use crate::registry::Registry;
use crate::thread_exit::protect;
use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::histogram::Layout;
use ferrometer_core::labels::{Labels, ANY};
use ferrometer_core::mode::Mode;
use ferrometer_core::series::SeriesRef;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::collections::HashSet;
use std::ptr::{self, null_mut};
use std::sync::Arc;

/// What a measurement does to its series.
#[derive(Clone, Copy, PartialEq)]
enum Action {
    /// Adds what is not negative.
    Count,
    /// Adds.
    Shift,
    /// Observes what is not negative.
    Observe,
    /// Replaces.
    Set,
}

/// A metric whose series have label names of their own, as measurements bring them.
#[pyclass(subclass, frozen, weakref, module = "ferrometer._core")]
pub struct Instrument {
    family: Arc<Family>,
    action: Action,
    /// From attributes to a dict of labels.
    labels_of: Py<PyAny>,
    cache: GilCell<AttributeCache>,
    /// The series of the latest `observe_all`.
    observed: GilCell<Vec<SeriesRef>>,
}

#[pymethods]
impl Instrument {
    /// The instrument `kind` (`counter`, `updowncounter`, `gauge`, `histogram`) of that name in a registry. `labels_of`
    /// makes labels of attributes. Raises `ValueError` when the name belongs to another metric.
    #[new]
    #[pyo3(signature = (registry, kind, name, documentation, unit, buckets, max_series, labels_of))]
    #[expect(clippy::too_many_arguments, reason = "called from one place, with all of them")]
    #[expect(clippy::needless_pass_by_value, reason = "an argument from Python is owned")]
    fn new(
        registry: &Bound<'_, Registry>,
        kind: &str,
        name: String,
        documentation: String,
        unit: String,
        buckets: Vec<f64>,
        max_series: usize,
        labels_of: Py<PyAny>,
    ) -> PyResult<Self> {
        let (kind, action) = match kind {
            "counter" => (Kind::Counter, Action::Count),
            // What several workers have under way is a sum; what one had that died is over.
            "updowncounter" => (Kind::Gauge(Mode::LiveSum), Action::Shift),
            "gauge" => (Kind::Gauge(Mode::LiveMostRecent), Action::Set),
            "histogram" => (Kind::Histogram(Layout::new(&buckets).map_err(value_error)?), Action::Observe),
            other => return Err(PyValueError::new_err(format!("no instrument is called {other:?}"))),
        };
        let definition = Definition { name, help: documentation, unit, kind, labels: vec![ANY.to_owned()], max_series };
        let family = registry.get().core.family(definition).map_err(value_error)?;
        Ok(Instrument { family, action, labels_of, cache: GilCell::default(), observed: GilCell::default() })
    }

    /// What a callback says now: pairs of values and attributes. Counters go up to them, all others become them; series
    /// that it said something of before, and does not now, are gone.
    fn observe_all(&self, py: Python<'_>, told: Vec<(f64, Option<Bound<'_, PyAny>>)>) -> PyResult<()> {
        protect();
        let mut now = Vec::with_capacity(told.len());
        for (value, attributes) in told {
            if !value.is_finite() {
                self.family.refuse();
                continue;
            }
            let series = self.series_by_text(py, attributes.as_ref())?;
            match self.action {
                Action::Count => count_up_to(&series, value),
                Action::Set => series.gauge().set_at(value, ferrometer_core::clock::now()),
                Action::Shift | Action::Observe => series.gauge().set(value),
            }
            now.push(series);
        }
        let told: HashSet<&[u8]> = now.iter().map(SeriesRef::text).collect();
        // SAFETY: the GIL is held; taking runs no Python.
        let before = unsafe { self.observed.with(std::mem::take) };
        for series in before.iter().filter(|series| !told.contains(series.text())) {
            self.family.forget_text(series.text());
        }
        // SAFETY: the GIL is held; what is replaced is empty, so nothing is dropped.
        unsafe { self.observed.with(|observed| *observed = now) };
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<ferrometer instrument {}>", self.family.definition().describe())
    }
}

/// Counts up to a total; one that is lower than before began anew.
fn count_up_to(series: &SeriesRef, total: f64) {
    let (cell, whole) = (series.counter(), total as u64);
    if (whole as f64).to_bits() == total.to_bits() && cell.parts().1 == 0.0 && whole >= cell.parts().0 {
        return cell.add_int(whole - cell.parts().0);
    }
    let more = total - cell.get();
    if more < 0.0 {
        cell.reset();
        cell.add(total.max(0.0));
    } else {
        cell.add(more);
    }
}

impl Instrument {
    /// The series for attributes, by the labels that Python makes of them.
    fn series_by_text(&self, py: Python<'_>, attributes: Option<&Bound<'_, PyAny>>) -> PyResult<SeriesRef> {
        let labels: Vec<(String, String)> = self.labels_of.bind(py).call1((attributes,))?.extract()?;
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<&str> = labels.iter().map(|(_, value)| value.as_str()).collect();
        let mut text = Vec::new();
        Labels::new(&names).render(&values, &mut text);
        let before = self.family.len();
        let series = self.family.series_of_text(&text);
        if self.family.len() > before {
            stamp(py, &series);
        }
        Ok(series)
    }

    /// Takes a measurement; false for one that makes no sense.
    fn take(&self, series: &SeriesRef, amount: f64) -> bool {
        match self.action {
            Action::Count if amount >= 0.0 && amount.is_finite() => series.counter().add(amount),
            Action::Shift if amount.is_finite() => series.gauge().add(amount),
            Action::Observe if amount >= 0.0 => return series.histogram().record(amount),
            Action::Set if amount.is_finite() => series.gauge().set_at(amount, ferrometer_core::clock::now()),
            _ => return false,
        }
        true
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[pyclass(extends = Instrument, subclass, frozen, module = "ferrometer._core")]
        pub struct $name;

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = (registry, kind, name, documentation, unit, buckets, max_series, labels_of))]
            #[expect(clippy::too_many_arguments, reason = "called from one place, with all of them")]
            fn new(
                registry: &Bound<'_, Registry>,
                kind: &str,
                name: String,
                documentation: String,
                unit: String,
                buckets: Vec<f64>,
                max_series: usize,
                labels_of: Py<PyAny>,
            ) -> PyResult<PyClassInitializer<Self>> {
                let made = Instrument::new(registry, kind, name, documentation, unit, buckets, max_series, labels_of)?;
                Ok(PyClassInitializer::from(made).add_subclass($name))
            }
        }
    )*};
}

kinds! {
    /// The native half of OpenTelemetry's counters, also those that go down.
    CountInstrument;
    /// The native half of OpenTelemetry's histograms.
    RecordInstrument;
    /// The native half of OpenTelemetry's gauges.
    SetInstrument;
}

/// A call's amount and attributes; the latter null for none.
struct Measurement {
    amount: *mut PyObject,
    attributes: *mut PyObject,
}

impl Measurement {
    /// Those of a call `(amount, attributes=None, context=None)`; `None` for any other.
    ///
    /// # Safety
    /// The GIL is held; `args` heads `nargs` objects, and as many more as the tuple `kwnames`, which may be null, has.
    #[inline]
    unsafe fn of(args: *const *mut PyObject, nargs: Py_ssize_t, kwnames: *mut PyObject) -> Option<Self> {
        // SAFETY: by contract; a place below `nargs` is that of an argument.
        unsafe {
            let argument = |place: Py_ssize_t| if place < nargs { *args.offset(place) } else { null_mut() };
            let mut told = Measurement { amount: argument(0), attributes: argument(1) };
            if nargs > 3 {
                return None;
            }
            if !kwnames.is_null() {
                let py = Python::assume_attached();
                for place in 0..ffi::PyTuple_GET_SIZE(kwnames) {
                    let (name, value) = (ffi::PyTuple_GET_ITEM(kwnames, place), *args.offset(nargs + place));
                    let is = |known: &Bound<'_, PyString>| {
                        ptr::eq(known.as_ptr(), name) || ffi::PyUnicode_Compare(known.as_ptr(), name) == 0
                    };
                    if is(interned!(py, "attributes")) && nargs < 2 {
                        told.attributes = value;
                    } else if is(interned!(py, "amount")) && nargs < 1 {
                        told.amount = value;
                    } else if !is(interned!(py, "context")) || nargs == 3 {
                        return None;
                    }
                }
            }
            if told.attributes == ffi::Py_None() {
                told.attributes = null_mut();
            }
            (!told.amount.is_null()).then_some(told)
        }
    }

    /// The attributes, as they are looked up.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    unsafe fn key(&self) -> Option<Key> {
        if self.attributes.is_null() {
            return Some(Key::empty());
        }
        // SAFETY: by contract; the caller's frame keeps the dict, and nothing changes it meanwhile.
        unsafe { (ffi::PyDict_CheckExact(self.attributes) != 0).then(|| Key::of(self.attributes)).flatten() }
    }
}

#[inline(always)]
unsafe fn instrument<'a>(slf: *mut PyObject) -> &'a Instrument {
    // SAFETY: `slf` is an `Instrument` or a subclass of it, alive during the call; the GIL is held. `get` on a frozen
    // class is an offset.
    unsafe {
        std::hint::assert_unchecked(!slf.is_null());
        let py = Python::assume_attached();
        &*ptr::from_ref(Borrowed::from_ptr(py, slf).cast_unchecked::<Instrument>().get())
    }
}

/// `add(amount, attributes=None, context=None)`, `record(…)`, `set(…)`
unsafe extern "C" fn measure(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls with an instrument as `self`, under the GIL, and with `args` heading as many objects as
    // `nargs` and `kwnames` say. Nothing here runs Python code before `guarded`, so the cache's entry stays.
    unsafe {
        let instrument = instrument(slf);
        if let Some(told) = Measurement::of(args, nargs, kwnames) {
            let known = told.key().and_then(|key| {
                let cache = instrument.cache.peek();
                cache.find(&key, instrument.family.removals())
            });
            if let Some(series) = known {
                let amount = told.amount;
                if ffi::PyFloat_CheckExact(amount) != 0 {
                    if instrument.take(series, ffi::PyFloat_AS_DOUBLE(amount)) {
                        return none();
                    }
                } else if ffi::PyLong_CheckExact(amount) != 0 {
                    let mut overflow = 0;
                    let whole = ffi::PyLong_AsLongLongAndOverflow(amount, &raw mut overflow);
                    if overflow == 0 && instrument.action == Action::Count && whole >= 0 {
                        series.counter().add_int(whole.cast_unsigned());
                        return none();
                    }
                    if overflow == 0 && instrument.take(series, whole as f64) {
                        return none();
                    }
                }
            }
        }
        guarded(slf, args, nargs, kwnames, measure_slow)
    }
}

unsafe fn measure_slow(
    py: Python<'_>,
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> PyResult<Py<PyAny>> {
    // SAFETY: CPython's arguments of the running call, passed on as they came: `self` is an instrument, `args` heads
    // `nargs` objects and those of `kwnames`.
    unsafe {
        let told = Measurement::of(args, nargs, kwnames)
            .ok_or_else(|| PyTypeError::new_err("an instrument takes an amount, attributes and a context"))?;
        let instrument = instrument(slf);
        let amount = Bound::from_borrowed_ptr(py, told.amount);
        let removals = instrument.family.removals();
        let attributes = Bound::from_borrowed_ptr_or_opt(py, told.attributes);
        let series = instrument.series_by_text(py, attributes.as_ref())?;
        // What is not looked up by what it says is told by Python each time.
        if let Some(key) = told.key() {
            instrument.cache.with(|cache| {
                if cache.find(&key, removals).is_none() {
                    cache.insert(py, &key, series.clone(), removals);
                }
            });
        }
        let whole = amount.extract::<u64>().ok().filter(|_| instrument.action == Action::Count);
        if let Some(whole) = whole {
            series.counter().add_int(whole);
        } else if !amount.extract::<f64>().is_ok_and(|amount| instrument.take(&series, amount)) {
            instrument.family.refuse();
        }
        Ok(py.None())
    }
}

/// Adds the raw methods to the classes.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    for (class, name, doc) in [
        (
            py.get_type::<CountInstrument>(),
            c"add",
            c"add($self, /, amount, attributes=None, context=None)\n--\n\nAdds an amount to the series of these attributes.",
        ),
        (
            py.get_type::<RecordInstrument>(),
            c"record",
            c"record($self, /, amount, attributes=None, context=None)\n--\n\nRecords an amount in the series of these attributes.",
        ),
        (
            py.get_type::<SetInstrument>(),
            c"set",
            c"set($self, /, amount, attributes=None, context=None)\n--\n\nSets the series of these attributes.",
        ),
    ] {
        add_method(&class, name, doc, measure)?;
    }
    Ok(())
}
