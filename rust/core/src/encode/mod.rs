//! Bytes for scrapers.

pub mod number;
pub mod protobuf;
pub mod text;
