//! How the lines of a format call what every line says.

use serde::Deserialize;

/// The keys of a line, by its format.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// When.
    pub time: String,
    /// How severe.
    pub level: String,
    /// What a warning says there.
    pub warning: String,
    /// For people.
    pub message: String,
    /// The trace, which records have in binary, too.
    pub trace_id: String,
    /// The span, likewise.
    pub span_id: String,
}

impl Default for Keys {
    fn default() -> Self {
        Keys {
            time: "timestamp".into(),
            level: "level".into(),
            warning: "WARN".into(),
            message: "message".into(),
            trace_id: "trace_id".into(),
            span_id: "span_id".into(),
        }
    }
}
