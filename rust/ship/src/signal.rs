//! How the threads of a shipper are woken, hurried and ended.

use crate::time::now_ns;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What all threads of a shipper listen to.
#[derive(Default)]
pub struct Signal {
    state: Mutex<u64>,
    changed: Condvar,
    /// Everything ends.
    pub is_stopping: AtomicBool,
    /// Until then, in nanoseconds of [`Signal::clock`], nobody lingers or waits for a retry.
    hurry: AtomicU64,
}

impl Signal {
    /// Wakes everyone.
    pub fn wake(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Nobody lingers for so long.
    pub fn hurry(&self, time: Duration) {
        let until = now_ns().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        self.hurry.fetch_max(until, Release);
        self.wake();
    }

    /// Whether nobody lingers or waits for a retry now.
    pub fn is_hurried(&self) -> bool {
        self.hurry.load(Acquire) > now_ns()
    }

    /// Whether everything ends.
    pub fn is_over(&self) -> bool {
        self.is_stopping.load(Acquire)
    }

    /// Waits for so long, or until somebody wakes everyone.
    pub fn wait(&self, time: Duration) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *state;
        let _ = self.changed.wait_timeout_while(state, time, |now| *now == before);
    }
}
