//! Samples as Python objects, for code that reads them there: `collect()`, `get_sample_value()`.

use crate::gil::detached;
use ferrometer_core::encode::exports_created;
use ferrometer_core::encode::number::write_float;
use ferrometer_core::exemplar::Exemplar;
use ferrometer_core::family::{Family, Kind};
use ferrometer_core::histogram::{Buckets, Snapshot};
use ferrometer_core::labels::pairs;
use ferrometer_core::reading::{Here, Reading, Series};
use ferrometer_core::registry::{Computed, Value};
use ferrometer_core::scrape::Scrape;
use ferrometer_core::series::SeriesRef;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// The labels, value and time of an exemplar.
type ExemplarParts<'py> = (Bound<'py, PyDict>, f64, f64);

/// A row of `Metric::_rows`: what the sample's name ends in, the labels that the series does not have, the
/// value, the series' label values, the exemplar.
pub type Row<'py> = (&'static str, Bound<'py, PyDict>, f64, Bound<'py, PyTuple>, Option<ExemplarParts<'py>>);

/// A family's name, help, type, unit, and samples with all their labels.
pub type FamilyParts<'py> = (String, String, String, String, Vec<(String, Bound<'py, PyDict>, f64)>);

/// What was read of a series. Python objects are made of it later: making them can run any Python code, which
/// must not meet a look that is going on.
struct Told {
    values: Vec<String>,
    /// Labels that only the families of several processes have.
    process: Vec<(String, String)>,
    samples: Vec<Sample>,
    exemplars: Vec<Option<Exemplar>>,
}

/// What its name ends in, the labels that the series does not have, the value.
type Sample = (&'static str, Vec<(String, String)>, f64);

/// The samples of a family, or of one of its series, as all processes recorded it, or this one alone.
pub fn rows<'py>(py: Python<'py>, family: &Family, only: Option<&SeriesRef>, here: bool) -> PyResult<Vec<Row<'py>>> {
    let told = detached(py, || {
        let mut told = Vec::new();
        let here = here || (family.scope().is_empty() && family.is_per_process());
        if !here {
            read(&*Scrape::begin().reading(family), family, only, &mut told);
        }
        if told.is_empty() {
            // Also the handle of a series that was removed.
            match only {
                Some(series) => told.push(read_one(family, &Here::new(family, series), Vec::new())),
                None if here => read(family, family, None, &mut told),
                None => {}
            }
        }
        for (series, only) in told.iter_mut().zip(only) {
            series.values = family.labels().values(only.text());
        }
        told
    });
    let mut rows = Vec::new();
    for Told { values, process, samples, exemplars } in told {
        let values = PyTuple::new(py, values)?;
        // A counter's first sample, and a histogram's buckets, are also first here.
        let exemplars = exemplars.into_iter().chain(std::iter::repeat(None));
        for ((suffix, further, value), exemplar) in samples.into_iter().zip(exemplars) {
            let labels = dict(py, process.iter().cloned().chain(further))?;
            let exemplar = match exemplar {
                Some(Exemplar { labels, value, timestamp }) => {
                    Some((dict(py, pairs(labels.as_bytes()))?, value, timestamp))
                }
                None => None,
            };
            rows.push((suffix, labels, value, values.clone(), exemplar));
        }
    }
    Ok(rows)
}

/// What all processes have recorded into a histogram's or summary's series; of a handle whose series was removed, what
/// it holds.
pub fn snapshot(family: &Family, series: &SeriesRef) -> Snapshot {
    let mut found = None;
    if !series.is_removed() {
        Scrape::begin().reading(family).for_each(&mut |other| {
            if other.text() == series.text() {
                found = Some(other.snapshot());
            }
        });
    }
    found.unwrap_or_else(|| series.histogram().snapshot())
}

/// Reads a family, or one of its series.
fn read(reading: &dyn Reading, family: &Family, only: Option<&SeriesRef>, out: &mut Vec<Told>) {
    let wanted = only.map(|series| family.labels().values(series.text()));
    let own = family.labels().names();
    reading.for_each(&mut |series| {
        let mut values = vec![String::new(); own.len()];
        let mut process = Vec::new();
        let labels = reading.labels();
        for (name, value) in labels.names().iter().zip(labels.values(series.text())) {
            match own.iter().position(|known| known == name) {
                Some(position) => values[position] = value,
                None => process.push((name.to_string(), value)),
            }
        }
        if wanted.as_ref().is_none_or(|wanted| *wanted == values) {
            out.push(Told { values, ..read_one(reading, series, process) });
        }
    });
}

fn read_one(reading: &dyn Reading, series: &dyn Series, process: Vec<(String, String)>) -> Told {
    Told { values: Vec::new(), process, samples: plain(reading, series), exemplars: series.exemplars() }
}

fn plain(family: &dyn Reading, series: &dyn Series) -> Vec<Sample> {
    let none = Vec::new;
    let one = |name: &str, value: String| vec![(name.to_owned(), value)];
    let definition = family.definition();
    let created = exports_created().then(|| ("_created", none(), series.created()));
    match &definition.kind {
        Kind::Counter => [("_total", none(), total(series.counter()))].into_iter().chain(created).collect(),
        Kind::Gauge(_) => vec![("", none(), series.gauge())],
        Kind::Histogram(layout) => {
            let mut buckets = Buckets::default();
            series.buckets(&mut buckets);
            let mut samples = Vec::new();
            let mut cumulative = 0;
            for (&bound, count) in layout.bounds().iter().zip(&buckets.counts) {
                cumulative += count;
                samples.push(("_bucket", one("le", text(bound)), cumulative as f64));
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
                samples.push(("", one("quantile", text(quantile)), snapshot.quantile(quantile)));
            }
            samples.push(("_count", none(), snapshot.count() as f64));
            samples.push(("_sum", none(), snapshot.buckets.sum));
            samples.extend(created);
            samples
        }
        Kind::Info => vec![("_info", pairs(series.info().unwrap_or_default().as_bytes()), 1.0)],
        Kind::StateSet(states) => {
            let current = series.gauge();
            let mut samples = Vec::new();
            for (index, state) in states.iter().enumerate() {
                let is_current = (current - index as f64).abs() < 0.5;
                samples.push(("", one(&definition.name, state.clone()), f64::from(u8::from(is_current))));
            }
            samples
        }
    }
}

/// Suffix, labels, value.
type SampleTold = (&'static str, Vec<(String, String)>, f64);

/// A whole family, read.
pub struct FamilyTold {
    name: String,
    help: String,
    kind: &'static str,
    unit: String,
    samples: Vec<SampleTold>,
}

impl FamilyTold {
    /// Reads a family.
    pub fn of(family: &dyn Reading) -> Self {
        let definition = family.definition();
        let mut samples = Vec::new();
        family.for_each(&mut |series| {
            let labels = pairs(series.text());
            for (suffix, further, value) in plain(family, series) {
                samples.push((suffix, [labels.clone(), further].concat(), value));
            }
        });
        let (name, help, unit) = (definition.name.clone(), definition.help.clone(), definition.unit.clone());
        FamilyTold { name, help, kind: definition.kind.name(), unit, samples }
    }

    /// As Python's objects.
    pub fn parts(self, py: Python<'_>) -> PyResult<FamilyParts<'_>> {
        let samples =
            self.samples.into_iter().map(|(suffix, labels, value)| Ok((suffix.to_owned(), dict(py, labels)?, value)));
        Ok((self.name, self.help, self.kind.into(), self.unit, samples.collect::<PyResult<_>>()?))
    }
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
