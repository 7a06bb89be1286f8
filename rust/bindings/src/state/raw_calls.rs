//! What every call through a breaker does, as raw methods: `Breaker.begin` and `BreakerCall.success`.

use super::breaker::Breaker;
use super::call::BreakerCall;
use crate::hot::methods::add;
use crate::thread_exit::protect;
use ferrometer_state::breaker::circuit::Outcome;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi::{PyObject, Py_ssize_t};
use pyo3::prelude::*;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

/// `BreakerCall.success()`
unsafe extern "C" fn success(
    slf: *mut PyObject,
    _args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls with an object of this class as `self`, under the GIL.
    unsafe {
        let py = Python::assume_attached();
        let this = &*ptr::from_ref(Borrowed::from_ptr(py, slf).cast_unchecked::<BreakerCall>().get());
        ended(py, nargs == 0 && kwnames.is_null(), "success() takes no arguments", || {
            this.end(py, Outcome::Success);
            Ok(py.None())
        })
    }
}

/// `Breaker.begin()`
unsafe extern "C" fn begin(
    slf: *mut PyObject,
    _args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls with an object of this class as `self`, under the GIL.
    unsafe {
        let py = Python::assume_attached();
        let this = &*ptr::from_ref(Borrowed::from_ptr(py, slf).cast_unchecked::<Breaker>().get());
        ended(py, nargs == 0 && kwnames.is_null(), "begin() takes no arguments", || {
            let call = BreakerCall::new(this.handle());
            call.begin(py)?;
            Ok(Py::new(py, call)?.into_any())
        })
    }
}

/// What a raw method returns to CPython: the object of `work`, or null with an exception set, also for a panic.
#[inline(always)]
fn ended(py: Python<'_>, fits: bool, words: &'static str, work: impl FnOnce() -> PyResult<Py<PyAny>>) -> *mut PyObject {
    protect();
    let result = if fits {
        catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(PyRuntimeError::new_err("ferrometer: internal error; please report it")))
    } else {
        Err(PyTypeError::new_err(words))
    };
    result.map_or_else(
        |error| {
            error.restore(py);
            ptr::null_mut()
        },
        Py::into_ptr,
    )
}

/// Adds the raw methods: what every call through a breaker does.
pub fn install(py: Python<'_>) -> PyResult<()> {
    add(
        &py.get_type::<Breaker>(),
        c"begin",
        c"begin($self)\n--\n\nBegins a call; raises CircuitOpenError when there is no leave.",
        begin,
    )?;
    add(&py.get_type::<BreakerCall>(), c"success", c"success($self)\n--\n\nEnds it well.", success)
}
