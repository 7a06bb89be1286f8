//! Metric cells, histograms, families, registries and their exposition: bytes and numbers, no Python.
//!
//! | want to see | read |
//! |---|---|
//! | how a value is recorded | [`cell`], [`histogram`] |
//! | where the bin and bucket of a value come from | [`histogram::grid`], [`histogram::Layout`] |
//! | which events are timed, and by which clock | [`sampling`], [`clock`] |
//! | how label values become a series | [`labels`], [`family`], [`series`] |
//! | what a scrape visits and prints | [`registry`], [`encode`] |
//! | where the memory comes from and goes | `slab`, [`reclaim`] |
//! | how a reader notices a change | `seqlock` |
//! | what a fork waits for | [`fork`] |
//! | how processes see each other's cells | [`segment`], [`mode`] |
//!
//! Imports point down: the order of the modules, from the ground up, is `CORE_LAYERS` in `tests/test_layers.py`, and no
//! two files import each other.

pub mod cell;
pub mod clock;
pub mod computed;
pub mod definition;
#[cfg(not(loom))]
mod descriptor;
pub mod encode;
pub mod error;
pub mod exemplar;
pub mod family;
pub mod fork;
mod head;
pub mod histogram;
pub mod info;
pub mod labels;
pub mod mode;
mod prefetch;
pub mod reading;
pub mod reclaim;
pub mod registry;
pub mod sampling;
pub mod scrape;
pub mod segment;
mod seqlock;
pub mod series;
mod slab;
mod sync;
