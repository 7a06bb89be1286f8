//! Sharing this process's metrics with the other workers of an application.

use ferrometer_core::segment::writer;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Records all metrics of this process, and of every process that it forks, into files in a directory that
/// the other workers read. Raises `OSError` when the directory is not to be had, and `ValueError` when there is
/// another one already; recording goes on in private memory then.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn share(py: Python<'_>, directory: PathBuf) -> PyResult<()> {
    let before = writer::shared_directory();
    writer::share(&directory).map_err(|error| match error.code {
        Some(code) => PyOSError::new_err((code, error.text)),
        None => PyValueError::new_err(error.text),
    })?;
    if before.is_none() {
        // The interpreter drops all metrics at its end, and that is no reason for their totals to vanish.
        py.import("atexit")?.call_method1("register", (wrap_pyfunction!(leave_sharing, py)?,))?;
    }
    Ok(())
}

#[pyfunction]
fn leave_sharing() {
    writer::leave();
}

/// The directory that this process shares with others, or None.
#[pyfunction]
pub fn shared_directory() -> Option<PathBuf> {
    writer::shared_directory()
}

/// Why this process, the child of one that shares its metrics, could not go on with that; told once.
#[pyfunction]
pub fn sharing_failure() -> Option<String> {
    writer::take_failure().map(|error| error.text)
}
