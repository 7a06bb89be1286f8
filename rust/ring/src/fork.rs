//! What the child of a fork must not keep: its parent's ring, and its parent's locks.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{
    AtomicI32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::Once;

/// How often this process is the child of a fork.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Descriptors that the child closes, and which files they must be: somebody may have closed them, and got the
/// number for a file of his own.
static HELD: [Held; 16] = [const { Held::new() }; 16];

struct Held {
    descriptor: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

impl Held {
    const fn new() -> Self {
        Held { descriptor: AtomicI32::new(-1), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
    }
}

/// A number that differs between this process and the one that forked it.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Relaxed)
}

/// Makes the children of this process close this file: a lock lives as long as any descriptor of it.
pub fn close_in_child(file: &File) {
    install();
    let Ok(about) = file.metadata() else { return };
    for held in &HELD {
        // -2: being filled in.
        if held.descriptor.compare_exchange(-1, -2, Acquire, Relaxed).is_ok() {
            held.device.store(about.dev(), Relaxed);
            held.inode.store(about.ino(), Relaxed);
            held.descriptor.store(file.as_raw_fd(), Release);
            return;
        }
    }
}

/// Takes that back, before the file is closed here.
pub fn keep_in_child(file: &File) {
    for held in &HELD {
        let _ = held.descriptor.compare_exchange(file.as_raw_fd(), -1, Release, Relaxed);
    }
}

/// In the child, where this is the only thread: nothing but functions that are safe in a signal handler.
extern "C" fn child() {
    GENERATION.fetch_add(1, Relaxed);
    for held in &HELD {
        let descriptor = held.descriptor.swap(-1, Acquire);
        if descriptor < 0 {
            continue;
        }
        // SAFETY: a structure of plain numbers, which the call fills in.
        let mut about: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the structure lives.
        let is_known = unsafe { libc::fstat(descriptor, &raw mut about) } == 0;
        if is_known && (about.st_dev, about.st_ino) == (held.device.load(Relaxed), held.inode.load(Relaxed)) {
            // SAFETY: its owner is the parent's thread, which is not here; what it owned is never dropped here.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Makes the C library run the above at every fork; once.
pub fn install() {
    static ONCE: Once = Once::new();
    // SAFETY: POSIX's function; the handler never unwinds and lives as long as this library, which nobody unloads.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(child));
    });
}
