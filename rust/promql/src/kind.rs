//! The types of expressions.

/// The type of an expression's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number for each step.
    Scalar,
    /// A text.
    Text,
    /// One sample per series and step.
    Vector,
    /// Many samples per series and step.
    Matrix,
}

impl Type {
    /// The name in Prometheus's error messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}
