//! Expositions.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub mod further;
pub mod number;
pub mod protobuf;
pub mod remote_further;
pub mod remote_write;
pub mod text;
mod wire;

static CREATED: AtomicBool = AtomicBool::new(true);

/// Whether text and samples tell when counting began, in series of their own, `_created`; all registries.
pub fn export_created(on: bool) {
    CREATED.store(on, Relaxed);
}

/// Whether they do.
pub fn exports_created() -> bool {
    CREATED.load(Relaxed)
}
