//! Families whose samples were computed for one scrape.

use crate::labels::Labels;

/// A value as it is printed: whole counts never pass through a double.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A count.
    Int(u64),
    /// Anything else.
    Float(f64),
}

/// One line of an exposition.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What follows the family's name, `_total` or nothing.
    pub suffix: String,
    /// Rendered labels, without braces.
    pub labels: String,
    /// The value.
    pub value: Value,
}

/// A family whose samples were computed for one scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    /// The name without its type's suffix.
    pub name: String,
    /// One line of documentation.
    pub help: String,
    /// `counter`, `gauge`, `histogram`, `summary`, `info`, `stateset`, `gaugehistogram` or `unknown`.
    pub kind: String,
    /// The samples, in the order to print.
    pub samples: Vec<Sample>,
}

impl Computed {
    /// What families have to say about themselves: each one's name, how often a label set was folded into its
    /// overflow series, and how many NaN were refused.
    pub fn faults(families: impl IntoIterator<Item = (String, (u64, u64))>) -> Vec<Self> {
        let (folded, refused): (Vec<_>, Vec<_>) =
            families.into_iter().map(|(name, (folded, refused))| ((name.clone(), folded), (name, refused))).unzip();
        let overflow = "Label sets beyond a family's max_series, counted in its overflow series";
        let nan = "Observations that were NaN and counted nowhere else";
        let overflow = Self::about("counter", ["ferrometer_series_overflow", overflow, "source"], folded);
        let nan = Self::about("counter", ["ferrometer_observations_refused", nan, "source"], refused);
        overflow.into_iter().chain(nan).collect()
    }

    /// A family of this package about itself: one sample per row, told apart by one label. Nothing while all
    /// rows are zero.
    pub fn about(
        kind: &str,
        [name, help, label]: [&str; 3],
        rows: impl IntoIterator<Item = (String, u64)>,
    ) -> Option<Self> {
        let suffix = if kind == "counter" { "_total" } else { "" };
        let rows = rows.into_iter().filter(|&(_, count)| count > 0);
        let samples: Vec<Sample> = rows
            .map(|(value, count)| {
                let mut labels = Vec::new();
                Labels::new(&[label]).render(&[&value], &mut labels);
                let labels = String::from_utf8_lossy(&labels).into_owned();
                Sample { suffix: suffix.into(), labels, value: Value::Int(count) }
            })
            .collect();
        let computed = Computed { name: name.into(), help: help.into(), kind: kind.into(), samples };
        (!computed.samples.is_empty()).then_some(computed)
    }
}
