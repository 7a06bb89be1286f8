//! An awaitable that is ready: what `__aenter__` and `__aexit__` give where nothing has to be awaited.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

/// Awaiting it gives a value at once.
#[pyclass(module = "ferrometer._core", freelist = 16)]
pub struct Ready(Option<Py<PyAny>>);

impl Ready {
    pub fn new(value: Py<PyAny>) -> Self {
        Ready(Some(value))
    }
}

#[pymethods]
impl Ready {
    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self) -> PyResult<()> {
        Err(self.0.take().map_or_else(|| PyStopIteration::new_err(()), |value| PyStopIteration::new_err((value,))))
    }
}
