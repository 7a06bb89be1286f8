//! `Gauge.inc`, `Gauge.dec` and `Gauge.set`.

use super::arguments::Arguments;
use super::call::{guarded, metric, none};
use crate::metric::state::GAUGE;
use ferrometer_core::cell::GaugeCell;
use ferrometer_core::clock::now;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString};

/// The fast path of `inc`, `dec` and `set`; false when the arguments are not exactly one float, or
/// none and there is a default.
#[inline(always)]
unsafe fn gauge_fast(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
    default: Option<f64>,
    apply: impl FnOnce(&GaugeCell, f64),
) -> bool {
    // SAFETY: CPython calls with a gauge as `self`, under the GIL, and with `nargs` live objects at `args`; a cell with the bit
    // GAUGE is the address of a gauge's cell, which the metric keeps alive (`Metric::bind`).
    unsafe {
        let cell = *metric(slf).cell.peek();
        if cell & GAUGE == 0 || !kwnames.is_null() {
            return false;
        }
        let cell = &*((cell - GAUGE) as *const GaugeCell);
        let value = match (nargs, default) {
            (0, Some(default)) => default,
            (1, _) if ffi::PyFloat_CheckExact(*args) != 0 => ffi::PyFloat_AS_DOUBLE(*args),
            _ => return false,
        };
        apply(cell, value);
        true
    }
}

macro_rules! gauge_method {
    ($(#[$doc:meta])* $function:ident, $method:literal, $argument:literal, $default:expr, $apply:expr) => {
        $(#[$doc])*
        pub(super) unsafe extern "C" fn $function(
            slf: *mut PyObject,
            args: *const *mut PyObject,
            nargs: Py_ssize_t,
            kwnames: *mut PyObject,
        ) -> *mut PyObject {
            unsafe fn slow(
                py: Python<'_>,
                slf: *mut PyObject,
                args: *const *mut PyObject,
                nargs: Py_ssize_t,
                kwnames: *mut PyObject,
            ) -> PyResult<Py<PyAny>> {
                // SAFETY: CPython's arguments of the running call, passed on as they came: `self` is a gauge, `args` heads
                // `nargs` objects and those of `kwnames`.
                let (arguments, metric) = unsafe {
                    (Arguments::parse(py, $method, &[$argument], args, nargs, kwnames)?, metric(slf))
                };
                if $default.is_some() && metric.parent()?.only_set {
                    return Err(PyRuntimeError::new_err(concat!($method, " must not be used with the mostrecent mode")));
                }
                let gauge = metric.gauge()?;
                let value = match &arguments.values[0] {
                    // As `prometheus_client`, which calls `float()` in `set` alone.
                    Some(text) if $default.is_none() && text.is_instance_of::<PyString>() => {
                        Some(py.get_type::<PyFloat>().call1((text,))?.extract()?)
                    }
                    _ => arguments.number(0)?.or($default),
                };
                let value = value.ok_or_else(|| {
                    PyTypeError::new_err(concat!($method, "() missing 1 required positional argument: '", $argument, "'"))
                })?;
                let apply: fn(&GaugeCell, f64) = $apply;
                if metric.parent()?.only_set {
                    gauge.set_at(value, now());
                } else {
                    apply(gauge, value);
                }
                Ok(py.None())
            }
            // SAFETY: CPython calls with a gauge as `self`, under the GIL, with these arguments; both functions take them
            // as they come.
            unsafe {
                if gauge_fast(slf, args, nargs, kwnames, $default, $apply) {
                    none()
                } else {
                    guarded(slf, args, nargs, kwnames, slow)
                }
            }
        }
    };
}

gauge_method! {
    /// Gauge.inc(amount=1)
    gauge_inc, "inc", "amount", Some(1.0), GaugeCell::add
}
gauge_method! {
    /// Gauge.dec(amount=1)
    gauge_dec, "dec", "amount", Some(1.0), |cell, amount| cell.add(-amount)
}
gauge_method! {
    /// Gauge.set(value)
    gauge_set, "set", "value", None::<f64>, GaugeCell::set
}
