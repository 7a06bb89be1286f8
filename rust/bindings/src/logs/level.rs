//! The least level that is logged: one word, which all workers of a shared directory read.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

/// Of this process alone: info.
static OWN: AtomicU32 = AtomicU32::new(1);

/// Where the word lies.
static LEVEL: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const OWN).cast_mut());

/// Bytes of the file.
const SIZE: usize = 8;

/// Whether a line of this level is logged.
#[inline(always)]
pub fn is_on(level: u32) -> bool {
    level >= get()
}

/// The least level.
#[inline(always)]
pub fn get() -> u32 {
    // SAFETY: the word is a static, or lies in a mapping that is never taken back.
    unsafe { (*LEVEL.load(Relaxed)).load(Relaxed) }
}

/// Sets the least level, in all processes that read the same word.
pub fn set(level: u32) {
    // SAFETY: whatever the pointer has ever led to stays mapped, and it is an atomic word.
    unsafe { (*LEVEL.load(Relaxed)).store(level, Relaxed) }
}

/// From now on the word lies in this file, which is made with the present level when it is not there.
pub fn share(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let is_new = file.metadata()?.len() < SIZE as u64;
    if is_new {
        file.set_len(SIZE as u64)?;
    }
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping of a file that is that long; the result is checked. It is never unmapped.
    let address = unsafe { libc::mmap(ptr::null_mut(), SIZE, access, kind, file.as_raw_fd(), 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let word = address.cast::<AtomicU32>();
    if is_new {
        // SAFETY: the mapping is that long, aligned to a page, and stays.
        unsafe { (*word).store(get(), Relaxed) };
    }
    LEVEL.store(word, Relaxed);
    Ok(())
}
