//! `get_logger(name)`: structlog's calling style, as raw method slots.
//!
//! What every `unsafe` in here rests on: CPython calls a method descriptor only with a `self` of its type, with the
//! GIL, and with `args` heading as many objects as `nargs` and `kwnames` say.

use super::context::LogContext;
use super::event::{emit, Event};
use super::value::is_same;
use super::{level, record};
use crate::hot::methods::add;
use crate::thread_exit::protect;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// A logger: a name, and fields that all its lines have.
#[pyclass(frozen, subclass, weakref, module = "ferrometer._core")]
pub struct Logger {
    name: String,
    bound: Option<Py<LogContext>>,
}

#[pymethods]
impl Logger {
    #[new]
    #[pyo3(signature = (name, bound=None))]
    fn new(name: String, bound: Option<Py<LogContext>>) -> Self {
        Logger { name, bound }
    }

    /// The logger's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Fields that all its lines have.
    #[getter]
    fn bound(&self, py: Python<'_>) -> Option<Py<LogContext>> {
        self.bound.as_ref().map(|bound| bound.clone_ref(py))
    }

    /// A logger with more fields, of the same class. A field of the same name is replaced, and taken out by None.
    #[pyo3(signature = (**fields))]
    fn bind<'py>(slf: &Bound<'py, Self>, fields: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let none = PyDict::new(py);
        let context = py.get_type::<LogContext>().call1((&slf.get().bound, fields.unwrap_or(&none)))?;
        slf.get_type().call1((&slf.get().name, context))
    }

    fn __repr__(&self) -> String {
        format!("<ferrometer logger {:?}>", self.name)
    }
}

/// Whether an exception is told when the call does not say so.
const NO_EXCEPTION: bool = false;

/// # Safety
/// The arguments are those of the running method.
#[inline(always)]
unsafe fn call<const LEVEL: u32, const EXCEPTION: bool>(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    if level::is_on(LEVEL) {
        // SAFETY: by contract.
        unsafe { told(slf, args, nargs, kwnames, LEVEL, EXCEPTION) };
    }
    // SAFETY: None lives for ever; the GIL is held.
    unsafe {
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}

/// # Safety
/// The arguments are those of the running method.
#[inline(never)]
unsafe fn told(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
    level: u32,
    has_exception: bool,
) {
    protect();
    // SAFETY: the GIL is held.
    let py = unsafe { Python::assume_attached() };
    // An exception that is being handled must neither be seen nor be changed by what runs here.
    let raised = PyErr::take(py);
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let nargs = usize::try_from(nargs).unwrap_or(0);
        // SAFETY: `args` heads `nargs` objects, and as many more as `kwnames` has entries.
        let argument = |place: usize| unsafe { Bound::from_borrowed_ptr(py, *args.add(place)) };
        // SAFETY: a `Logger` by the descriptor's own check; alive during the call.
        let slf = unsafe { Bound::from_borrowed_ptr(py, slf).cast_into_unchecked::<Logger>() };
        let logger = slf.get();
        let mut fields = Vec::new();
        let mut error = has_exception.then(|| handled(py)).flatten();
        if !kwnames.is_null() {
            // SAFETY: `kwnames` is a tuple of strings.
            let names = unsafe { Bound::from_borrowed_ptr(py, kwnames).cast_into_unchecked::<PyTuple>() };
            fields.reserve(names.len());
            for (place, name) in names.iter().enumerate() {
                // SAFETY: names of keyword arguments are strings, says the vectorcall protocol.
                let name = unsafe { name.cast_into_unchecked::<PyString>() };
                let value = argument(nargs + place);
                if is_same(&name, crate::once::interned!(py, "exc_info")) {
                    error = exception(py, &value).or(error.filter(|_| value.is_truthy().unwrap_or(false)));
                } else if !is_same(&name, crate::once::interned!(py, "stack_info")) {
                    fields.push((name, value));
                }
            }
        }
        let message = match nargs {
            0 => PyString::new(py, "").into_any(),
            1 => argument(0),
            _ => formatted(py, &argument(0), (1..nargs).map(argument).collect()),
        };
        let bound = logger.bound.as_ref().map(Py::get);
        let (level, logger) = (level as usize, logger.name.as_str());
        emit(
            py,
            &Event { level, logger, message: &message, bound, fields: &fields, error, time_ns: None, trace: None },
        );
    }));
    drop(PyErr::take(py));
    if let Some(raised) = raised {
        raised.restore(py);
    }
}

/// The message with its arguments. As `logging` has it, one dict is what names refer to.
fn formatted<'py>(
    py: Python<'py>,
    message: &Bound<'py, PyAny>,
    arguments: Vec<Bound<'py, PyAny>>,
) -> Bound<'py, PyAny> {
    match &arguments[..] {
        [one] if one.is_instance_of::<PyDict>() => record::formatted(message, one),
        _ => match PyTuple::new(py, arguments) {
            Ok(all) => record::formatted(message, all.as_any()),
            Err(_) => message.clone(),
        },
    }
}

/// The exception that is being handled.
fn handled(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let error = py.import("sys").and_then(|sys| sys.call_method0("exception")).ok()?;
    (!error.is_none()).then_some(error)
}

/// What `exc_info=` means: an exception, the triple of one, or the one that is being handled.
pub fn exception<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if value.is_instance_of::<pyo3::exceptions::PyBaseException>() {
        return Some(value.clone());
    }
    if let Ok(triple) = value.cast::<PyTuple>() {
        return triple.get_item(1).ok().filter(|error| !error.is_none());
    }
    if value.is_truthy().unwrap_or(false) {
        handled(py)
    } else {
        None
    }
}

macro_rules! methods {
    ($($function:ident $name:literal $level:literal $exception:expr, $doc:literal;)*) => {
        $(unsafe extern "C" fn $function(
            slf: *mut PyObject,
            args: *const *mut PyObject,
            nargs: Py_ssize_t,
            kwnames: *mut PyObject,
        ) -> *mut PyObject {
            // SAFETY: CPython's call of the method.
            unsafe { call::<$level, { $exception }>(slf, args, nargs, kwnames) }
        })*

        /// Adds the methods to the class.
        pub fn install(py: Python<'_>) -> PyResult<()> {
            let class = py.get_type::<Logger>();
            $({
                const NAME: &std::ffi::CStr =
                    match std::ffi::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name"),
                    };
                const DOC: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
                    concat!($name, "($self, event=\"\", /, *args, **fields)\n--\n\n", $doc, "\0").as_bytes(),
                ) {
                    Ok(doc) => doc,
                    Err(_) => panic!("a text"),
                };
                add(&class, NAME, DOC, $function)?;
            })*
            Ok(())
        }
    };
}

methods! {
    log_debug "debug" 0 NO_EXCEPTION, "For whoever debugs.";
    log_info "info" 1 NO_EXCEPTION, "An ordinary event.";
    log_warning "warning" 2 NO_EXCEPTION, "Something unexpected that was dealt with.";
    log_warn "warn" 2 NO_EXCEPTION, "The same as `warning`.";
    log_error "error" 3 NO_EXCEPTION, "Something failed.";
    log_exception "exception" 3 true, "Something failed, and the exception that is being handled says what.";
    log_critical "critical" 4 NO_EXCEPTION, "The process cannot go on.";
    log_fatal "fatal" 4 NO_EXCEPTION, "The same as `critical`.";
}
