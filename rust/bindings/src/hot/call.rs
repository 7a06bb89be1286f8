//! What every hot call does: from `self` to the metric, and from the fast path to PyO3, which turns errors and panics
//! into exceptions.

use crate::metric::state::Metric;
use crate::thread_exit::protect;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes from an object to its `Metric`; the same for every subclass, which append.
pub(super) static OFFSET: AtomicUsize = AtomicUsize::new(0);

#[inline(always)]
pub(super) unsafe fn metric<'a>(slf: *mut PyObject) -> &'a Metric {
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
pub(super) unsafe fn none() -> *mut PyObject {
    // SAFETY: None lives for ever; the GIL is held.
    unsafe {
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}

/// The rest of a method, with its arguments as CPython passed them: in registers, so that the fast path
/// stores none of them.
pub(super) type Slow =
    unsafe fn(Python<'_>, *mut PyObject, *const *mut PyObject, Py_ssize_t, *mut PyObject) -> PyResult<Py<PyAny>>;

/// Everything but the fast path: errors and panics become exceptions.
///
/// # Safety
/// The arguments are those of the running method.
#[cold]
#[inline(never)]
pub(super) unsafe fn guarded(
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
