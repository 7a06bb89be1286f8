//! `Metric.labels`: label objects to a child, by their addresses in a cache or by their texts.

use super::call::{guarded, metric};
use super::child::child;
use crate::metric::label_text::label_text;
use crate::metric::state::Metric;
use ferrometer_core::segment::remote_removals;
use pyo3::exceptions::PyValueError;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple};
use std::ptr;

/// Metric.labels(*labelvalues, **labelkwargs)
pub(super) unsafe extern "C" fn labels(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls with a metric as `self`, under the GIL, and with `nargs` live objects at `args`, which is
    // what `find` reads as many of as `fits` has allowed. The child that it returns is alive: the cache owns it.
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
    if kwnames.is_null() && nargs == parent.names.len() {
        // SAFETY: `args` heads `nargs` objects, which the caller's frame keeps alive.
        if let Some(found) = unsafe { by_fresh_strings(&family, args, nargs) } {
            return found.map(Bound::unbind);
        }
    }
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
        // SAFETY: the GIL is held; `key` has one live object per label. Comparing the names may have run
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
    // What nobody else refers to will not be passed again; a label of another class is looked at each time, because
    // its text may change.
    let lasting = values.iter().all(|value| is_constant(value) && is_shared(value));
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

/// So many labels are looked up without a list of their texts in memory.
const FEW: usize = 8;

/// The child by the texts of strings of which one at least was made for this call, as an f-string is: its address is
/// not worth remembering. `None` where none was, and where a label is no string, or one too many.
///
/// # Safety
/// `args` heads `nargs` objects that stay alive for the call; the GIL is held.
unsafe fn by_fresh_strings<'py>(
    family: &Bound<'py, Metric>,
    args: *const *mut PyObject,
    nargs: usize,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let (mut texts, mut is_fresh) = ([""; FEW], false);
    for (place, text) in texts.get_mut(..nargs)?.iter_mut().enumerate() {
        // SAFETY: by contract there is an object, which lives for the call, and its text in UTF-8 with it.
        unsafe {
            let object = *args.add(place);
            let mut length = 0;
            if ffi::PyUnicode_CheckExact(object) == 0 {
                return None;
            }
            let start = ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length);
            if start.is_null() {
                // UTF-8 cannot say it.
                ffi::PyErr_Clear();
                return None;
            }
            *text = std::str::from_utf8_unchecked(std::slice::from_raw_parts(start.cast(), length.cast_unsigned()));
            // One reference is the caller's.
            is_fresh |= ffi::Py_REFCNT(object) == 1;
        }
    }
    is_fresh.then(|| child(family, &texts[..nargs]))
}

/// Whether the text of an object stays the same, and neither hashing nor dropping it runs Python code.
fn is_constant(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_none()
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
