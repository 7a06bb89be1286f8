//! What all lines of a request or a job have in common: fields that are rendered once.

use super::style;
use super::value;
use crate::once::Once;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// A field, and how it looks in a line: `,"name":value`.
pub struct Rendered {
    /// Its name.
    pub name: Py<PyString>,
    /// What is appended.
    pub json: Vec<u8>,
    /// Whether the format has it in its group, where it cannot be appended.
    pub in_group: bool,
    /// The value, for another style.
    pub value: Py<PyAny>,
}

/// Fields of every line that is logged within it.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct LogContext {
    /// In the order of their making.
    pub fields: Vec<Rendered>,
    /// For which style they were rendered.
    pub style: usize,
    /// The trace, in binary; all zero for none.
    pub trace_id: [u8; 16],
    /// The span, likewise.
    pub span_id: [u8; 8],
}

#[pymethods]
impl LogContext {
    /// The fields of `parent`, if there is one, and these; a field of the same name replaces the parent's, and None
    /// takes it out.
    #[new]
    fn new(parent: Option<&Bound<'_, LogContext>>, fields: &Bound<'_, PyDict>) -> PyResult<Self> {
        crate::thread_exit::protect();
        let py = fields.py();
        let mut all: Vec<(Bound<'_, PyString>, Bound<'_, PyAny>)> = Vec::new();
        if let Some(parent) = parent {
            // Whether a trace is sampled is said of that trace only.
            let is_other_trace = fields.contains(crate::once::interned!(py, "trace_id"))?;
            let sampled = crate::once::interned!(py, "trace_sampled");
            for field in &parent.get().fields {
                let is_outdated = is_other_trace && value::is_same(field.name.bind(py), sampled);
                if !is_outdated && !fields.contains(&field.name)? {
                    all.push((field.name.bind(py).clone(), field.value.bind(py).clone()));
                }
            }
        }
        for (name, value) in fields.iter() {
            if !value.is_none() {
                all.push((name.cast_into()?, value));
            }
        }
        Ok(render(py, &all))
    }

    /// The fields by name.
    fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        crate::thread_exit::protect();
        let found = PyDict::new(py);
        for field in &self.fields {
            found.set_item(&field.name, &field.value)?;
        }
        Ok(found)
    }
}

fn render(py: Python<'_>, all: &[(Bound<'_, PyString>, Bound<'_, PyAny>)]) -> LogContext {
    let style = style::current(py);
    let mut context = LogContext {
        fields: Vec::with_capacity(all.len()),
        style: std::sync::Arc::as_ptr(&style) as usize,
        trace_id: [0; 16],
        span_id: [0; 8],
    };
    for (name, value) in all {
        let key = style::key(&style, name);
        let (mut out, mut group) = (Vec::new(), Vec::new());
        if !key.in_group {
            let mut line = style.fragment(&mut out, &mut group);
            line.field(&key);
            value::of_field(&mut line, &style, &key, value);
        }
        if let Ok(text) = value.cast::<PyString>() {
            let text = text.to_string_lossy();
            match &*name.to_string_lossy() {
                "trace_id" => unhex(&text, &mut context.trace_id),
                "span_id" => unhex(&text, &mut context.span_id),
                _ => {}
            }
        }
        context.fields.push(Rendered {
            name: name.clone().unbind(),
            json: out,
            in_group: key.in_group,
            value: value.clone().unbind(),
        });
    }
    context
}

/// The bytes of as many pairs of hexadecimal digits; nothing for another text.
pub fn unhex(text: &str, out: &mut [u8]) {
    if text.len() == out.len() * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        for (place, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).unwrap_or(0);
        }
    }
}

static VARIABLE: Once<Py<PyAny>> = Once::new();
static REQUEST_ID: Once<Py<PyAny>> = Once::new();

/// Makes the variable that holds the present context; that of the request's id is there already.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let class = py.import("contextvars")?.getattr("ContextVar")?;
    let fallback = PyDict::new(py);
    fallback.set_item("default", py.None())?;
    let variable = class.call(("ferrometer_log_context",), Some(&fallback))?;
    module.add("log_context_var", &variable)?;
    VARIABLE.set(py, variable.unbind());
    REQUEST_ID.set(py, module.getattr("request_id_var")?.unbind());
    Ok(())
}

/// Enters a context with a trace, whose digits are given; returns what undoes it.
pub fn enter_trace<'py>(py: Python<'py>, trace_id: &str, span_id: &str, is_sampled: bool) -> Option<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item(crate::once::interned!(py, "trace_id"), trace_id).ok()?;
    fields.set_item(crate::once::interned!(py, "span_id"), span_id).ok()?;
    if style::current(py).format.tells_sampling() {
        fields.set_item(crate::once::interned!(py, "trace_sampled"), is_sampled).ok()?;
    }
    let around = current(py);
    let context = Bound::new(py, LogContext::new(around.as_ref(), &fields).ok()?).ok()?;
    // SAFETY: a context variable and a live object; the result is a new reference, or null with an exception.
    unsafe {
        let token = pyo3::ffi::PyContextVar_Set(VARIABLE.get(py)?.as_ptr(), context.as_ptr());
        Bound::from_owned_ptr_or_err(py, token).ok()
    }
}

/// Leaves it. In another context than it was entered in, there is nothing to leave.
///
/// # Safety
/// The token is live.
pub unsafe fn leave(py: Python<'_>, token: *mut pyo3::ffi::PyObject) {
    // SAFETY: a context variable, and a token, says the caller.
    unsafe {
        let Some(variable) = VARIABLE.get(py) else { return };
        if pyo3::ffi::PyContextVar_Reset(variable.as_ptr(), token) != 0 {
            pyo3::ffi::PyErr_Clear();
        }
    }
}

/// The present context.
pub fn current(py: Python<'_>) -> Option<Bound<'_, LogContext>> {
    get(py, &VARIABLE)?.cast_into::<LogContext>().ok()
}

/// The id of the request that is being served.
pub fn request_id(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    get(py, &REQUEST_ID).filter(|id| !id.is_none())
}

fn get<'py>(py: Python<'py>, variable: &Once<Py<PyAny>>) -> Option<Bound<'py, PyAny>> {
    let variable = variable.get(py)?;
    let mut value = std::ptr::null_mut();
    // SAFETY: a context variable and a place for a new reference, which is null for none.
    unsafe {
        if pyo3::ffi::PyContextVar_Get(variable.as_ptr(), std::ptr::null_mut(), &raw mut value) < 0 {
            drop(PyErr::take(py));
            return None;
        }
        Bound::from_owned_ptr_or_opt(py, value)
    }
}
