//! OTLP over HTTP: protobuf, gzip.
//!
//! | want to see | read |
//! |---|---|
//! | lines as log records | [`logs`] |
//! | spans | [`traces`] |
//! | what both have in common: the resource, attributes, answers | [`common`] |

pub mod common;
pub mod logs;
pub mod traces;
