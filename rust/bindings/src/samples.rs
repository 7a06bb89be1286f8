//! Samples as Python objects, for code that reads them there: `collect()`, `get_sample_value()`.

use ferrometer_core::encode::exports_created;
use ferrometer_core::encode::number::write_float;
use ferrometer_core::exemplar::Exemplar;
use ferrometer_core::family::{Family, Kind};
use ferrometer_core::histogram::Buckets;
use ferrometer_core::labels::pairs;
use ferrometer_core::reading::{Here, Reading, Series};
use ferrometer_core::registry::{Computed, Value};
use ferrometer_core::series::SeriesRef;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What a sample's name ends in, the labels that the series does not have, the value.
type Sample<'py> = (&'static str, Bound<'py, PyDict>, f64);

/// The labels, value and time of an exemplar.
pub type ExemplarParts<'py> = (Bound<'py, PyDict>, f64, f64);

/// A family's name, help, type, unit, and samples with all their labels.
pub type FamilyParts<'py> = (String, String, String, String, Vec<(String, Bound<'py, PyDict>, f64)>);

/// The samples of a series, each with its exemplar.
pub fn of_series<'py>(
    py: Python<'py>,
    family: &Family,
    series: &SeriesRef,
) -> PyResult<Vec<(Sample<'py>, Option<ExemplarParts<'py>>)>> {
    let series = &Here::new(family, series);
    let exemplars = series.exemplars();
    let with_exemplar = |(index, sample)| {
        let exemplar = match exemplars.get(index) {
            Some(Some(Exemplar { labels, value, timestamp })) => {
                Some((dict(py, pairs(labels.as_bytes()))?, *value, *timestamp))
            }
            _ => None,
        };
        Ok((sample, exemplar))
    };
    // A counter's first sample, and a histogram's buckets, are also first here.
    plain(py, family, series)?.into_iter().enumerate().map(with_exemplar).collect()
}

fn plain<'py>(py: Python<'py>, family: &dyn Reading, series: &dyn Series) -> PyResult<Vec<Sample<'py>>> {
    let none = || PyDict::new(py);
    let one = |name: &str, value: String| dict(py, [(name.to_owned(), value)]);
    let definition = family.definition();
    let created = exports_created().then(|| ("_created", none(), series.created()));
    Ok(match &definition.kind {
        Kind::Counter => [("_total", none(), total(series.counter()))].into_iter().chain(created).collect(),
        Kind::Gauge(_) => vec![("", none(), series.gauge())],
        Kind::Histogram(layout) => {
            let mut buckets = Buckets::default();
            series.buckets(&mut buckets);
            let mut samples = Vec::new();
            let mut cumulative = 0;
            for (&bound, count) in layout.bounds().iter().zip(&buckets.counts) {
                cumulative += count;
                samples.push(("_bucket", one("le", text(bound))?, cumulative as f64));
            }
            samples.push(("_count", none(), cumulative as f64));
            if layout.bounds()[0] >= 0.0 {
                samples.push(("_sum", none(), buckets.sum));
            }
            samples.extend(created);
            samples
        }
        Kind::Summary(_, quantiles) => {
            let snapshot = series.snapshot();
            let mut samples = Vec::new();
            for &quantile in quantiles.iter() {
                samples.push(("", one("quantile", text(quantile))?, snapshot.quantile(quantile)));
            }
            samples.push(("_count", none(), snapshot.count() as f64));
            samples.push(("_sum", none(), snapshot.buckets.sum));
            samples.extend(created);
            samples
        }
        Kind::Info => vec![("_info", dict(py, pairs(series.info().unwrap_or_default().as_bytes()))?, 1.0)],
        Kind::StateSet(states) => {
            let current = series.gauge();
            let mut samples = Vec::new();
            for (index, state) in states.iter().enumerate() {
                let is_current = (current - index as f64).abs() < 0.5;
                samples.push(("", one(&definition.name, state.clone())?, f64::from(u8::from(is_current))));
            }
            samples
        }
    })
}

/// A whole family.
pub fn of_family<'py>(py: Python<'py>, family: &Family) -> PyResult<FamilyParts<'py>> {
    let definition = family.definition();
    let mut all = Vec::new();
    family.for_each(|series| all.push(series.clone()));
    let mut samples = Vec::new();
    for series in all {
        for (suffix, further, value) in plain(py, family, &Here::new(family, &series))? {
            let labels = dict(py, pairs(series.text()))?;
            labels.update(further.as_mapping())?;
            samples.push((suffix.to_owned(), labels, value));
        }
    }
    let (name, help) = (definition.name.clone(), definition.help.clone());
    Ok((name, help, definition.kind.name().into(), definition.unit.clone(), samples))
}

/// A computed family.
pub fn of_computed(py: Python<'_>, family: Computed) -> PyResult<FamilyParts<'_>> {
    let samples = family.samples.into_iter().map(|sample| {
        let value = match sample.value {
            Value::Int(count) => count as f64,
            Value::Float(number) => number,
        };
        Ok((sample.suffix, dict(py, pairs(sample.labels.as_bytes()))?, value))
    });
    Ok((family.name, family.help, family.kind, String::new(), samples.collect::<PyResult<_>>()?))
}

fn dict(py: Python<'_>, items: impl IntoIterator<Item = (String, String)>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in items {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

fn total((whole, fraction): (u64, f64)) -> f64 {
    whole as f64 + fraction
}

fn text(number: f64) -> String {
    let mut text = Vec::new();
    write_float(number, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
