//! How far what a histogram recorded lately is from a baseline.

use crate::gil::detached;
use crate::metric::state::Metric;
use crate::samples;
use ferrometer_core::histogram::drift::{bins, drift, since};
use ferrometer_core::histogram::filled::Filled;
use pyo3::prelude::*;

/// The index of each filled bin of a histogram in all workers, and its count.
#[pyfunction]
pub fn histogram_bins(py: Python<'_>, histogram: &Bound<'_, Metric>) -> PyResult<Vec<(i32, u64)>> {
    let metric = histogram.get();
    metric.histogram()?;
    let (family, series) = (metric.parent()?.family.clone(), metric.series()?.clone());
    Ok(detached(py, || {
        let mut filled = Filled::default();
        filled.set(&samples::snapshot(&family, &series));
        bins(&filled)
    }))
}

/// The bins that were filled between two moments.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
pub fn bins_since(now: Vec<(i32, u64)>, before: Vec<(i32, u64)>) -> Vec<(i32, u64)> {
    since(&now, &before)
}

/// Population stability index, KS statistic and normalised Wasserstein distance of a window from a baseline.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
pub fn compare_bins(
    py: Python<'_>,
    baseline: Vec<(i32, u64)>,
    window: Vec<(i32, u64)>,
) -> Option<(f64, f64, Option<f64>)> {
    let found = detached(py, || drift(&baseline, &window))?;
    Some((found.psi, found.ks, found.wasserstein))
}
