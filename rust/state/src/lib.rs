//! State that all workers of an application share, and that each of them writes.
//!
//! A table is one file in the shared directory, mapped by every worker; without a directory it is private memory.
//!
//! | want to see | read |
//! |---|---|
//! | how a table becomes memory | `region` |
//! | which process an entry belongs to, and whether it lives | `process` |
//! | the circuit breaker | `breaker` |
//! | distinct subjects in windows of time | `distinct` |
//! | health of providers | `providers` |
//! | running jobs, and what became of those that ran | `jobs` |
//! | time that all processes of a machine agree on | `time` |

#[cfg(target_os = "linux")]
pub mod breaker;
#[cfg(target_os = "linux")]
pub mod distinct;
#[cfg(target_os = "linux")]
pub mod fork;
#[cfg(target_os = "linux")]
pub mod jobs;
pub mod name;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod providers;
#[cfg(target_os = "linux")]
pub mod region;
#[cfg(target_os = "linux")]
pub mod time;
