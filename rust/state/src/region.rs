//! The memory of one table: a file of the shared directory that every process maps, or private memory.

use crate::fork;
use ferrometer_core::segment::common_file;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::AtomicU64;

/// Bytes before the table: its head, then the processes' slots.
pub const HEAD: usize = 64;
/// How many processes can have entries at one time.
pub const PROCESSES: usize = 4096;
const BODY: usize = HEAD + PROCESSES * 8;

/// A table's memory: atomic words, zero at first. It stays mapped for ever, as handles keep addresses of it. A process
/// opens a file once: closing a second descriptor of it would give back the locks of the first.
pub struct Region {
    base: NonNull<AtomicU64>,
    words: usize,
    file: Option<(File, PathBuf)>,
    /// The fork generation that it was made in.
    made: u32,
    /// This process's owner in its low half, the fork generation it was found in above.
    pub(crate) here: AtomicU64,
}

// SAFETY: atomic words that are never unmapped.
unsafe impl Send for Region {}
// SAFETY: shared references reach nothing but atomic words.
unsafe impl Sync for Region {}

impl Region {
    /// The table `name` of a directory. `version` is that of its layout, and part of the file's name: two versions
    /// side by side do not share it. What another boot of the machine left is not taken over.
    ///
    /// # Errors
    /// When the directory cannot be written or has no room.
    pub fn open(directory: &Path, name: &str, version: u32, body: usize) -> io::Result<Self> {
        fork::install();
        let path = Self::path(directory, name, version);
        let mut head = [0; 32];
        head[..8].copy_from_slice(b"FMSTATE\0");
        head[8..12].copy_from_slice(&version.to_le_bytes());
        // The byte order, as it is written here.
        head[12..16].copy_from_slice(&0x0102_0304_u32.to_ne_bytes());
        head[16..].copy_from_slice(&common_file::boot());
        let size = BODY + body;
        let file = match common_file::open(&path, size as u64, &head) {
            Err(error) if error.kind() == io::ErrorKind::Other && is_of_another_boot(&path, &head) => {
                std::fs::remove_file(&path)?;
                common_file::open(&path, size as u64, &head)?
            }
            opened => opened?,
        };
        let base = map(size, libc::MAP_SHARED, file.as_raw_fd())?;
        Ok(Region {
            base,
            words: size / 8,
            file: Some((file, path)),
            made: fork::generation(),
            here: AtomicU64::new(0),
        })
    }

    /// Where the table `name` of a directory lies.
    pub fn path(directory: &Path, name: &str, version: u32) -> PathBuf {
        directory.join(format!("{name}-{version}.state"))
    }

    /// Memory of this process alone. The child of a fork has a copy.
    ///
    /// # Errors
    /// Without memory.
    pub fn private(body: usize) -> io::Result<Self> {
        fork::install();
        let size = BODY + body;
        let base = map(size, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
        Ok(Region { base, words: size / 8, file: None, made: fork::generation(), here: AtomicU64::new(0) })
    }

    /// The words of the table.
    #[inline]
    pub fn body(&self) -> &[AtomicU64] {
        &self.all()[BODY / 8..]
    }

    /// The word of each process that has entries.
    pub fn processes(&self) -> &[AtomicU64] {
        &self.all()[HEAD / 8..BODY / 8]
    }

    fn all(&self) -> &[AtomicU64] {
        // SAFETY: mapped, for ever, and atomic words, which others may change.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }

    /// The open file; nothing for private memory.
    pub fn file(&self) -> Option<&File> {
        self.file.as_ref().map(|(file, _)| file)
    }

    /// Whether this process made it, and no fork of it has happened since on the way here.
    pub fn is_of_this_process(&self) -> bool {
        self.made == fork::generation()
    }

    /// Whether other processes can still come by it: false once its file is gone, and for private memory.
    pub fn is_shared(&self) -> bool {
        self.file.as_ref().is_some_and(|(file, path)| {
            let there = std::fs::symlink_metadata(path).map(|about| (about.dev(), about.ino()));
            let here = file.metadata().map(|about| (about.dev(), about.ino()));
            matches!((there, here), (Ok(there), Ok(here)) if there == here)
        })
    }
}

fn is_of_another_boot(path: &Path, head: &[u8; 32]) -> bool {
    std::fs::read(path).is_ok_and(|found| found.len() > 32 && found[..16] == head[..16] && found[16..32] != head[16..])
}

fn map(size: usize, how: i32, descriptor: i32) -> io::Result<NonNull<AtomicU64>> {
    // SAFETY: new addresses.
    let base = unsafe { libc::mmap(null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, how, descriptor, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(base.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
