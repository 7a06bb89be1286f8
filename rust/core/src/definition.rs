//! What a family is: its name, its type, its labels.

use crate::histogram::Layout;
use crate::labels::ANY;
use crate::mode::Mode;
use std::sync::Arc;

/// What a family's series hold, and how they are exposed.
#[derive(Clone)]
pub enum Kind {
    /// A monotone count.
    Counter,
    /// A value that goes up and down, and what several processes' values of it mean together.
    Gauge(Mode),
    /// Classic buckets, and quantiles from narrow bins.
    Histogram(Arc<Layout>),
    /// Count, sum, and these quantiles; recorded like a histogram without classic buckets.
    Summary(Arc<Layout>, Arc<[f64]>),
    /// Constant labels with the value 1.
    Info,
    /// One of these states.
    StateSet(Arc<[String]>),
}

impl Kind {
    /// The type's name, as `prometheus_client` spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge(_) => "gauge",
            Kind::Histogram(_) => "histogram",
            Kind::Summary(..) => "summary",
            Kind::Info => "info",
            Kind::StateSet(_) => "stateset",
        }
    }

    /// What the names of a type's samples may end in.
    pub fn suffixes(&self) -> &'static [&'static str] {
        match self {
            Kind::Counter => &["_total", "_created"],
            Kind::Histogram(_) => &["_bucket", "_sum", "_count", "_created"],
            Kind::Summary(..) => &["_sum", "_count", "_created"],
            Kind::Info => &["_info"],
            Kind::Gauge(_) | Kind::StateSet(_) => &[],
        }
    }

    fn same(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Histogram(a), Kind::Histogram(b)) => Arc::ptr_eq(a, b),
            (Kind::Summary(_, a), Kind::Summary(_, b)) => a == b,
            (Kind::StateSet(a), Kind::StateSet(b)) => a == b,
            (Kind::Gauge(a), Kind::Gauge(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

/// How many series a family may have where nothing else is said; further label sets share its overflow series.
pub const MAX_SERIES: usize = 10_000;

/// A family's definition.
#[derive(Clone)]
pub struct Definition {
    /// The name without the suffix that its type adds (`_total`, `_info`).
    pub name: String,
    /// One line of documentation.
    pub help: String,
    /// The unit, empty when none.
    pub unit: String,
    /// The type.
    pub kind: Kind,
    /// The label names; [`ANY`] alone where each series has names of its own.
    pub labels: Vec<String>,
    /// How many series there may be before further ones share the overflow series.
    pub max_series: usize,
}

impl Definition {
    /// Whether another definition, which comes later, means the same metric. The help and the cap on its series may
    /// differ: reloading code that changed them is no error. A unit that the other one leaves out is in the name.
    pub fn same(&self, other: &Definition) -> bool {
        self.name == other.name
            && self.labels == other.labels
            && self.kind.same(&other.kind)
            && (self.unit == other.unit || other.unit.is_empty())
    }

    /// The definition in one line, for errors.
    pub fn describe(&self) -> String {
        let bounds = match &self.kind {
            Kind::Histogram(layout) => format!(", buckets={:?}", layout.bounds()),
            Kind::Summary(_, quantiles) if !quantiles.is_empty() => format!(", quantiles={quantiles:?}"),
            Kind::StateSet(states) => format!(", states={states:?}"),
            Kind::Gauge(mode) => format!(", multiprocess_mode={:?}", mode.name()),
            _ => String::new(),
        };
        let unit = if self.unit.is_empty() { String::new() } else { format!(", unit={:?}", self.unit) };
        let labels = if self.labels == [ANY] { "any labels".to_owned() } else { self.labels.join(", ") };
        format!("{} {}({labels}){bounds}{unit}", self.kind.name(), self.name)
    }
}
