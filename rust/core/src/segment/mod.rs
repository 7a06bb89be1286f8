//! Cells that several processes see: one file per process in a directory that they share.
//!
//! | want to see | read |
//! |---|---|
//! | where every word of a file lies | [`mod@format`] |
//! | what the log of a file says | [`record`] |
//! | what can be wrong with it | [`damage`] |
//! | how this process's own comes about | [`writer`] |
//! | all processes' as one | `view`, `merged` |
//! | what becomes of the dead | `fold` |
//! | files that all processes write | `common_file` |
//! | other files of a process, by the same rules | `owned_file` |
//! | how a process learns what others removed | `remote_removals` |

#[cfg(all(target_os = "linux", not(loom)))]
mod cells;
#[cfg(all(target_os = "linux", not(loom)))]
mod chain;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod common_file;
#[cfg(all(target_os = "linux", not(loom)))]
mod control;
pub mod damage;
#[cfg(all(target_os = "linux", not(loom)))]
mod entry;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod fold;
pub mod format;
#[cfg(all(target_os = "linux", not(loom), any(test, feature = "fuzz")))]
pub mod fuzz;
#[cfg(all(target_os = "linux", not(loom)))]
mod image;
#[cfg(all(target_os = "linux", not(loom)))]
mod index;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod inspect;
#[cfg(all(target_os = "linux", not(loom)))]
mod liveness;
#[cfg(all(target_os = "linux", not(loom)))]
mod lock;
#[cfg(any(target_os = "linux", loom))]
mod log;
#[cfg(all(target_os = "linux", not(loom)))]
mod loss_counters;
#[cfg(all(target_os = "linux", not(loom)))]
mod map;
#[cfg(all(target_os = "linux", not(loom)))]
mod members;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod merged;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod mirror;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(target_os = "linux", not(loom)))]
mod own_file;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod owned_file;
#[cfg(all(target_os = "linux", not(loom)))]
mod page;
#[cfg(all(target_os = "linux", not(loom)))]
mod reader;
pub mod record;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod remote_removals;
#[cfg(all(target_os = "linux", not(loom)))]
mod removal_epoch;
#[cfg(all(target_os = "linux", not(loom)))]
mod self_metrics;
pub mod share_error;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod shared;
#[cfg(all(target_os = "linux", not(loom)))]
mod tmpfile;
#[cfg(all(target_os = "linux", not(loom)))]
mod tombstones;
#[cfg(all(target_os = "linux", not(loom)))]
mod trusted;
#[cfg(any(not(target_os = "linux"), loom))]
mod unsupported;
#[cfg(all(target_os = "linux", not(loom)))]
mod unwritten;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod view;
#[cfg(all(target_os = "linux", not(loom)))]
mod with_own;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod writer;
#[cfg(any(not(target_os = "linux"), loom))]
pub use unsupported::{mirror, remote_removals, shared, view, writer};
