//! Events of `logging` that become a line without a record in between.
//!
//! For each event `logging` looks for the caller's file, line and function, and makes a `LogRecord` of some twenty
//! attributes, of which our lines tell four. Where nobody but our own handlers would see the record, it is not made. Where
//! anybody else could (another handler, a filter, a record factory, a subclass or a patch of `logging`), all goes on as
//! `logging` has it.

use super::event::{emit, Event};
use super::logger::exception;
use super::{level, record, value};
use crate::gil::GilCell;
use crate::hot::methods::descriptor;
use crate::once::{interned, Once};
use crate::thread_exit::protect;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyString, PyTuple, PyType};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// The methods between an event and its handlers, as `logging` has them.
const METHODS: [&str; 3] = ["makeRecord", "handle", "callHandlers"];

/// What is found once, with nothing patched.
struct Stock {
    /// `Logger._log` of `logging`.
    log: Py<PyAny>,
    /// Ours.
    direct: Py<PyAny>,
    methods: [(Py<PyString>, Py<PyAny>); METHODS.len()],
    /// The module's names, and the class of its records.
    names: Py<PyDict>,
    record: Py<PyAny>,
}

static STOCK: Once<Option<Stock>> = Once::new();
/// The class of our handlers.
static HANDLER: GilCell<Option<Py<PyType>>> = GilCell::new(None);

/// Has `logging` make no records where only handlers of this class would see them, or again all of them. Does nothing
/// where somebody has replaced parts of `logging`.
#[pyfunction]
pub fn log_directly(py: Python<'_>, wanted: bool, handler: &Bound<'_, PyType>) -> PyResult<()> {
    protect();
    let class = py.import("logging")?.getattr("Logger")?.cast_into::<PyType>()?;
    let Some(stock) = STOCK.get_or_try_make(py, || stock(&class))? else { return Ok(()) };
    // SAFETY: the GIL is held. The class before is one of a module, and does not end here.
    let before = unsafe { HANDLER.with(|class| class.replace(handler.clone().unbind())) };
    drop(before);
    let present = class.getattr("__dict__")?.get_item("_log")?;
    let (from, to) = if wanted { (&stock.log, &stock.direct) } else { (&stock.direct, &stock.log) };
    if present.is(from) {
        class.setattr("_log", to)?;
    }
    Ok(())
}

/// `logging` as it is; nothing when something of it was replaced.
fn stock(class: &Bound<'_, PyType>) -> PyResult<Option<Stock>> {
    let py = class.py();
    let module = py.import("logging")?;
    let own = file(&module.getattr("getLogger")?)?;
    let method = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        let function = class.getattr(name)?;
        let is_own = file(&function).is_ok_and(|file| file.eq(&own).unwrap_or(false));
        Ok(is_own.then_some(function))
    };
    let Some(log) = method("_log")? else { return Ok(None) };
    let mut methods = Vec::new();
    for name in METHODS {
        let Some(function) = method(name)? else { return Ok(None) };
        methods.push((PyString::intern(py, name).unbind(), function.unbind()));
    }
    let Ok(methods) = methods.try_into() else { return Ok(None) };
    Ok(Some(Stock {
        log: log.unbind(),
        direct: descriptor(class, c"_log", c"Logs an event.", direct)?.unbind(),
        methods,
        names: module.dict().unbind(),
        record: module.getattr("LogRecord")?.unbind(),
    }))
}

/// The file of a Python function.
fn file<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    function.getattr("__code__")?.getattr("co_filename")
}

/// `Logger._log(level, msg, args, exc_info=None, extra=None, stack_info=False, stacklevel=1)`.
unsafe extern "C" fn direct(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    protect();
    // SAFETY: CPython calls a method with the GIL.
    let py = unsafe { Python::assume_attached() };
    let Some(Some(stock)) = STOCK.get(py) else { return std::ptr::null_mut() };
    let is_told = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: CPython's call: `args` heads `nargs` objects, and as many more as `kwnames` has names.
        let told = unsafe { tell(py, stock, slf, args, nargs, kwnames) };
        drop(PyErr::take(py));
        told
    }));
    // SAFETY: the arguments of this call go on to the function of `logging`, behind their object; None lives for ever.
    unsafe {
        if matches!(is_told, Ok(Some(()))) {
            let none = ffi::Py_None();
            ffi::Py_INCREF(none);
            return none;
        }
        let names = if kwnames.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(kwnames) };
        let count = usize::try_from(nargs + names).unwrap_or(0);
        let mut all = Vec::with_capacity(count + 1);
        all.push(slf);
        all.extend((0..count).map(|place| *args.add(place)));
        ffi::PyObject_Vectorcall(stock.log.as_ptr(), all.as_ptr(), nargs as usize + 1, kwnames)
    }
}

