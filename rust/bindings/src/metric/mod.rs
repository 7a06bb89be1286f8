//! `Metric`: the native base of `Counter`, `Gauge`, `Histogram`, `Summary`, `Info` and `Enum`.
//!
//! One object is a family without labels, a labelled family, or one child of it.
//!
//! | what | file |
//! |---|---|
//! | a metric's state, and its cells | `state.rs` |
//! | the text of a label value | `label_text.rs` |
//! | a series that is made, and its time | `made.rs` |
//! | a series that is removed | `removal.rs` |
//! | what a definition may not say | `checks.rs` |
//! | the classes of the kinds | `kinds.rs` |
//! | methods that need not be fast | `methods.rs`; the others in `hot/` |

pub mod checks;
pub mod kinds;
pub mod label_text;
pub mod made;
pub mod methods;
pub mod removal;
pub mod state;
