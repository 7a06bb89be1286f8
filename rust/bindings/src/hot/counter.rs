//! `Counter.inc`.

use super::arguments::Arguments;
use super::call::{guarded, metric, none};
use crate::metric::state::COUNTER;
use ferrometer_core::cell::CounterCell;
use pyo3::exceptions::PyValueError;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;

/// Counter.inc(amount=1, exemplar=None)
pub(super) unsafe extern "C" fn counter_inc(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls with a counter as `self`, under the GIL, and with `nargs` live objects at `args`; a cell with the bit
    // COUNTER is the address of a counter's cell, which the metric keeps alive (`Metric::bind`).
    unsafe {
        let cell = *metric(slf).cell.peek();
        if cell & COUNTER != 0 && kwnames.is_null() {
            let cell = &*((cell - COUNTER) as *const CounterCell);
            if nargs == 0 {
                cell.inc();
                return none();
            }
            if nargs == 1 && ffi::PyFloat_CheckExact(*args) != 0 {
                let amount = ffi::PyFloat_AS_DOUBLE(*args);
                #[expect(clippy::manual_range_contains, reason = "`contains` compiles to a classification of the bits")]
                if amount >= 0.0 && amount < f64::INFINITY {
                    cell.add(amount);
                    return none();
                }
            }
        }
        guarded(slf, args, nargs, kwnames, counter_inc_slow)
    }
}

unsafe fn counter_inc_slow(
    py: Python<'_>,
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> PyResult<Py<PyAny>> {
    // SAFETY: CPython's arguments of the running call, passed on as they came: `self` is a counter, `args` heads `nargs` objects
    // and those of `kwnames`.
    unsafe {
        let arguments = Arguments::parse(py, "inc", &["amount", "exemplar"], args, nargs, kwnames)?;
        let counter = metric(slf);
        let cell = counter.counter()?;
        if let Some(Ok(whole)) = arguments.values[0].as_ref().map(PyAnyMethods::extract::<u64>) {
            cell.add_int(whole);
            arguments.keep_exemplar(1, counter, 0, whole as f64)?;
            return Ok(py.None());
        }
        let amount = arguments.number(0)?.unwrap_or(1.0);
        if amount < 0.0 {
            return Err(PyValueError::new_err("Counters can only be incremented by non-negative amounts."));
        }
        if !amount.is_finite() {
            return Err(PyValueError::new_err(format!(
                "Counters can only be incremented by finite amounts, not {amount}: the total would never be a \
                 number again. Leave the call out"
            )));
        }
        cell.add(amount);
        arguments.keep_exemplar(1, counter, 0, amount)?;
        Ok(py.None())
    }
}
