//! What keeps `fork` safe beside threads that read without the GIL.
//!
//! A child has only the thread that forked: a lock that another thread held then is held for ever, and
//! a reader that had announced itself never leaves. Whoever forks holds the GIL, so only work without it
//! can be in such a place. All of that runs inside [`beside`], a fork waits until it is done, and what
//! comes later waits until the fork is done. This takes the length of a scrape at the most.

use crate::sync::{
    fence, global, pause, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};

use std::sync::OnceLock;

global! {
    /// Threads at work inside `beside`, or looking whether they may.
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
}
global! {
    /// Threads that are forking.
    static FORKING: AtomicUsize = AtomicUsize::new(0);
}

struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Release);
    }
}

/// Does work that may run without the GIL, beside the writer: never in the middle of a fork. The work
/// neither waits for the GIL nor comes back here.
pub fn beside<R>(work: impl FnOnce() -> R) -> R {
    loop {
        INSIDE.fetch_add(1, Relaxed);
        let inside = Inside;
        fence(SeqCst);
        if FORKING.load(Relaxed) == 0 {
            let result = work();
            drop(inside);
            return result;
        }
        drop(inside);
        wait_until(|| FORKING.load(Relaxed) == 0);
    }
}

fn wait_until(done: impl Fn() -> bool) {
    let mut tries = 0;
    while !done() {
        pause(tries);
        tries = tries.saturating_add(1);
    }
}

/// Before a fork, in the thread that forks. Of its fence and that of `beside` one is first: if this one,
/// the other thread sees the fork and stays outside; if the other, this one waits for it.
extern "C" fn prepare() {
    FORKING.fetch_add(1, Relaxed);
    fence(SeqCst);
    wait_until(|| INSIDE.load(Acquire) == 0);
}

/// After a fork, in the parent; also when it failed.
extern "C" fn parent() {
    FORKING.fetch_sub(1, Relaxed);
}

/// After a fork, in the child, where this is the only thread.
extern "C" fn child() {
    INSIDE.store(0, Relaxed);
    FORKING.store(0, Relaxed);
    if let Some(work) = IN_CHILD.get() {
        work();
    }
}

/// What the child of a fork does first of all.
static IN_CHILD: OnceLock<fn()> = OnceLock::new();

/// Makes the child of every fork do this first, while it has one thread; the first such work is the only one.
pub(crate) fn in_child(work: fn()) {
    IN_CHILD.get_or_init(|| work);
    install();
}

/// Makes the C library run the above at every fork of this process, Python's or not; once.
#[cfg(unix)]
pub fn install() {
    type Handler = extern "C" fn();
    extern "C" {
        fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> std::ffi::c_int;
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: POSIX's function; the handlers unwind never and live as long as this library, which
    // nobody unloads. Without memory for them it fails, and forks are as unsafe as they were.
    ONCE.call_once(|| unsafe {
        pthread_atfork(prepare, parent, child);
    });
}

/// Nothing to do: there is no fork here.
#[cfg(not(unix))]
pub fn install() {}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::{sync::atomic::AtomicBool, sync::Arc, thread};

    /// Nobody is at work between `prepare` and `parent`, in any interleaving.
    #[test]
    fn nobody_works_during_a_fork() {
        loom::model(|| {
            let working = Arc::new(AtomicBool::new(false));
            let reader = {
                let working = working.clone();
                thread::spawn(move || {
                    beside(|| {
                        working.store(true, Relaxed);
                        working.store(false, Relaxed);
                    });
                })
            };
            prepare();
            // A fork copies the memory as it is, and this thread goes on in the child with what it sees.
            assert!(!working.load(Relaxed));
            thread::yield_now();
            assert!(!working.load(Relaxed));
            parent();
            reader.join().unwrap();
        });
    }
}
