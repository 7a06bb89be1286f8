//! An awaitable whose value is there already.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

/// An awaitable whose value is there.
#[pyclass(module = "ferrometer._core")]
pub struct Ready(pub Option<Py<PyAny>>);

#[pymethods]
impl Ready {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&mut self) -> PyResult<Option<Py<PyAny>>> {
        // Without a value the iterator just ends: the await is None.
        self.0.take().map_or(Ok(None), |value| Err(PyStopIteration::new_err((value,))))
    }
}
