//! Raw method slots: C functions as method descriptors of a class, and of each of its subclasses.

use crate::gil::GilCell;
use crate::thread_exit::protect;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{c_int, CStr};

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
    let raw = Raw { class: class.clone().unbind(), definition: definition(name, doc, method) as usize, name };
    describe(class, &raw)?;
    // SAFETY: the GIL is held; pushing runs no Python.
    unsafe { RAW.with(|all| all.push(raw)) };
    Ok(())
}

/// A raw method of a class of somebody else's, to be put into it.
pub fn descriptor<'py>(
    class: &Bound<'py, PyType>,
    name: &'static CStr,
    doc: &'static CStr,
    method: Method,
) -> PyResult<Bound<'py, PyAny>> {
    describing(class, definition(name, doc, method))
}

/// The definition of a method. The descriptor refers to it for as long as the class lives, which is for ever.
fn definition(name: &'static CStr, doc: &'static CStr, method: Method) -> *mut ffi::PyMethodDef {
    const FLAGS: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: method },
        ml_flags: FLAGS,
        ml_doc: doc.as_ptr(),
    }))
}

/// Puts a method descriptor of this very class into it.
fn describe(class: &Bound<'_, PyType>, raw: &Raw) -> PyResult<()> {
    let descriptor = describing(class, raw.definition as *mut ffi::PyMethodDef)?;
    class.setattr(raw.name.to_str().unwrap_or_default(), descriptor)
}

fn describing<'py>(class: &Bound<'py, PyType>, definition: *mut ffi::PyMethodDef) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the class and the definition are valid, and the latter lives for ever; the result is a new reference or
    // an error.
    unsafe { Bound::from_owned_ptr_or_err(class.py(), ffi::PyDescr_NewMethod(class.as_type_ptr(), definition)) }
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
