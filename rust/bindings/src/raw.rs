//! The hot calls as raw method slots: `inc`, `dec`, `set`, `observe`, `labels`.
//!
//! PyO3's own trampoline costs as much as the work done here (a thread-local attach count, a panic
//! guard, argument extraction through `Result`s), so these few functions are plain C functions with
//! CPython's `METH_FASTCALL | METH_KEYWORDS`, added to the PyO3 classes as method descriptors, which
//! the interpreter's specialised calls know. Everything that is not the fast path goes through
//! [`guarded`]: PyO3 again, with errors and panics turned into exceptions.
//!
//! What every `unsafe` in here rests on:
//! - CPython calls a method descriptor only with a `self` of its type (it raises `TypeError`
//!   otherwise), with the GIL, and with `args` heading as many objects as `nargs` and `kwnames` say;
//! - a `Metric`'s `cell` is zero or the address of its cell, kept alive by its `series`, with a bit that says of which
//!   kind the cell is. `Metric::bind` is the only writer.
//! - no fast path can panic: no indexing, no allocation, no arithmetic that checks.

use crate::gil::GilCell;
use crate::metric::{
    child, label_text, Counter, Enum, Gauge, Histogram, Info, Metric, Summary, COUNTER, GAUGE, HISTOGRAM,
};
use crate::thread_exit::protect;
use ferrometer_core::cell::{CounterCell, GaugeCell};
use ferrometer_core::clock::now;
use ferrometer_core::exemplar::Exemplar;
use ferrometer_core::histogram::Histogram as Cells;
use ferrometer_core::segment::remote_removals;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString, PyTuple, PyType};
use std::ffi::{c_int, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes from an object to its `Metric`; the same for every subclass, which append.
static OFFSET: AtomicUsize = AtomicUsize::new(0);

#[inline(always)]
unsafe fn metric<'a>(slf: *mut PyObject) -> &'a Metric {
    // SAFETY: `slf` is a `Metric` or a subclass of it, alive during the call; the GIL is held. `get` on
    // a frozen class is an offset.
    unsafe {
        std::hint::assert_unchecked(!slf.is_null());
        let py = Python::assume_attached();
        &*ptr::from_ref(Borrowed::from_ptr(py, slf).cast_unchecked::<Metric>().get())
    }
}

/// The object whose native part this is; `None` when nobody refers to it any more. CPython puts off the
/// deallocation of what is nested deeply, and other objects' finalisers run meanwhile.
pub fn object_of<'py>(py: Python<'py>, metric: &Metric) -> Option<Bound<'py, PyAny>> {
    let object = (ptr::from_ref(metric) as usize - OFFSET.load(Relaxed)) as *mut PyObject;
    // SAFETY: every `Metric` lives in an object, that many bytes behind its start.
    unsafe { (ffi::Py_REFCNT(object) > 0).then(|| Bound::from_borrowed_ptr(py, object)) }
}

