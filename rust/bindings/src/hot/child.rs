//! The object of a series: the live one, or a new one.

use super::call::object_of;
use crate::metric::kinds::natives;
use crate::metric::made::series_of;
use crate::metric::state::Metric;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

/// The child of a labelled family with these texts: the live one, or a new one of the same type.
pub fn child<'py>(slf: &Bound<'py, Metric>, values: &[&str]) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let parent = slf.get().parent()?;
    if !parent.plain {
        return slf.call_method1("_subclass_child", (PyTuple::new(py, values)?,));
    }
    let series = series_of(py, &parent.family, values)?;
    let live = series.handle().load(Relaxed);
    if live != 0 {
        // SAFETY: a handle's address stays in the word until the object is taken apart (`Drop` above
        // clears it, unless a younger one has replaced it).
        if let Some(object) = object_of(py, unsafe { &*(live as *const Metric) }) {
            return Ok(object);
        }
    }
    let kind: Bound<'_, PyType> = slf.get_type();
    let object = new_child(&kind)?;
    let metric = object.cast::<Metric>()?.get();
    series.handle().store(ptr::from_ref(metric) as usize, Relaxed);
    metric.bind(parent, series);
    Ok(object)
}

/// A new, empty object of a metric class, past whatever `__new__` and `__init__` Python defined.
fn new_child<'py>(kind: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
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
