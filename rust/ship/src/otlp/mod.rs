//! OTLP over HTTP: protobuf, gzip.
//!
//! | want to see | read |
//! |---|---|
//! | lines as log records | [`logs`] |
//! | spans | [`traces`] |
//! | batches of metrics | [`metrics`]; how they come about: [`convert`], of what [`prometheus`] describes |
//! | what both have in common: the resource, attributes, answers | [`common`] |

pub mod common;
pub mod convert;
pub mod logs;
pub mod metrics;
pub mod prometheus;
pub mod traces;
