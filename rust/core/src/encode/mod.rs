//! Bytes for scrapers.

pub mod number;
pub mod text;
