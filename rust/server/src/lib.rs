//! Expositions on a port of their own: one thread, which never asks Python for anything.
//!
//! | want to see | read |
//! |---|---|
//! | what is served | [`exposition`]; of a process's own registry: [`local`]; of many processes: `directory` |
//! | which path answers what, at the own port and at the application's endpoints | [`responder`] |
//! | answers that other crates bring along | [`route`] |
//! | who may read | [`access`]; a browser that has signed in: [`session`] |
//! | the live page | [`page`] |
//! | which format, and of which samples | [`accept`], [`sample_filter`] |
//! | the health as last known | [`health`] |
//! | the numbers as JSON, and where they are from | [`stats_json`], [`requests`], [`lookup`] |
//! | what is known of each model | [`models_json`] |
//! | the same as namespaced families | [`views`] |
//! | the thread, its start and end, slow clients | [`server`], [`connections`], [`io`] |
//! | what a fork does with the sockets | [`fork_closed`] |
//!
//! Over hyper, on tokio's current-thread scheduler. The smaller ones (`tiny_http` and its like) give each
//! connection a blocking thread and have no timeouts, so a dozen clients that send one byte a minute end
//! them; hyper parses what hostile clients send for half of the Rust world, knows keep-alive, pipelining,
//! HEAD and both lengths of the protocol, and holds of a connection what its caller has decided. Without
//! HTTP/2, its client and tokio's threads, the two add about half a megabyte to the extension.

pub mod accept;
pub mod access;
mod body;
pub mod connections;
#[cfg(target_os = "linux")]
pub mod directory;
pub mod exposition;
pub mod fork_closed;
pub mod health;
pub mod io;
pub mod local;
pub mod lookup;
pub mod models_json;
pub mod page;
pub mod requests;
pub mod responder;
pub mod route;
pub mod sample_filter;
pub mod server;
pub mod session;
pub mod stats_json;
pub mod views;

pub use access::{Access, Network, Peer, Secrets};
#[cfg(target_os = "linux")]
pub use directory::Directory;
pub use exposition::{Additions, Exposition, Format};
pub use local::Local;
pub use models_json::Models;
pub use responder::Responder;
pub use route::{Asked, Route};
pub use server::{Options, Server};
pub use stats_json::Numbers;
