//! Series that are removed, with everything that is held of them.

use super::label_text::label_text;
use super::state::{value_error, Metric};
use crate::http_metrics::series_removed;
use ferrometer_core::error::Error;
use ferrometer_core::family::Family;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

impl Metric {
    /// Removes the series with these label values, here or everywhere.
    pub fn drop_series(
        &self,
        labelvalues: &Bound<'_, PyTuple>,
        drop: fn(&Family, &[&str]) -> Result<bool, Error>,
    ) -> PyResult<bool> {
        let parent = self.parent()?;
        let values = texts(labelvalues)?;
        let values = borrowed(&values);
        let mut text = Vec::new();
        let removed = drop(&parent.family, &values).map_err(value_error)?;
        parent.family.labels().render(&values, &mut text);
        if let Some(children) = self.made_children(labelvalues.py()) {
            children.call_method1("pop", (PyTuple::new(labelvalues.py(), values)?, labelvalues.py().None()))?;
        }
        series_removed(&parent.family);
        self.forget_children();
        self.forget_callbacks(|series| series.text() == text)?;
        Ok(removed)
    }

    /// Removes all series, here or everywhere.
    pub fn drop_all(&self, py: Python<'_>, drop: fn(&Family)) -> PyResult<()> {
        let family = &self.parent()?.family;
        drop(family);
        series_removed(family);
        if let Some(children) = self.made_children(py) {
            children.clear();
        }
        self.forget_children();
        self.forget_callbacks(|_| true)
    }
}

pub fn texts(values: &Bound<'_, PyTuple>) -> PyResult<Vec<String>> {
    values.iter().map(|value| label_text(&value)).collect()
}

pub fn borrowed(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}
