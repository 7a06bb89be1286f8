//! Functions that make spans: `span(...)`, `start_span(...)`, `span_elsewhere(...)`.

use super::core::{Place, KINDS};
use super::span::{parent as present, Given, Span};
use super::tracer::{buffer, give_back};
use super::value;
use crate::thread_exit::protect;
use ferrometer_traces::context::{Context, SAMPLED};
use ferrometer_traces::ids::read_hex;
use ferrometer_traces::tracestate;
use ferrometer_traces::write::Pairs;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::ptr::null_mut;
use std::sync::Arc;

/// `span(name, /, **attributes)`
unsafe extern "C" fn span(
    _: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls this with the GIL held, and with `args` heading as many objects as `nargs` and `names` say.
    unsafe {
        let py = Python::assume_attached();
        let made = if nargs == 1 && ffi::PyUnicode_Check(*args) != 0 {
            let count = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) as usize };
            let given = Given {
                name: Bound::from_borrowed_ptr(py, *args).cast_into_unchecked::<PyString>().unbind(),
                names: (count > 0)
                    .then(|| Bound::from_borrowed_ptr(py, names).cast_into_unchecked::<PyTuple>().unbind()),
                values: (0..count).map(|at| Bound::from_borrowed_ptr(py, *args.add(1 + at)).unbind()).collect(),
            };
            Bound::new(py, Span::of(given))
        } else {
            Err(PyTypeError::new_err("span() takes a name, which is a string, and attributes by name"))
        };
        match made {
            Ok(span) => span.into_ptr(),
            Err(error) => {
                error.restore(py);
                null_mut()
            }
        }
    }
}

const SPAN_DOC: &std::ffi::CStr = c"span(name, /, **attributes)\n--\n\nA span that begins with `with`, `async with`, the call of a function that it decorates, or `start()`.";

/// Adds the function.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // The function refers to its definition for ever.
    let definition: *mut ffi::PyMethodDef = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: c"span".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: span },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: SPAN_DOC.as_ptr(),
    }));
    let name = PyString::new(module.py(), "ferrometer._core");
    // SAFETY: a definition that lives for ever, and the name of a module; the result is a new reference, or null.
    let function = unsafe {
        Bound::from_owned_ptr_or_err(module.py(), ffi::PyCFunction_NewEx(definition, null_mut(), name.as_ptr()))?
    };
    module.add("span", function)
}

/// A span that is linked to, and attributes of the link.
type Linked<'py> = (Bound<'py, Span>, Option<Bound<'py, PyAny>>);

/// Makes a span and begins it. `kind`: internal, server, client, producer, consumer. `parent`: a span; without it, the
/// present one. `is_root`: it begins a trace. `scope`: the library that makes it, and its version. Raises
/// `ValueError` for an unknown kind.
#[pyfunction]
#[pyo3(signature = (name, kind="internal", *, parent=None, is_root=false, attributes=None, start_ns=None, links=None, scope=None))]
#[expect(clippy::too_many_arguments, reason = "they are the keyword arguments of the Python function")]
pub fn start_span<'py>(
    py: Python<'py>,
    name: Bound<'py, PyString>,
    kind: &str,
    parent: Option<&Bound<'py, Span>>,
    is_root: bool,
    attributes: Option<&Bound<'py, PyAny>>,
    start_ns: Option<u64>,
    links: Option<Vec<Linked<'py>>>,
    scope: Option<(String, String)>,
) -> PyResult<Bound<'py, Span>> {
    protect();
    let number = KINDS
        .iter()
        .position(|&known| known == kind)
        .ok_or_else(|| PyValueError::new_err(format!("kind must be one of {}, not {kind:?}", KINDS.join(", "))))?;
    let parent = match parent {
        _ if is_root => None,
        None => present(py),
        Some(parent) => parent.get().as_parent(),
    };
    let span = Bound::new(py, Span::of(Given { name: name.unbind(), names: None, values: Vec::new() }))?;
    span.get().begin(py, parent, number as u8 + 1, start_ns);
    if let Some(tracer) = span.get().tracer() {
        let mut pairs = Pairs::within(buffer(py));
        if let Some(attributes) = attributes.filter(|attributes| !attributes.is_none()) {
            value::set_all(&mut pairs, &tracer, tracer.limits.attributes, attributes);
        }
        let old = span.get().recording(|recording| {
            recording.scope = scope.map(Box::new);
            std::mem::replace(&mut recording.attributes, pairs)
        });
        if let Some(old) = old {
            give_back(py, old.into_bytes());
        }
        for (to, attributes) in links.into_iter().flatten() {
            span.get().add_link(py, &to, attributes.as_ref());
        }
    }
    Ok(span)
}

/// A span of another process, by its ids in hexadecimal digits; None when they are none.
#[pyfunction]
#[pyo3(signature = (trace_id, span_id, is_sampled=true, tracestate="", is_remote=true))]
pub fn span_elsewhere<'py>(
    py: Python<'py>,
    trace_id: &str,
    span_id: &str,
    is_sampled: bool,
    tracestate: &str,
    is_remote: bool,
) -> PyResult<Option<Bound<'py, Span>>> {
    let mut context = Context { flags: if is_sampled { SAMPLED } else { 0 }, ..Context::default() };
    let is_read =
        read_hex(trace_id.as_bytes(), &mut context.trace_id) && read_hex(span_id.as_bytes(), &mut context.span_id);
    if !is_read || !context.is_valid() {
        return Ok(None);
    }
    let tracestate = tracestate::parse(tracestate.as_bytes()).filter(|state| !state.is_empty()).map(Arc::from);
    Bound::new(py, Span::elsewhere(py, Place { context, tracestate }, is_remote)).map(Some)
}
