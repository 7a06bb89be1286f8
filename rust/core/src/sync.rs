//! The only door to atomics, so that a model checker can stand behind it.
//!
//! Writers hold the GIL: one at a time per process. They use a relaxed load and a relaxed store,
//! never a locked read-modify-write ([`Own`]). Readers (a scrape) run beside them without the GIL.

#[cfg(loom)]
pub(crate) use loom::sync::{
    atomic::{fence, AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering},
    Mutex, MutexGuard,
};

#[cfg(not(loom))]
pub(crate) use std::sync::{
    atomic::{fence, AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering},
    Mutex, MutexGuard,
};

/// Lets another thread go on, after a number of tries in vain: at first it is about to, later it sleeps.
pub(crate) fn pause(tries: u32) {
    if cfg!(loom) {
        #[cfg(loom)]
        loom::thread::yield_now();
    } else if tries < 64 {
        std::hint::spin_loop();
    } else {
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
}

/// A word's only writer's look at what it stored there last.
pub(crate) trait Own {
    type Value;
    fn own(&self) -> Self::Value;
}

macro_rules! own {
    ($($atomic:ty: $value:ty,)*) => {$(
        impl Own for $atomic {
            type Value = $value;

            #[inline(always)]
            fn own(&self) -> $value {
                #[cfg(not(loom))]
                return self.load(Ordering::Relaxed);
                // SAFETY: nobody else stores here; the checker sees to it.
                #[cfg(loom)]
                return unsafe { self.unsync_load() };
            }
        }
    )*};
}

own! {
    AtomicU8: u8,
    AtomicU16: u16,
    AtomicU32: u32,
    AtomicU64: u64,
    AtomicPtr<()>: *mut (),
}

/// Locks a mutex whose holders never leave its data half-changed, so a panic elsewhere while it was
/// held says nothing about that data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// A static; the model checker, whose types have no `const` constructors, makes it anew for every
/// execution.
macro_rules! global {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
        #[cfg(not(loom))]
        $(#[$attribute])*
        pub(crate) static $name: $type = $value;
        #[cfg(loom)]
        loom::lazy_static! {
            $(#[$attribute])*
            pub(crate) static ref $name: $type = $value;
        }
    };
}
pub(crate) use global;
