//! The span that is open in OpenTelemetry's own SDK, where an application uses that.

use crate::once::Once;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

static MODULES: Once<Py<PyDict>> = Once::new();
static ACTIVE: Once<Py<PyAny>> = Once::new();

/// Trace and span as digits. Costs one look-up where OpenTelemetry is not imported.
pub fn active_span(py: Python<'_>) -> Option<(Bound<'_, PyString>, Bound<'_, PyString>)> {
    let modules = MODULES
        .get_or_try_make(py, || -> PyResult<Py<PyDict>> {
            Ok(py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind())
        })
        .ok()?;
    if !modules.bind(py).contains(crate::once::interned!(py, "opentelemetry.trace")).ok()? {
        return None;
    }
    let active = ACTIVE
        .get_or_try_make(py, || -> PyResult<Py<PyAny>> {
            Ok(py.import("ferrometer.logs.opentelemetry")?.getattr("active_span")?.unbind())
        })
        .ok()?;
    let ids = active.bind(py).call0().ok()?.cast_into::<PyTuple>().ok()?;
    Some((ids.get_item(0).ok()?.cast_into().ok()?, ids.get_item(1).ok()?.cast_into().ok()?))
}
