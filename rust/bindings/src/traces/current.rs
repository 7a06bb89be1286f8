//! The span that the running code is in: a context variable, which tasks take along.

use crate::once::Once;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

static VARIABLE: Once<Py<PyAny>> = Once::new();

/// Makes the variable.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let fallback = PyDict::new(py);
    fallback.set_item("default", py.None())?;
    let variable = py.import("contextvars")?.getattr("ContextVar")?.call(("ferrometer_span",), Some(&fallback))?;
    module.add("span_var", &variable)?;
    VARIABLE.set(py, variable.unbind());
    Ok(())
}

/// The present span, recorded or not.
#[inline]
pub fn get(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let variable = VARIABLE.get(py)?;
    let mut value = std::ptr::null_mut();
    // SAFETY: a context variable and a place for a new reference, which is null for none.
    unsafe {
        if ffi::PyContextVar_Get(variable.as_ptr(), std::ptr::null_mut(), &raw mut value) < 0 {
            drop(PyErr::take(py));
            return None;
        }
        Bound::from_owned_ptr_or_opt(py, value)
    }
}

/// Makes a span the present one; what undoes it is null, with no exception set, when that is not possible.
#[inline]
pub fn set(py: Python<'_>, span: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
    let variable = VARIABLE.get(py)?;
    // SAFETY: a context variable and a live object; the result is a new reference, or null with an exception.
    unsafe {
        let token = ffi::PyContextVar_Set(variable.as_ptr(), span.as_ptr());
        if token.is_null() {
            ffi::PyErr_Clear();
        }
        Bound::from_owned_ptr_or_opt(py, token).map(Bound::unbind)
    }
}

/// Undoes it. In another context than it was done in, there is nothing to undo.
#[inline]
pub fn reset(py: Python<'_>, token: &Py<PyAny>) {
    let Some(variable) = VARIABLE.get(py) else { return };
    // SAFETY: a context variable, and a token of it.
    unsafe {
        if ffi::PyContextVar_Reset(variable.as_ptr(), token.as_ptr()) != 0 {
            ffi::PyErr_Clear();
        }
    }
}
