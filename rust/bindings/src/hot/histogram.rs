//! `Histogram.observe` and `Summary.observe`.

use super::arguments::Arguments;
use super::call::{guarded, metric, none};
use crate::metric::state::HISTOGRAM;
use ferrometer_core::histogram::Histogram as Cells;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;

/// Histogram.observe(amount, exemplar=None), Summary.observe(amount)
pub(super) unsafe extern "C" fn observe(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls with a histogram or summary as `self`, under the GIL, and with `nargs` live objects at `args`; a cell
    // with the bit HISTOGRAM is the address of its cells, which the metric keeps alive (`Metric::bind`).
    unsafe {
        let cell = *metric(slf).cell.peek();
        if nargs == 1 && kwnames.is_null() && ffi::PyFloat_CheckExact(*args) != 0 {
            let value = ffi::PyFloat_AS_DOUBLE(*args);
            if cell & HISTOGRAM != 0 {
                let cell = cell - HISTOGRAM;
                if (*(cell as *const Cells)).record_near(value) {
                    return none();
                }
                return observe_far(slf, args, kwnames, cell, value);
            }
        }
        guarded(slf, args, nargs, kwnames, observe_slow)
    }
}

/// Zero, extremes, and the first value of an octave: still without PyO3, but behind a tail call, so that
/// the path of all others saves no register.
#[cold]
#[inline(never)]
unsafe fn observe_far(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    kwnames: *mut PyObject,
    cell: usize,
    value: f64,
) -> *mut PyObject {
    // SAFETY: `observe` calls this with the address of the cells of `self`, a histogram without sampling, which is alive for as
    // long as the call runs; the arguments are those of that call, of which there is one.
    unsafe {
        if (*(cell as *const Cells)).record(value) {
            return none();
        }
        guarded(slf, args, 1, kwnames, observe_slow)
    }
}

unsafe fn observe_slow(
    py: Python<'_>,
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> PyResult<Py<PyAny>> {
    // SAFETY: CPython's arguments of the running call, passed on as they came: `self` is a histogram or summary, `args` heads
    // `nargs` objects and those of `kwnames`.
    unsafe {
        let arguments = Arguments::parse(py, "observe", &["amount", "exemplar"], args, nargs, kwnames)?;
        let observed = metric(slf);
        let histogram = observed.histogram()?;
        let value = arguments
            .number(0)?
            .ok_or_else(|| PyTypeError::new_err("observe() missing 1 required positional argument: 'amount'"))?;
        let parent = observed.parent()?;
        let counted = match &parent.sampler {
            None => histogram.record(value),
            Some(sampler) if sampler.take() => histogram.record_sample(value),
            Some(_) if value.is_nan() => false,
            Some(_) => {
                histogram.hold();
                true
            }
        };
        if !counted {
            parent.family.refuse();
            return Ok(py.None());
        }
        arguments.keep_exemplar(1, observed, histogram.layout().bucket(value), value)?;
        Ok(py.None())
    }
}
