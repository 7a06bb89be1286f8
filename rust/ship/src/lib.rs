//! Takes records out of the rings of a directory's processes to where they are wanted: one shipper for each
//! directory, in threads that never take the GIL.
//!
//! | want to see | read |
//! |---|---|
//! | what a receiver must be able to do | [`sink`] |
//! | how the one shipper is elected, finds rings and removes those of the dead | [`shipper`] |
//! | how a receiver's thread reads, sends, retries and settles | [`lane`], [`signal`] |
//! | how a receiver that is away is passed over, and keeps the errors | [`release`], [`reserve`] |
//! | what is configured, and how it is checked | [`config`] |
//! | stdout, stderr, files | [`stream`], [`rotate`] |
//! | syslog over TCP and TLS | [`syslog`] |
//! | Loki; OTLP for lines and spans; the HTTP client of both | [`loki`], [`otlp`], [`http`] |
//! | the fields of a line, and what they are called | [`fields`], [`keys`] |
//! | the shipper of this process, also after a fork | [`own`] |
#![cfg(target_os = "linux")]

pub mod backoff;
pub mod config;
pub mod fields;
pub mod http;
pub mod keys;
pub mod lane;
pub mod loki;
pub mod otlp;
pub mod own;
pub mod release;
pub mod reserve;
pub mod rings;
pub mod rotate;
pub mod shipper;
pub mod signal;
pub mod sink;
pub mod stream;
pub mod syslog;
pub mod time;
