//! Log lines: one JSON object per event, whose secrets are taken out while it is written.
//!
//! | want to see | read |
//! |---|---|
//! | how a line is put together, and cut when it is too long | [`mod@line`] |
//! | what the formats call a key | [`mod@format`] |
//! | how a string is escaped and redacted in one pass | [`text`] |
//! | which field names and which values are secrets | [`redact`] |
//! | what stands in place of a secret | [`redact::mark`] |

pub mod format;
pub mod line;
pub mod redact;
pub mod text;
pub mod time;
