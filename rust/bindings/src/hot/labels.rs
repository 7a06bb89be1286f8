//! `Metric.labels`: label objects to a child, by their addresses in a cache or by their texts.

use super::call::{guarded, metric};
use super::child::child;
use crate::metric::label_text::label_text;
use crate::metric::state::Metric;
use ferrometer_core::segment::remote_removals;
use pyo3::exceptions::PyValueError;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
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
