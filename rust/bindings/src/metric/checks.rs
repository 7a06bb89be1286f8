//! What a definition may not say.

use super::kinds::natives;
use super::state::{value_error, Metric};
use ferrometer_core::error::Error;
use ferrometer_core::family::{Definition, Family};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Refuses a definition whose sampling is another one than the family's.
pub fn agree_on_sample(family: &Family, definition: &Definition, sample: f64) -> PyResult<()> {
    family.agree_on_sample(sample).map_err(|known| {
        let existing = format!("{}, sample={known}", family.definition().describe());
        let (wanted, name) = (format!("{}, sample={sample}", definition.describe()), definition.name.clone());
        value_error(Error::Conflict { existing, wanted, name })
    })
}

/// Refuses a class whose native methods would take the cells for those of another kind.
pub fn check_class(metric: &Bound<'_, Metric>, kind: &str) -> PyResult<()> {
    let classes = natives(metric.py());
    let kinds = ["counter", "gauge", "histogram", "summary", "info", "stateset"];
    for (class, own) in classes.iter().zip(kinds) {
        if metric.is_instance(class)? != (own == kind) {
            let name = metric.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "{name} must derive from exactly one metric class, the one whose _type is {kind:?}"
            )));
        }
    }
    Ok(())
}
