//! Expositions on a port of their own: one thread, which never asks Python for anything.
//!
//! | want to see | read |
//! |---|---|
//! | what is served | [`exposition`]; of a process's own registry: [`local`]; of many processes: `directory` |
//! | which path answers what | [`answer`] |
//! | who may read | [`access`] |
//! | which format, and of which samples | [`accept`], [`names`] |
//! | the numbers as JSON, and where they are from | [`numbers`], [`requests`], [`look`] |
//! | the same as namespaced families | [`views`] |
//! | the thread, its start and end, slow clients | [`server`], [`connections`], [`io`] |
//! | what a fork does with the sockets | [`kept`] |
//!
//! Over hyper, on tokio's current-thread scheduler. The smaller ones (`tiny_http` and its like) give each
//! connection a blocking thread and have no timeouts, so a dozen clients that send one byte a minute end
//! them; hyper parses what hostile clients send for half of the Rust world, knows keep-alive, pipelining,
//! HEAD and both lengths of the protocol, and holds of a connection what its caller has decided. Without
//! HTTP/2, its client and tokio's threads, the two add about half a megabyte to the extension.

pub mod accept;
pub mod access;
pub mod answer;
mod body;
pub mod connections;
#[cfg(target_os = "linux")]
pub mod directory;
pub mod exposition;
pub mod io;
pub mod kept;
pub mod local;
pub mod look;
pub mod names;
pub mod numbers;
pub mod requests;
pub mod server;
pub mod views;

pub use access::{Access, Network, Secrets};
#[cfg(target_os = "linux")]
pub use directory::Directory;
pub use exposition::{Exposition, Format};
pub use local::Local;
pub use numbers::Numbers;
pub use server::{Options, Server};