/// Logs the event; `None` when `logging` has to.
///
/// # Safety
/// The arguments are those of the running method.
unsafe fn tell(
    py: Python<'_>,
    stock: &Stock,
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> Option<()> {
    if nargs != 3 {
        return None;
    }
    // SAFETY: by contract.
    let argument = |place: usize| unsafe { Bound::from_borrowed_ptr(py, *args.add(place)) };
    // SAFETY: alive during the call.
    let logger = unsafe { Bound::from_borrowed_ptr(py, slf) };
    let number: i64 = argument(0).extract().ok()?;
    let own = dict(&logger)?;
    let lines = receivers(py, stock, &logger, &own, number)?;
    let (mut fields, mut error) = (Vec::new(), None);
    if !kwnames.is_null() {
        // SAFETY: `kwnames` is a tuple of strings.
        let names = unsafe { Bound::from_borrowed_ptr(py, kwnames).cast_into_unchecked::<PyTuple>() };
        for (place, name) in names.iter().enumerate() {
            let name = name.cast_into::<PyString>().ok()?;
            let value = argument(3 + place);
            if value::is_same(&name, interned!(py, "extra")) {
                if value.is_none() {
                    continue;
                }
                for (name, value) in value.cast_exact::<PyDict>().ok()? {
                    let name = name.cast_into_exact::<PyString>().ok()?;
                    if record::is_standard(&name) {
                        return None;
                    }
                    fields.push((name, value));
                }
            } else if value::is_same(&name, interned!(py, "exc_info")) {
                error = exception(py, &value);
            } else if !value::is_same(&name, interned!(py, "stacklevel")) {
                return None;
            }
        }
    }
    let level = record::level_of(number);
    if !level::is_on(level) {
        return Some(());
    }
    let name = own.get_item(interned!(py, "name")).ok()??.cast_into::<PyString>().ok()?;
    let arguments = argument(2).cast_into::<PyTuple>().ok()?;
    let message = match arguments.len() {
        0 => argument(1),
        1 => {
            // As in `LogRecord`: one mapping is what names refer to.
            let one = arguments.get_item(0).ok()?;
            let is_mapping = one.cast::<PyMapping>().is_ok() && one.is_truthy().unwrap_or(false);
            record::formatted(&argument(1), if is_mapping { &one } else { arguments.as_any() })
        }
        _ => record::formatted(&argument(1), arguments.as_any()),
    };
    let (level, logger) = (level as usize, name.to_str().unwrap_or(""));
    for _ in 0..lines {
        let (error, message) = (error.clone(), &message);
        emit(py, &Event { level, logger, message, bound: None, fields: &fields, error, time_ns: None, trace: None });
    }
    Some(())
}

/// How many of our handlers would get the record; `None` when others would see it, or it would reach nobody.
fn receivers(
    py: Python<'_>,
    stock: &Stock,
    logger: &Bound<'_, PyAny>,
    own: &Bound<'_, PyDict>,
    number: i64,
) -> Option<usize> {
    let class = logger.get_type();
    for (name, function) in &stock.methods {
        if !class.getattr(name).ok()?.is(function) {
            return None;
        }
    }
    if !stock.names.bind(py).get_item(interned!(py, "_logRecordFactory")).ok()??.is(&stock.record) {
        return None;
    }
    // SAFETY: the GIL is held; an address is copied, and never followed.
    let ours = unsafe { HANDLER.peek() }.as_ref().map(Py::as_ptr)?;
    let is_disabled = own.get_item(interned!(py, "disabled")).ok()??.is_truthy().ok()?;
    if is_disabled || !is_empty(&own.get_item(interned!(py, "filters")).ok()??) {
        return None;
    }
    let mut found = 0;
    let mut present = own.clone();
    loop {
        for handler in present.get_item(interned!(py, "handlers")).ok()??.cast_exact::<PyList>().ok()? {
            if handler.get_type_ptr().cast::<PyObject>() != ours {
                return None;
            }
            let its = dict(&handler)?;
            if !is_empty(&its.get_item(interned!(py, "filters")).ok()??) {
                return None;
            }
            let least: i64 = its.get_item(interned!(py, "level")).ok()??.extract().ok()?;
            found += usize::from(number >= least);
        }
        if !present.get_item(interned!(py, "propagate")).ok()??.is_truthy().ok()? {
            break;
        }
        let parent = present.get_item(interned!(py, "parent")).ok()??;
        if parent.is_none() {
            break;
        }
        present = dict(&parent)?;
    }
    (found > 0).then_some(found)
}

fn is_empty(list: &Bound<'_, PyAny>) -> bool {
    list.cast_exact::<PyList>().is_ok_and(pyo3::types::PyListMethods::is_empty)
}

/// The attributes of an object.
fn dict<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    // SAFETY: a live object; the result is a new reference, or null with an exception.
    let found = unsafe {
        let attributes = ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), attributes)
    };
    found.ok()?.cast_into().ok()
}
