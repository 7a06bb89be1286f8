//! `Registry`: the native half of `ferrometer.CollectorRegistry`.

use crate::gil::detached;
use crate::handover;
use crate::metric::state::{value_error, Metric};
use crate::samples::{self, FamilyParts, FamilyTold};
use ferrometer_core::clock::Clock;
use ferrometer_core::encode::further::{encode_further, Further, Line};
use ferrometer_core::encode::text::Format;
use ferrometer_core::encode::{protobuf, text};
use ferrometer_core::family::Family;
use ferrometer_core::registry::{Registry as Core, Value, Visited};
use ferrometer_core::scrape::Scrape;
use ferrometer_core::segment::shared::take_damage;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::{BTreeSet, HashSet};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

/// The families of one registry, and the names in use.
#[pyclass(frozen, module = "ferrometer._core")]
#[derive(Default)]
pub struct Registry {
    pub core: Arc<Core>,
    /// The size of the latest exposition: the next one is about as long.
    latest: AtomicUsize,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
impl Registry {
    /// Registries of one scope in several processes show each other's families, too.
    #[new]
    #[pyo3(signature = (scope=""))]
    fn new(scope: &str) -> Self {
        Self { core: Arc::new(Core::with_scope(scope)), ..Self::default() }
    }

    /// Takes names for a collector written in Python.
    fn reserve(&self, names: Vec<String>, description: &str) -> PyResult<()> {
        self.core.reserve(names, description).map_err(value_error)
    }

    /// Gives such names back.
    fn release(&self, names: Vec<String>) {
        self.core.release(&names);
    }

    /// Registers a metric made with another registry, or with none.
    fn adopt(&self, metric: &Bound<'_, Metric>) -> PyResult<()> {
        self.core.adopt(&metric.get().parent()?.family).map_err(value_error)
    }

    /// Removes a metric's family; False when it is not here.
    fn unregister(&self, metric: &Bound<'_, Metric>) -> PyResult<bool> {
        Ok(self.core.unregister(&metric.get().parent()?.family))
    }

    /// Sets what this process has counted and measured back to zero; infos and states stay.
    fn reset(&self) {
        self.core.reset();
    }

    /// All sample names in use.
    fn names(&self) -> Vec<String> {
        self.core.names()
    }

    /// The families that native code records without a metric object, the computed ones, and what the
    /// registry has to say about itself. `known` are the metrics that are read otherwise.
    fn computed<'py>(&self, py: Python<'py>, known: Vec<Bound<'py, Metric>>) -> PyResult<Vec<FamilyParts<'py>>> {
        let known: HashSet<_> =
            known.iter().filter_map(|m| Some(Arc::as_ptr(&m.get().parent().ok()?.family) as usize)).collect();
        let (families, computed) = detached(py, || {
            let scrape = Scrape::begin();
            let mut families = Vec::new();
            let mut computed = Vec::new();
            let is_known = |family: &Family| known.contains(&(ptr::from_ref(family) as usize));
            self.core.visit(&scrape, &is_known, &mut |visited| match visited {
                Visited::Family(family) => families.push(FamilyTold::of(family)),
                Visited::Computed(family) => computed.push(family.clone()),
            });
            (families, computed)
        });
        let mut parts = families.into_iter().map(|family| family.parts(py)).collect::<PyResult<Vec<_>>>()?;
        for family in computed {
            parts.push(samples::of_computed(py, family)?);
        }
        Ok(parts)
    }

    /// Counts a callback or collector that raised during a scrape.
    fn fail(&self, source: &str) {
        self.core.fail(source);
    }

    /// The text exposition without some metrics, between two other parts. The GIL is released while it is
    /// written.
    fn text<'py>(
        &self,
        py: Python<'py>,
        leave_out: Vec<Bound<'py, Metric>>,
        before: &[u8],
        after: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.write(py, &leave_out, [before, after], |core, leave_out, out| {
            text::encode(core, Format::Prometheus, leave_out, out);
        })
    }

    /// The OpenMetrics exposition without some metrics, likewise. `after` brings the end mark.
    fn openmetrics<'py>(
        &self,
        py: Python<'py>,
        leave_out: Vec<Bound<'py, Metric>>,
        before: &[u8],
        after: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.write(py, &leave_out, [before, after], |core, leave_out, out| {
            text::encode(core, Format::OpenMetrics, leave_out, out);
        })
    }

    /// The protobuf exposition without some metrics and, where `names` are given, of only the families
    /// that have samples of one of these; native histograms have at most `native_buckets` buckets.
    fn protobuf<'py>(
        &self,
        py: Python<'py>,
        leave_out: Vec<Bound<'py, Metric>>,
        names: Option<BTreeSet<String>>,
        native_buckets: usize,
        before: &[u8],
        after: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.write(py, &leave_out, [before, after], |core, leave_out, out| {
            protobuf::encode(core, leave_out, names.as_ref(), native_buckets, out);
        })
    }
}

impl Registry {
    fn write<'py>(
        &self,
        py: Python<'py>,
        leave_out: &[Bound<'py, Metric>],
        [before, after]: [&[u8]; 2],
        encode: impl FnOnce(&Core, &dyn Fn(&Family) -> bool, &mut Vec<u8>) + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let leave_out: Vec<_> =
            leave_out.iter().map(|metric| Ok(metric.get().parent()?.family.clone())).collect::<PyResult<_>>()?;
        let bytes = detached(py, || {
            Clock::get().calibrate();
            let latest = self.latest.load(Relaxed);
            let mut out = Vec::with_capacity(latest + latest / 16 + 256);
            out.extend_from_slice(before);
            encode(&self.core, &|family| leave_out.iter().any(|f| std::ptr::eq(&raw const **f, family)), &mut out);
            out.extend_from_slice(after);
            self.latest.store(out.len(), Relaxed);
            out
        });
        log_damage(py);
        handover::bytes(py, bytes)
    }
}

/// One line for each file of a shared directory that cannot be read. It says nothing of the scrape, so a logger
/// that fails does not fail that.
pub fn log_damage(py: Python<'_>) {
    for text in take_damage() {
        let logger = py.import("logging").and_then(|logging| logging.call_method1("getLogger", ("ferrometer",)));
        let _ = logger.and_then(|logger| logger.call_method1("warning", ("%s", text)));
    }
}

/// A sample of a family made in Python: suffix, labels, value, and its time in milliseconds since 1970.
type Sample = (String, Vec<(String, String)>, f64, Option<i64>);

/// A family of a collector written in Python as a length-delimited protobuf message.
#[pyfunction]
pub fn protobuf_family(
    py: Python<'_>,
    name: String,
    documentation: String,
    kind: String,
    unit: String,
    samples: Vec<Sample>,
) -> Bound<'_, PyBytes> {
    let lines = samples.into_iter().map(|(suffix, labels, value, timestamp)| Line {
        suffix,
        labels,
        value: Value::Float(value),
        timestamp,
    });
    let mut out = Vec::new();
    encode_further(&Further { name, help: documentation, kind, unit, lines: lines.collect() }, &mut out);
    PyBytes::new(py, &out)
}

/// Whether the text formats and `collect()` tell when counting began, in `_created` series.
#[pyfunction]
pub fn export_created(on: bool) {
    ferrometer_core::encode::export_created(on);
}

#[pyfunction]
pub fn exports_created() -> bool {
    ferrometer_core::encode::exports_created()
}
