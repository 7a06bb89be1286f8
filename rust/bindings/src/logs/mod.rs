//! Logs: loggers, the shipper of this process, and a reader of what others logged.
//!
//! | want to see | read |
//! |---|---|
//! | what `log.info(...)` executes | [`logger`], then [`event`] |
//! | how a Python value becomes JSON | [`value`] |
//! | fields of a request or a job | [`context`] |
//! | the level, also for all workers | [`level`] |
//! | the format, and what is known of a field's name | [`style`] |
//! | records of `logging`, and its events without one | [`record`], [`direct`] |
//! | secrets taken out, in the ring's counters | `redactions` |
//! | the span of OpenTelemetry's own SDK | `opentelemetry` |
//! | the latest lines for whoever asks over HTTP | [`recent`] |
//! | what is left out of too many | [`sampling`] |
//! | lines for a terminal | `console` |
//! | where lines leave | [`crate::shipping`] |

mod console;
pub mod context;
pub mod direct;
pub mod event;
pub mod level;
pub mod logger;
mod opentelemetry;
pub mod reader;
pub mod recent;
pub mod record;
mod redactions;
pub mod sampling;
pub mod style;
pub mod value;
