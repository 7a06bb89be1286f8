//! A file as words of memory.

use crate::sync::AtomicU64;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{null_mut, NonNull};

/// A whole file, mapped.
pub struct Mapping {
    base: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: mapped memory, whose words are atomics.
unsafe impl Send for Mapping {}
// SAFETY: shared references reach nothing but atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(file: &File, bytes: usize) -> io::Result<Self> {
        let (protection, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: new addresses.
        let mapped = unsafe { libc::mmap(null_mut(), bytes, protection, how, file.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { base: NonNull::new(mapped).expect("not at null").cast(), words: bytes / 8 })
    }

    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: so many words are mapped as long as this lives.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and not used again.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.words * 8) };
    }
}
