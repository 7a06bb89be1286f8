//! Sharing this process's metrics with the other workers of an application.

use crate::gil::detached;
use crate::metric::state::Metric;
use crate::samples::{FamilyParts, FamilyTold};
use ferrometer_core::family::{Family, Kind};
use ferrometer_core::reading::{Here, Series};
use ferrometer_core::scrape::Scrape;
use ferrometer_core::segment::view::View;
use ferrometer_core::segment::{mirror, writer};
use ferrometer_core::series::SeriesRef;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use std::io;
use std::path::PathBuf;

/// Records all metrics of this process, and of every process that it forks, into files in a directory that
/// the other workers read. Raises `OSError` when the directory is not to be had, and `ValueError` when there is
/// another one already; recording goes on in private memory then.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn share(py: Python<'_>, directory: PathBuf) -> PyResult<()> {
    let before = writer::shared_directory();
    mirror::share(&directory).map_err(|error| match error.code {
        Some(code) => PyOSError::new_err((code, error.text)),
        None => PyValueError::new_err(error.text),
    })?;
    #[cfg(target_os = "linux")]
    crate::state::handle::share(&directory);
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

/// Puts the totals of dead processes into one file, when the shared directory has at least so many files of
/// processes. What cannot be done now is for another time.
#[cfg(target_os = "linux")]
#[pyfunction]
pub fn fold_dead(py: Python<'_>, at_least: usize) {
    use ferrometer_core::segment::{fold::fold, format::SUFFIX};

    detached(py, || {
        let Some(directory) = writer::shared_directory() else { return };
        let Ok(files) = std::fs::read_dir(&directory) else { return };
        let is_segment = |file: &io::Result<std::fs::DirEntry>| {
            file.as_ref().is_ok_and(|file| file.file_name().to_string_lossy().ends_with(SUFFIX))
        };
        if files.filter(is_segment).count() >= at_least {
            drop(fold(&directory));
        }
    });
}

/// How many processes share their metrics in a directory now.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn living(py: Python<'_>, directory: PathBuf) -> PyResult<usize> {
    let view = detached(py, || {
        let mut view = View::open(&directory)?;
        view.refresh();
        io::Result::Ok(view.living())
    });
    Ok(view?)
}

/// All families that are recorded in a directory, whichever registries they are in.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn read_directory(py: Python<'_>, directory: PathBuf) -> PyResult<Vec<FamilyParts<'_>>> {
    let families = detached(py, || {
        let mut view = View::open(&directory)?;
        view.refresh();
        io::Result::Ok(view.everything().map(|family| FamilyTold::of(&family)).collect::<Vec<_>>())
    });
    families?.into_iter().map(|family| family.parts(py)).collect()
}

/// The values of counters and gauges, each the total of all workers, at one look. One that every worker has
/// for itself is this process's own.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
pub fn shared_values(py: Python<'_>, metrics: Vec<Bound<'_, Metric>>) -> PyResult<Vec<f64>> {
    let mut wanted = Vec::with_capacity(metrics.len());
    for metric in &metrics {
        let (parent, series) = (metric.get().parent()?, metric.get().series()?);
        match &parent.family.definition().kind {
            Kind::Counter | Kind::Gauge(_) => wanted.push((parent.family.clone(), series.clone())),
            kind => return Err(PyValueError::new_err(format!("a {} has no single value", kind.name()))),
        }
    }
    Ok(detached(py, || {
        let scrape = Scrape::begin();
        wanted.iter().map(|(family, series)| total(&scrape, family, series)).collect()
    }))
}

fn total(scrape: &Scrape, family: &Family, series: &SeriesRef) -> f64 {
    let is_counter = matches!(family.definition().kind, Kind::Counter);
    let value = |series: &dyn Series| {
        if is_counter {
            let (whole, fraction) = series.counter();
            whole as f64 + fraction
        } else {
            series.gauge()
        }
    };
    let mut found = None;
    scrape.reading(family).for_each(&mut |other| {
        if other.text() == series.text() {
            found = Some(value(other));
        }
    });
    found.unwrap_or_else(|| value(&Here::new(family, series)))
}
