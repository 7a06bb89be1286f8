//! `HistogramBins`: how far what a histogram recorded lately is from a baseline.

use crate::gil::detached;
use crate::metric::state::Metric;
use crate::samples;
use ferrometer_core::histogram::drift::{bins, drift, since, Bins};
use ferrometer_core::histogram::filled::Filled;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Counts by bin of the native grid, ascending, as all workers have recorded them.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct HistogramBins(Bins);

#[pymethods]
impl HistogramBins {
    /// From pairs of an index and a count.
    #[new]
    fn new(pairs: Bins) -> PyResult<Self> {
        if pairs.is_sorted_by(|one, next| one.0 < next.0) {
            return Ok(HistogramBins(pairs));
        }
        Err(PyValueError::new_err("bins must ascend"))
    }

    /// What a histogram, or a child of one, holds now.
    #[staticmethod]
    fn of(py: Python<'_>, histogram: &Bound<'_, Metric>) -> PyResult<Self> {
        let metric = histogram.get();
        metric.histogram()?;
        let (family, series) = (metric.parent()?.family.clone(), metric.series()?.clone());
        Ok(HistogramBins(detached(py, || {
            let mut filled = Filled::default();
            filled.set(&samples::snapshot(&family, &series));
            bins(&filled)
        })))
    }

    /// What came since another moment.
    fn since(&self, py: Python<'_>, before: &Bound<'_, Self>) -> Self {
        let before = &before.get().0;
        HistogramBins(detached(py, || since(&self.0, before)))
    }

    /// Population stability index, KS statistic and normalised Wasserstein distance of a window from these; None when a
    /// side is empty.
    fn compare(&self, py: Python<'_>, window: &Bound<'_, Self>) -> Option<(f64, f64, Option<f64>)> {
        let window = &window.get().0;
        let found = detached(py, || drift(&self.0, window))?;
        Some((found.psi, found.ks, found.wasserstein))
    }

    /// How many values there are.
    #[getter]
    fn count(&self) -> u64 {
        self.0.iter().map(|one| one.1).sum()
    }

    /// Pairs of an index and a count.
    fn pairs(&self) -> Bins {
        self.0.clone()
    }
}
