//! Stretches of memory that blocks are cut from. Where they lie never changes; what is behind them does:
//! private memory, or a part of a file that other processes read.

use crate::descriptor::Descriptor;
use std::path::PathBuf;

/// Blocks are multiples of this; also their alignment, and the unit of places in a file.
pub(crate) const GRAIN: usize = 16;

/// What blocks are made of.
#[repr(C, align(16))]
pub(super) struct Grain([u8; GRAIN]);

/// One stretch.
pub(super) struct Chunk {
    pub(super) start: *mut Grain,
    /// Its length.
    pub(super) grains: usize,
    /// Where in the file it lies, in grains; 0 for private memory.
    pub(super) place: u32,
}

/// The file behind the chunks.
pub(super) struct Backing {
    file: Descriptor,
    /// Its name, for when somebody closes it.
    path: PathBuf,
    /// Where the next chunk goes, in bytes.
    end: u64,
}

impl Backing {
    pub(super) fn new(file: Descriptor, path: PathBuf, from: u64) -> Self {
        Backing { file, path, end: from }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Backing, Chunk, GRAIN};
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    use std::ptr;

    /// Octaves keep a place in 30 bits.
    const END: u64 = (1 << 30) * GRAIN as u64;

    impl Chunk {
        /// Zeroed private memory.
        pub(crate) fn new(grains: usize) -> Self {
            let memory = map_anonymous(ptr::null_mut(), grains * GRAIN);
            let Ok(start) = memory else {
                let layout = std::alloc::Layout::from_size_align(grains * GRAIN, GRAIN);
                std::alloc::handle_alloc_error(layout.expect("smaller than the address space"));
            };
            Chunk { start: start.cast(), grains, place: 0 }
        }

        fn bytes(&self) -> usize {
            self.grains * GRAIN
        }

        /// Lays the chunk's part of the file, which holds the same bytes, under its addresses.
        pub(crate) fn map(&self, file: &Backing) -> io::Result<()> {
            let place = (u64::from(self.place) * GRAIN as u64).cast_signed();
            let (protection, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
            // SAFETY: the chunk's own addresses, which stay valid, and hold what they held.
            let mapped =
                unsafe { libc::mmap(self.start.cast(), self.bytes(), protection, how, file.file.as_raw_fd(), place) };
            if mapped == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        }

        /// Lays private memory under the chunk's addresses: with the same bytes, or zeroed.
        pub(crate) fn map_private(&mut self, keep: bool) {
            // SAFETY: the chunk is that long, and nobody writes it now.
            let kept =
                keep.then(|| unsafe { std::slice::from_raw_parts(self.start.cast::<u8>(), self.bytes()) }.to_vec());
            if map_anonymous(self.start.cast(), self.bytes()).is_err() {
                // The addresses would go on being those of another process's totals.
                eprintln!("ferrometer: no memory for a process of its own after a fork");
                std::process::abort();
            }
            if let Some(kept) = kept {
                // SAFETY: fresh private memory of that length lies there now, and nobody else has seen it.
                unsafe { self.start.cast::<u8>().copy_from_nonoverlapping(kept.as_ptr(), kept.len()) };
            }
            self.place = 0;
        }
    }

    /// Private zeroed memory, at an address or wherever there is room (null).
    fn map_anonymous(at: *mut libc::c_void, bytes: usize) -> io::Result<*mut libc::c_void> {
        let fixed = if at.is_null() { 0 } else { libc::MAP_FIXED };
        let how = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | fixed;
        // SAFETY: new addresses, or those of a chunk, which stay valid.
        let mapped = unsafe { libc::mmap(at, bytes, libc::PROT_READ | libc::PROT_WRITE, how, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(mapped)
    }

    impl Backing {
        /// Reserves room for a chunk and copies it there. Reserved, because a page that the file system has
        /// no room for is found out by a fatal signal, at the first write.
        pub(crate) fn place(&mut self, chunk: &mut Chunk) -> io::Result<()> {
            let length = chunk.bytes() as u64;
            if self.end + length > END {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            // Whoever closed it would have another file's bytes overwritten.
            let again = || File::options().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&self.path);
            self.file.open_again(again)?;
            reserve(&self.file, self.end, length)?;
            // SAFETY: the chunk is that long, and nobody writes it now.
            let bytes = unsafe { std::slice::from_raw_parts(chunk.start.cast::<u8>(), chunk.bytes()) };
            self.file.write_all_at(bytes, self.end)?;
            chunk.place = (self.end / GRAIN as u64) as u32;
            self.end += length;
            Ok(())
        }
    }

    fn reserve(file: &std::fs::File, from: u64, length: u64) -> io::Result<()> {
        // SAFETY: plain numbers; the descriptor is open.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), from.cast_signed(), length.cast_signed()) } {
            libc::EINTR => reserve(file, from, length),
            // A file system that cannot: the bytes are about to be written anyway.
            0 | libc::EOPNOTSUPP | libc::EINVAL => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use super::{Backing, Chunk, GRAIN};
    use std::alloc::{alloc_zeroed, handle_alloc_error, Layout};
    use std::io;

    impl Chunk {
        /// Zeroed private memory.
        pub(crate) fn new(grains: usize) -> Self {
            let layout = Layout::from_size_align(grains * GRAIN, GRAIN).expect("smaller than the address space");
            // SAFETY: no one asks for zero grains.
            let start = unsafe { alloc_zeroed(layout) };
            if start.is_null() {
                handle_alloc_error(layout);
            }
            Chunk { start: start.cast(), grains, place: 0 }
        }

        pub(crate) fn map(&self, _: &Backing) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        #[expect(clippy::unused_self, reason = "elsewhere it is used")]
        pub(crate) fn map_private(&mut self, _keep: bool) {}
    }

    impl Backing {
        pub(crate) fn place(&mut self, _: &mut Chunk) -> io::Result<()> {
            let _ = (&self.file, &self.path, self.end);
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}
