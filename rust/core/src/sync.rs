//! The only door to atomics, so that a model checker can stand behind it.
//!
//! Writers hold the GIL: one at a time per process. They use a relaxed load and a relaxed store,
//! never a locked read-modify-write. Readers (a scrape) run beside them without the GIL.

#[cfg(loom)]
pub(crate) use loom::sync::{
    atomic::{fence, AtomicU64, AtomicUsize, Ordering},
    Mutex, MutexGuard,
};

#[cfg(not(loom))]
pub(crate) use std::sync::{
    atomic::{fence, AtomicU64, AtomicUsize, Ordering},
    Mutex, MutexGuard,
};

/// Locks a mutex whose holders never leave its data half-changed, so a panic elsewhere while it was
/// held says nothing about that data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
