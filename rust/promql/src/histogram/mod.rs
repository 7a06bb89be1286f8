//! Native histograms with float counts.

mod arithmetic;
mod bucket;
mod display;
mod native;
mod quantile;
mod reset;
mod sum;
mod trim;
mod zero;

pub use arithmetic::{Incompatible, Notes};
pub use bucket::{exponential_bound, Bucket};
pub use native::{Bin, CounterReset, Histogram, CUSTOM};
pub(crate) use quantile::NanObservations;
pub(crate) use sum::Sum;
pub(crate) use trim::Keep;
