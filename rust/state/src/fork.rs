//! How often this process is the child of a fork: what it did before belongs to its parent.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::Once;

static GENERATION: AtomicU32 = AtomicU32::new(1);

/// A number that differs between this process and the one that forked it; never 0.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

extern "C" fn child() {
    GENERATION.fetch_add(1, Relaxed);
}

/// Makes the C library count forks; once.
pub fn install() {
    static ONCE: Once = Once::new();
    // SAFETY: POSIX's function; the handler never unwinds and lives as long as this library, which nobody unloads.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(child));
    });
}
