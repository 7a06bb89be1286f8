//! Series that are made, with the time at which counting began.

use super::state::value_error;
use crate::once::interned;
use crate::once::Once;
use ferrometer_core::family::Family;
use ferrometer_core::series::SeriesRef;
use pyo3::prelude::*;
use pyo3::types::PyModule;

/// Gives a new series the time that Python's `time.time` says, which tests replace.
pub fn stamp(py: Python<'_>, series: &SeriesRef) {
    // Without it, the series keeps the system's time.
    if let Some(now) = python_time(py) {
        series.set_created(now);
    }
}

/// What Python's `time.time` says, which tests replace; `None` where it says nothing.
pub fn python_time(py: Python<'_>) -> Option<f64> {
    static TIME: Once<Py<PyModule>> = Once::new();
    TIME.get_or_try_make(py, || py.import("time").map(Bound::unbind))
        .and_then(|time| time.bind(py).call_method0(interned!(py, "time"))?.extract())
        .ok()
}

/// The series with these label values, stamped when it is new.
pub fn series_of(py: Python<'_>, family: &Family, values: &[&str]) -> PyResult<SeriesRef> {
    let before = family.len();
    let series = family.series(values).map_err(value_error)?;
    if family.len() > before {
        stamp(py, &series);
    }
    Ok(series)
}
