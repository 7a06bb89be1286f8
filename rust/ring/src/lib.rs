//! Records of one process that survive it: log lines, spans.
//!
//! A ring has one writer, under the GIL, and readers in the same and in other processes. It lies in a file of the
//! shared directory, or in private memory where nothing is shared. What was appended survives any death of the
//! process; what does not fit is counted by reason and level.
//!
//! | want to see | read |
//! |---|---|
//! | where every word lies | [`layout`] |
//! | what a record says about itself | [`head`] |
//! | lines or spans: a ring of each kind | [`kind`] |
//! | how a record is written, and who is refused when the ring is full | [`writer`] |
//! | how records are read beside the writer | [`reader`] |
//! | how far each receiver has come, and what it lost | [`cursors`] |
//! | how the file comes about, and which files there are | `file` |
//! | this process's own ring, also after a fork | `own` |
//! | what became of the counts of processes that are gone | `totals` |
//! | how all of that is told as metrics | `metrics` |

pub mod cursors;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod file;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod fork;
pub mod head;
pub mod kind;
pub mod layout;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod mapping;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod metrics;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod own;
pub mod reader;
pub mod region;
mod sync;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod totals;
pub mod writer;

pub use head::{flags, Head, Level, Outcome, Reason};
pub use kind::Kind;