#[inline(always)]
unsafe fn none() -> *mut PyObject {
    // SAFETY: None lives for ever; the GIL is held.
    unsafe {
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}

/// The rest of a method, with its arguments as CPython passed them: in registers, so that the fast path
/// stores none of them.
type Slow =
    unsafe fn(Python<'_>, *mut PyObject, *const *mut PyObject, Py_ssize_t, *mut PyObject) -> PyResult<Py<PyAny>>;

/// Everything but the fast path: errors and panics become exceptions.
///
/// # Safety
/// The arguments are those of the running method.
#[cold]
#[inline(never)]
unsafe fn guarded(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
    slow: Slow,
) -> *mut PyObject {
    protect();
    Python::attach(|py| {
        // SAFETY: by contract.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe { slow(py, slf, args, nargs, kwnames) }))
            .unwrap_or_else(|_| Err(PyRuntimeError::new_err("ferrometer: internal error; please report it")));
        match result {
            Ok(object) => object.into_ptr(),
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    })
}

/// The arguments of a slow call, by position and by name.
struct Arguments<'py> {
    values: Vec<Option<Bound<'py, PyAny>>>,
}

impl<'py> Arguments<'py> {
    unsafe fn parse(
        py: Python<'py>,
        method: &str,
        names: &[&str],
        args: *const *mut PyObject,
        nargs: Py_ssize_t,
        kwnames: *mut PyObject,
    ) -> PyResult<Self> {
        let nargs = usize::try_from(nargs).unwrap_or(0);
        // SAFETY: `args` heads `nargs` objects, and as many more as `kwnames` has entries.
        let object = |index: usize| unsafe { Bound::from_borrowed_ptr(py, *args.add(index)) };
        if nargs > names.len() {
            let most = names.len();
            return Err(PyTypeError::new_err(format!("{method}() takes at most {most} arguments ({nargs} given)")));
        }
        let mut values: Vec<_> = (0..names.len()).map(|index| (index < nargs).then(|| object(index))).collect();
        if !kwnames.is_null() {
            // SAFETY: `kwnames` is a tuple of strings.
            let kwnames = unsafe { Bound::from_borrowed_ptr(py, kwnames).cast_into_unchecked::<PyTuple>() };
            for (index, name) in kwnames.iter().enumerate() {
                let name: String = name.extract()?;
                let place = names.iter().position(|known| *known == name).ok_or_else(|| {
                    PyTypeError::new_err(format!("{method}() got an unexpected keyword argument '{name}'"))
                })?;
                if values[place].replace(object(nargs + index)).is_some() {
                    return Err(PyTypeError::new_err(format!("{method}() got multiple values for argument '{name}'")));
                }
            }
        }
        Ok(Arguments { values })
    }

    fn number(&self, index: usize) -> PyResult<Option<f64>> {
        self.values[index].as_ref().map(PyAnyMethods::extract::<f64>).transpose()
    }

    /// Keeps the exemplar that stands at `index`, if one does, for `bucket` of the series. Raises what
    /// `prometheus_client` raises for a malformed one; the event itself is counted by then, as there.
    fn keep_exemplar(&self, index: usize, metric: &Metric, bucket: usize, value: f64) -> PyResult<()> {
        let Some(exemplar) = self.values[index].as_ref() else { return Ok(()) };
        if !exemplar.is_truthy()? {
            return Ok(());
        }
        exemplar.py().import("ferrometer.metrics.names")?.call_method1("validate_exemplar", (exemplar,))?;
        let mut pairs: Vec<(String, String)> =
            exemplar.call_method0("items")?.try_iter()?.map(|item| item?.extract()).collect::<PyResult<_>>()?;
        pairs.sort();
        metric.parent()?.family.keep_exemplar(metric.series()?, bucket, Exemplar::now(&pairs, value));
        Ok(())
    }
}

/// Counter.inc(amount=1, exemplar=None)
unsafe extern "C" fn counter_inc(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the module's first paragraph, for all of it.
    unsafe {
        let cell = *metric(slf).cell.peek();
        if cell & COUNTER != 0 && kwnames.is_null() {
            let cell = &*((cell - COUNTER) as *const CounterCell);
            if nargs == 0 {
                cell.inc();
                return none();
            }
            if nargs == 1 && ffi::PyFloat_CheckExact(*args) != 0 {
                let amount = ffi::PyFloat_AS_DOUBLE(*args);
                #[expect(clippy::manual_range_contains, reason = "`contains` compiles to a classification of the bits")]
                if amount >= 0.0 && amount < f64::INFINITY {
                    cell.add(amount);
                    return none();
                }
            }
        }
        guarded(slf, args, nargs, kwnames, counter_inc_slow)
    }
}

unsafe fn counter_inc_slow(
    py: Python<'_>,
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> PyResult<Py<PyAny>> {
    // SAFETY: the module's first paragraph, for all of it.
    unsafe {
        let arguments = Arguments::parse(py, "inc", &["amount", "exemplar"], args, nargs, kwnames)?;
        let counter = metric(slf);
        let cell = counter.counter()?;
        if let Some(Ok(whole)) = arguments.values[0].as_ref().map(PyAnyMethods::extract::<u64>) {
            cell.add_int(whole);
            arguments.keep_exemplar(1, counter, 0, whole as f64)?;
            return Ok(py.None());
        }
        let amount = arguments.number(0)?.unwrap_or(1.0);
        if amount < 0.0 {
            return Err(PyValueError::new_err("Counters can only be incremented by non-negative amounts."));
        }
        if !amount.is_finite() {
            return Err(PyValueError::new_err(format!(
                "Counters can only be incremented by finite amounts, not {amount}: the total would never be a \
                 number again. Leave the call out"
            )));
        }
        cell.add(amount);
        arguments.keep_exemplar(1, counter, 0, amount)?;
        Ok(py.None())
    }
}

/// The fast path of `inc`, `dec` and `set`; false when the arguments are not exactly one float, or
/// none and there is a default.
#[inline(always)]
unsafe fn gauge_fast(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
    default: Option<f64>,
    apply: impl FnOnce(&GaugeCell, f64),
) -> bool {
    // SAFETY: the module's first paragraph.
    unsafe {
        let cell = *metric(slf).cell.peek();
        if cell & GAUGE == 0 || !kwnames.is_null() {
            return false;
        }
        let cell = &*((cell - GAUGE) as *const GaugeCell);
        let value = match (nargs, default) {
            (0, Some(default)) => default,
            (1, _) if ffi::PyFloat_CheckExact(*args) != 0 => ffi::PyFloat_AS_DOUBLE(*args),
            _ => return false,
        };
        apply(cell, value);
        true
    }
}

macro_rules! gauge_method {
    ($(#[$doc:meta])* $function:ident, $method:literal, $argument:literal, $default:expr, $apply:expr) => {
        $(#[$doc])*
        unsafe extern "C" fn $function(
            slf: *mut PyObject,
            args: *const *mut PyObject,
            nargs: Py_ssize_t,
            kwnames: *mut PyObject,
        ) -> *mut PyObject {
            unsafe fn slow(
                py: Python<'_>,
                slf: *mut PyObject,
                args: *const *mut PyObject,
                nargs: Py_ssize_t,
                kwnames: *mut PyObject,
            ) -> PyResult<Py<PyAny>> {
                // SAFETY: the module's first paragraph.
                let (arguments, metric) = unsafe {
                    (Arguments::parse(py, $method, &[$argument], args, nargs, kwnames)?, metric(slf))
                };
                if $default.is_some() && metric.parent()?.only_set {
                    return Err(PyRuntimeError::new_err(concat!($method, " must not be used with the mostrecent mode")));
                }
                let gauge = metric.gauge()?;
                let value = match &arguments.values[0] {
                    // As `prometheus_client`, which calls `float()` in `set` alone.
                    Some(text) if $default.is_none() && text.is_instance_of::<PyString>() => {
                        Some(py.get_type::<PyFloat>().call1((text,))?.extract()?)
                    }
                    _ => arguments.number(0)?.or($default),
                };
                let value = value.ok_or_else(|| {
                    PyTypeError::new_err(concat!($method, "() missing 1 required positional argument: '", $argument, "'"))
                })?;
                let apply: fn(&GaugeCell, f64) = $apply;
                if metric.parent()?.only_set {
                    gauge.set_at(value, now());
                } else {
                    apply(gauge, value);
                }
                Ok(py.None())
            }
            // SAFETY: the module's first paragraph.
            unsafe {
                if gauge_fast(slf, args, nargs, kwnames, $default, $apply) {
                    none()
                } else {
                    guarded(slf, args, nargs, kwnames, slow)
                }
            }
        }
    };
}

gauge_method! {
    /// Gauge.inc(amount=1)
    gauge_inc, "inc", "amount", Some(1.0), GaugeCell::add
}
gauge_method! {
    /// Gauge.dec(amount=1)
    gauge_dec, "dec", "amount", Some(1.0), |cell, amount| cell.add(-amount)
}
gauge_method! {
    /// Gauge.set(value)
    gauge_set, "set", "value", None::<f64>, GaugeCell::set
}

/// Histogram.observe(amount, exemplar=None), Summary.observe(amount)
unsafe extern "C" fn observe(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the module's first paragraph, for all of it.
    unsafe {
        let cell = *metric(slf).cell.peek();
        if nargs == 1 && kwnames.is_null() && ffi::PyFloat_CheckExact(*args) != 0 {
            let value = ffi::PyFloat_AS_DOUBLE(*args);
            if cell & HISTOGRAM != 0 {
                let cell = cell - HISTOGRAM;
                if (*(cell as *const Cells)).record_near(value) {
                    return none();
                }
                return observe_far(slf, args, kwnames, cell, value);
            }
        }
        guarded(slf, args, nargs, kwnames, observe_slow)
    }
}

/// Zero, extremes, and the first value of an octave: still without PyO3, but behind a tail call, so that
/// the path of all others saves no register.
#[cold]
#[inline(never)]
unsafe fn observe_far(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    kwnames: *mut PyObject,
    cell: usize,
    value: f64,
) -> *mut PyObject {
    // SAFETY: the module's first paragraph: `cell` is that of a histogram without sampling.
    unsafe {
        if (*(cell as *const Cells)).record(value) {
            return none();
        }
        guarded(slf, args, 1, kwnames, observe_slow)
    }
}

unsafe fn observe_slow(
    py: Python<'_>,
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> PyResult<Py<PyAny>> {
    // SAFETY: the module's first paragraph, for all of it.
    unsafe {
        let arguments = Arguments::parse(py, "observe", &["amount", "exemplar"], args, nargs, kwnames)?;
        let observed = metric(slf);
        let histogram = observed.histogram()?;
        let value = arguments
            .number(0)?
            .ok_or_else(|| PyTypeError::new_err("observe() missing 1 required positional argument: 'amount'"))?;
        let parent = observed.parent()?;
        let counted = match &parent.sampler {
            None => histogram.record(value),
            Some(sampler) if sampler.take() => histogram.record_sample(value),
            Some(_) if value.is_nan() => false,
            Some(_) => {
                histogram.hold();
                true
            }
        };
        if !counted {
            parent.family.refuse();
            return Ok(py.None());
        }
        arguments.keep_exemplar(1, observed, histogram.layout().bucket(value), value)?;
        Ok(py.None())
    }
}

/// Metric.labels(*labelvalues, **labelkwargs)
unsafe extern "C" fn labels(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the module's first paragraph. The child returned by `find` is alive: the cache owns it.
    unsafe {
        let family = metric(slf);
        remote_removals::apply();
        if kwnames.is_null() {
            if let Some(cache) = family.cache.peek() {
                if cache.fits(nargs) && cache.is_current() {
                    let found = cache.find(args);
                    if !found.is_null() {
                        ffi::Py_INCREF(found);
                        return found;
                    }
                }
            }
        }
        guarded(slf, args, nargs, kwnames, labels_slow)
    }
}

unsafe fn labels_slow(
    py: Python<'_>,
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> PyResult<Py<PyAny>> {
    // SAFETY: `slf` is a metric.
    let family = unsafe { Bound::from_borrowed_ptr(py, slf).cast_into_unchecked::<Metric>() };
    let metric = family.get();
    let parent = metric.parent()?;
    // SAFETY: the GIL is held and the cache is set once.
    if unsafe { metric.cache.peek() }.is_none() {
        return Err(if parent.names.is_empty() {
            PyValueError::new_err(format!("No label names were set when constructing {}", family.str()?))
        } else {
            let values = metric.series()?.text();
            PyValueError::new_err(format!(
                "{} already has labels set ({}); can not chain calls to .labels()",
                family.str()?,
                String::from_utf8_lossy(values)
            ))
        });
    }
    // SAFETY: the GIL is held; what is evicted is dropped after the borrow.
    drop(unsafe { metric.cache.with(|cache| cache.as_mut().and_then(|cache| cache.refresh())) });
    let nargs = usize::try_from(nargs).unwrap_or(0);
    let mut key: Vec<*mut PyObject> = Vec::with_capacity(parent.names.len());
    if kwnames.is_null() {
        if nargs != parent.names.len() {
            return Err(PyValueError::new_err("Incorrect label count"));
        }
        // SAFETY: `args` heads `nargs` objects.
        key.extend((0..nargs).map(|index| unsafe { *args.add(index) }));
    } else {
        if nargs > 0 {
            return Err(PyValueError::new_err("Can't pass both *args and **kwargs"));
        }
        // SAFETY: `kwnames` is a tuple of strings, and `args` heads as many objects.
        let kwnames = unsafe { Bound::from_borrowed_ptr(py, kwnames).cast_into_unchecked::<PyTuple>() };
        if kwnames.len() != parent.names.len() {
            return Err(PyValueError::new_err("Incorrect label names"));
        }
        for name in &parent.names {
            let place = kwnames.iter().position(|given| given.is(name) || given.eq(name).unwrap_or(false));
            let place = place.ok_or_else(|| PyValueError::new_err("Incorrect label names"))?;
            // SAFETY: `place` is below the number of keyword arguments.
            key.push(unsafe { *args.add(place) });
        }
        // SAFETY: as in the fast path; `key` has one object per label. Comparing the names may have run
        // Python code, so the cache is looked at from here on.
        let found = unsafe {
            metric
                .cache
                .peek()
                .as_ref()
                .filter(|cache| cache.is_current())
                .map_or(ptr::null_mut(), |cache| cache.find(key.as_ptr()))
        };
        if !found.is_null() {
            // SAFETY: the cache owns a reference to it.
            return Ok(unsafe { Bound::from_borrowed_ptr(py, found) }.unbind());
        }
    }
    // SAFETY: the caller's frame keeps its arguments alive.
    let values: Vec<Bound<'_, PyAny>> =
        key.iter().map(|&object| unsafe { Bound::from_borrowed_ptr(py, object) }).collect();
    let removals = parent.family.removals();
    let made = with_texts(&values, |texts| child(&family, texts))?;
    // What nobody else refers to will not be passed again; a label that is no string is looked at
    // each time, because its text may change.
    let lasting = values.iter().all(|value| value.is_exact_instance_of::<PyString>() && is_shared(value));
    if lasting {
        // SAFETY: the GIL is held; all pointers are live; nothing in `insert` runs Python, and what it
        // replaced is dropped after the borrow.
        let evicted = unsafe {
            metric.cache.with(|cache| cache.as_mut().map(|cache| cache.insert(&key, made.as_ptr(), removals)))
        };
        drop(evicted);
    }
    Ok(made.unbind())
}

/// Whether anything but the caller's stack and `value` itself refers to an object.
fn is_shared(value: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is alive and the GIL is held.
    unsafe { ffi::Py_REFCNT(value.as_ptr()) > 2 }
}

/// Runs `f` on the texts of label values, borrowed from the strings where that is possible.
fn with_texts<R>(values: &[Bound<'_, PyAny>], f: impl FnOnce(&[&str]) -> PyResult<R>) -> PyResult<R> {
    let mut borrowed = Vec::with_capacity(values.len());
    for value in values {
        if let Some(text) = value.cast_exact::<PyString>().ok().and_then(|text| text.to_str().ok()) {
            borrowed.push(text);
        } else {
            let owned = values.iter().map(label_text).collect::<PyResult<Vec<String>>>()?;
            return f(&owned.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    f(&borrowed)
}

/// A new, empty object of a metric class, past whatever `__new__` and `__init__` Python defined.
pub fn new_child<'py>(kind: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = kind.py();
    let natives = natives(py);
    let mut native = kind.as_type_ptr();
    while !natives.iter().any(|known| ptr::eq(known.as_type_ptr(), native)) {
        // SAFETY: a live type; the chain of bases ends with null.
        native = unsafe { (*native).tp_base };
        if native.is_null() {
            return Err(PyTypeError::new_err(format!("{} is no metric class", kind.name()?)));
        }
    }
    let arguments = PyTuple::empty(py);
    // SAFETY: a PyO3 class has a `tp_new`; the subtype derives from it; it takes any arguments.
    unsafe {
        let new = (*native).tp_new.ok_or_else(|| PyRuntimeError::new_err("a metric class without tp_new"))?;
        Bound::from_owned_ptr_or_err(py, new(kind.as_type_ptr(), arguments.as_ptr(), ptr::null_mut()))
    }
}

pub fn natives(py: Python<'_>) -> [Bound<'_, PyType>; 6] {
    [
        py.get_type::<Counter>(),
        py.get_type::<Gauge>(),
        py.get_type::<Histogram>(),
        py.get_type::<Summary>(),
        py.get_type::<Info>(),
        py.get_type::<Enum>(),
    ]
}

/// Adds the raw methods to the classes.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let probe = Bound::new(py, Metric::with(Counter))?;
    let native = ptr::from_ref(probe.as_super().get()) as usize;
    OFFSET.store(native - probe.as_ptr() as usize, Relaxed);

    let [counter, gauge, histogram, summary, ..] = natives(py);
    let metric = py.get_type::<Metric>();
    add(
        &metric,
        c"labels",
        c"labels($self, /, *labelvalues, **labelkwargs)\n--\n\nThe child with these label values, \
        made when it is not there; ValueError when they do not match the label names.",
        labels,
    )?;
    add(
        &counter,
        c"inc",
        c"inc($self, /, amount=1, exemplar=None)\n--\n\nIncrements by the amount, which is finite and \
        not negative.",
        counter_inc,
    )?;
    add(&gauge, c"inc", c"inc($self, /, amount=1)\n--\n\nIncrements by the amount.", gauge_inc)?;
    add(&gauge, c"dec", c"dec($self, /, amount=1)\n--\n\nDecrements by the amount.", gauge_dec)?;
    add(&gauge, c"set", c"set($self, /, value)\n--\n\nSets the value.", gauge_set)?;
    add(
        &histogram,
        c"observe",
        c"observe($self, /, amount, exemplar=None)\n--\n\nRecords an amount, in the metric's \
        unit. NaN is counted in a self-metric and nowhere else.",
        observe,
    )?;
    add(
        &summary,
        c"observe",
        c"observe($self, /, amount)\n--\n\nRecords an amount, in the metric's unit. NaN is \
        counted in a self-metric and nowhere else.",
        observe,
    )
}

/// A C function with `METH_FASTCALL | METH_KEYWORDS`.
pub type Method = unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, Py_ssize_t, *mut PyObject) -> *mut PyObject;

/// A raw method: the class that has it, and its definition, which lives for ever.
struct Raw {
    class: Py<PyType>,
    definition: usize,
    name: &'static CStr,
}

/// What `add` added.
static RAW: GilCell<Vec<Raw>> = GilCell::new(Vec::new());

/// Adds a raw method to a class.
pub fn add(class: &Bound<'_, PyType>, name: &'static CStr, doc: &'static CStr, method: Method) -> PyResult<()> {
    const FLAGS: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    // The descriptor refers to the definition for as long as the class lives, which is for ever.
    let definition: *mut _ = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: method },
        ml_flags: FLAGS,
        ml_doc: doc.as_ptr(),
    }));
    let raw = Raw { class: class.clone().unbind(), definition: definition as usize, name };
    describe(class, &raw)?;
    // SAFETY: the GIL is held; pushing runs no Python.
    unsafe { RAW.with(|all| all.push(raw)) };
    Ok(())
}

/// Puts a method descriptor of this very class into it.
fn describe(class: &Bound<'_, PyType>, raw: &Raw) -> PyResult<()> {
    let definition = raw.definition as *mut ffi::PyMethodDef;
    // SAFETY: the class and the definition are valid; the result is a new reference or an error.
    let descriptor =
        unsafe { Bound::from_owned_ptr_or_err(class.py(), ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))? };
    class.setattr(raw.name.to_str().unwrap_or_default(), descriptor)
}

/// Gives a subclass descriptors of its own for the raw methods that it inherits. The interpreter's
/// specialised calls are for objects of the descriptor's very class; any other call costs 170 more
/// instructions.
#[pyfunction]
pub fn own_methods(class: &Bound<'_, PyType>) -> PyResult<()> {
    protect();
    let py = class.py();
    // SAFETY: the GIL is held; the list is complete once the module is imported.
    for raw in unsafe { RAW.peek() } {
        if class.is_subclass(raw.class.bind(py))? {
            let inherited = class.getattr(raw.name.to_str().unwrap_or_default())?;
            // SAFETY: a live object. A Python method of that name overrides ours and stays.
            if unsafe { ffi::Py_TYPE(inherited.as_ptr()) == &raw mut ffi::PyMethodDescr_Type } {
                describe(class, raw)?;
            }
        }
    }
    Ok(())
}
