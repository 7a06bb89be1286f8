//! Why a process cannot share its metrics.

use std::fmt;

/// Why a process cannot share its metrics.
#[derive(Debug)]
pub struct ShareError {
    /// What happened, in which directory, and the remedy.
    pub text: String,
    /// The system's number for it, when it has one.
    pub code: Option<i32>,
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ShareError {}
