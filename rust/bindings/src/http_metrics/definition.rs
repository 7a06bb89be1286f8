//! How the families of the middleware are defined.

use ferrometer_core::family::{Definition, Kind, MAX_SERIES};

/// The definition of a family.
pub fn definition(name: &str, help: &str, unit: &str, kind: Kind, labels: &[&str]) -> Definition {
    Definition {
        name: name.into(),
        help: help.into(),
        unit: unit.into(),
        kind,
        labels: labels.iter().map(|&label| label.into()).collect(),
        max_series: MAX_SERIES,
    }
}
