//! One record, every view: exact classic buckets, narrow bins for quantiles and native histograms,
//! count, sum, minimum and maximum.
//!
//! - [`grid`] says which bin a value belongs to;
//! - [`Layout`] says which classic bucket;
//! - [`Histogram`] holds the cells of one series and records;
//! - [`Snapshot`] is a consistent copy, for quantiles and merging.

mod bounds;
mod buckets;
mod cells;
pub mod drift;
pub mod filled;
pub mod grid;
mod layout;
#[cfg(all(test, loom))]
mod model;
pub mod native;
mod octave;
mod record;
mod snapshot;

pub use buckets::Buckets;
pub use layout::Layout;
pub use record::Histogram;
pub use snapshot::Snapshot;
