//! Expositions.

pub mod further;
pub mod number;
pub mod protobuf;
pub mod remote_write;
pub mod text;
mod wire;
