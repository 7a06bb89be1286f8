//! The first words of a file that several processes write.

use super::format::{control, header};
use crate::sync::AtomicU64;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{null_mut, NonNull};

const SIZE: usize = header::SIZE;
const _: () = assert!(SIZE == control::SIZE);

/// The first 4096 bytes of a file, mapped.
pub(super) struct Page(NonNull<[AtomicU64; SIZE / 8]>);

// SAFETY: mapped memory, whose words are atomics.
unsafe impl Send for Page {}

impl Page {
    /// Maps those of a file that is at least so long.
    pub(super) fn map(file: &File) -> io::Result<Self> {
        let (protection, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: new addresses.
        let mapped = unsafe { libc::mmap(null_mut(), SIZE, protection, how, file.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Page(NonNull::new(mapped).expect("not at null").cast()))
    }

    /// The word at an offset in bytes.
    pub(super) fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: mapped as long as this lives.
        unsafe { &self.0.as_ref()[offset / 8] }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and not used again.
        unsafe { libc::munmap(self.0.as_ptr().cast(), SIZE) };
    }
}
