//! Expositions.

pub mod further;
pub mod number;
pub mod protobuf;
pub mod text;
mod wire;
