//! The arguments of a call that is not on the fast path.

use crate::metric::state::Metric;
use ferrometer_core::exemplar::Exemplar;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The arguments of a slow call, by position and by name.
pub(super) struct Arguments<'py> {
    pub values: Vec<Option<Bound<'py, PyAny>>>,
}

impl<'py> Arguments<'py> {
    /// Takes the arguments of a method with parameters of these names.
    ///
    /// # Safety
    /// `args` heads `nargs` objects, and as many more as the tuple of strings `kwnames`, which may be null, has entries.
    pub unsafe fn parse(
        py: Python<'py>,
        method: &str,
        names: &[&str],
        args: *const *mut PyObject,
        nargs: Py_ssize_t,
        kwnames: *mut PyObject,
    ) -> PyResult<Self> {
        let nargs = usize::try_from(nargs).unwrap_or(0);
        // SAFETY: `args` heads `nargs` objects, and as many more as `kwnames` has entries.
        let object = |index: usize| unsafe { Bound::from_borrowed_ptr(py, *args.add(index)) };
        if nargs > names.len() {
            let most = names.len();
            return Err(PyTypeError::new_err(format!("{method}() takes at most {most} arguments ({nargs} given)")));
        }
        let mut values: Vec<_> = (0..names.len()).map(|index| (index < nargs).then(|| object(index))).collect();
        if !kwnames.is_null() {
            // SAFETY: `kwnames` is a tuple of strings.
            let kwnames = unsafe { Bound::from_borrowed_ptr(py, kwnames).cast_into_unchecked::<PyTuple>() };
            for (index, name) in kwnames.iter().enumerate() {
                let name: String = name.extract()?;
                let place = names.iter().position(|known| *known == name).ok_or_else(|| {
                    PyTypeError::new_err(format!("{method}() got an unexpected keyword argument '{name}'"))
                })?;
                if values[place].replace(object(nargs + index)).is_some() {
                    return Err(PyTypeError::new_err(format!("{method}() got multiple values for argument '{name}'")));
                }
            }
        }
        Ok(Arguments { values })
    }

    pub fn number(&self, index: usize) -> PyResult<Option<f64>> {
        self.values[index].as_ref().map(PyAnyMethods::extract::<f64>).transpose()
    }

    /// Keeps the exemplar that stands at `index`, if one does, for `bucket` of the series. Raises what
    /// `prometheus_client` raises for a malformed one; the event itself is counted by then, as there.
    pub fn keep_exemplar(&self, index: usize, metric: &Metric, bucket: usize, value: f64) -> PyResult<()> {
        let Some(exemplar) = self.values[index].as_ref() else { return Ok(()) };
        if !exemplar.is_truthy()? {
            return Ok(());
        }
        exemplar.py().import("ferrometer.metrics.names")?.call_method1("validate_exemplar", (exemplar,))?;
        let mut pairs: Vec<(String, String)> =
            exemplar.call_method0("items")?.try_iter()?.map(|item| item?.extract()).collect::<PyResult<_>>()?;
        pairs.sort();
        let kept = match crate::metric::made::python_time(exemplar.py()) {
            Some(now) => Exemplar::at(&pairs, value, now),
            None => Exemplar::now(&pairs, value),
        };
        metric.parent()?.family.keep_exemplar(metric.series()?, bucket, kept);
        Ok(())
    }
}
