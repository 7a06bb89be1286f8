//! Logs: the shipper of this process, and a reader of what others logged.

pub mod reader;
pub mod shipper;
