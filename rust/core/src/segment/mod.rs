//! Cells that several processes see: one file per process in a directory that they share.
//!
//! | want to see | read |
//! |---|---|
//! | where every word of a file lies | [`mod@format`] |
//! | what the log of a file says | [`record`] |
//! | what can be wrong with it | [`damage`] |

#[cfg(all(target_os = "linux", not(loom)))]
mod control;
pub mod damage;
pub mod format;
#[cfg(all(target_os = "linux", not(loom)))]
mod own;
#[cfg(all(target_os = "linux", not(loom)))]
mod owner;
#[cfg(all(target_os = "linux", not(loom)))]
mod page;
pub mod record;
pub mod share_error;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod writer;
#[cfg(any(not(target_os = "linux"), loom))]
#[path = "nowhere.rs"]
pub mod writer;
