//! What a node of the tree evaluates to.

use super::table::Table;

/// What a node evaluates to.
pub(super) enum Outcome {
    /// A number per step.
    Scalar(Vec<f64>),
    Text(String),
    Vector(Table),
}
