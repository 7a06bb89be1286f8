//! A file that another process writes, mapped to be read: words inside its length, and nothing else.

use super::damage::Damage;
use crate::descriptor::{identity_of, Descriptor, Identity};
use crate::prefetch::prefetch;
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;

/// What can be read while another process writes it.
///
/// # Safety
/// The type is an atomic integer, which any bytes are a value of.
pub(super) unsafe trait Word {}

// SAFETY: an atomic integer.
unsafe impl Word for AtomicU8 {}
// SAFETY: an atomic integer.
unsafe impl Word for AtomicU16 {}
// SAFETY: an atomic integer.
unsafe impl Word for AtomicU32 {}
// SAFETY: an atomic integer.
unsafe impl Word for AtomicU64 {}

/// Addresses beyond the file's end, for what is appended between two looks at its length.
const RESERVE: usize = 64 << 20;

/// The file behind a path; nothing when there is none.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    std::fs::symlink_metadata(path).ok().map(|about| identity_of(&about))
}

/// A mapped file.
pub(super) struct Map {
    base: NonNull<u8>,
    /// How long the file was when we last asked. Whoever makes it shorter afterwards is this very user,
    /// and gets the signal that the system has for that.
    length: AtomicUsize,
    /// How many addresses there are, more than the file is long.
    mapped: usize,
    file: Descriptor,
}

// SAFETY: the mapping belongs to the value, is read-only, and is read as atomics.
unsafe impl Send for Map {}
// SAFETY: shared references read atomics.
unsafe impl Sync for Map {}

/// Whether it is a plain file of the user `owner` that nobody else may write.
fn is_trusted(about: &Metadata, owner: u32) -> bool {
    about.is_file() && about.uid() == owner && about.mode() & 0o022 == 0
}

impl Map {
    /// Maps a file of the user `owner`; nothing when it is not there any more.
    pub(super) fn open(path: &Path, owner: u32) -> Result<Option<Self>, Damage> {
        // Neither a link nor the wait for a pipe's other end.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::EACCES)) => {
                return Err(Damage::Access)
            }
            Err(_) => return Err(Damage::Unreadable),
        };
        let file = Descriptor::new(file).map_err(|_| Damage::Unreadable)?;
        let about = file.about().map_err(|_| Damage::Unreadable)?;
        if !is_trusted(&about, owner) {
            return Err(Damage::Access);
        }
        let length = usize::try_from(about.len()).map_err(|_| Damage::Unreadable)?;
        if length == 0 {
            return Err(Damage::Empty);
        }
        let mapped = length.saturating_add(RESERVE);
        let (protection, how) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: new addresses. Those beyond the file's end are not touched before it is that long.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), mapped, protection, how, file.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(Damage::Unreadable);
        }
        let base = NonNull::new(base.cast()).ok_or(Damage::Unreadable)?;
        let length = AtomicUsize::new(length);
        Ok(Some(Map { base, length, mapped, file }))
    }

    /// Looks at the file's length again, and maps what was appended.
    pub(super) fn refresh(&mut self) -> Result<(), Damage> {
        let length = self.file.about().map_err(|_| Damage::Unreadable)?.len();
        let length = usize::try_from(length).map_err(|_| Damage::Unreadable)?;
        if length > self.mapped {
            let mapped = length.saturating_add(RESERVE);
            // SAFETY: these addresses are the mapping, and exclusive access says that nobody looks at it.
            let base = unsafe { libc::mremap(self.base.as_ptr().cast(), self.mapped, mapped, libc::MREMAP_MAYMOVE) };
            if base == libc::MAP_FAILED {
                return Err(Damage::Unreadable);
            }
            self.base = NonNull::new(base.cast()).ok_or(Damage::Unreadable)?;
            self.mapped = mapped;
        }
        let before = std::mem::replace(self.length.get_mut(), length);
        if length < before {
            return Err(Damage::Truncated);
        }
        Ok(())
    }

    /// Whether the file has become long enough since we last asked. What a process tells of lies in a file that
    /// was made longer before, but perhaps after we asked.
    #[cold]
    fn has_grown_to(&self, end: usize) -> bool {
        let length = self.file.about().map_or(0, |about| usize::try_from(about.len()).unwrap_or(0));
        let is_there = end <= length && end <= self.mapped;
        if is_there {
            self.length.fetch_max(length.min(self.mapped), Relaxed);
        }
        is_there
    }

    /// Where it begins in memory.
    pub(super) fn address(&self) -> usize {
        self.base.as_ptr().addr()
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether nobody has closed it behind our back.
    pub(super) fn is_open(&self) -> bool {
        self.file.about().is_ok()
    }

    /// Which file it is.
    pub(super) fn identity(&self) -> Identity {
        self.file.identity()
    }

    /// How long it is.
    pub(super) fn length(&self) -> usize {
        self.length.load(Relaxed)
    }

    /// How long it may become before it has to be mapped again.
    pub(super) fn reach(&self) -> usize {
        self.mapped
    }

    /// Some words from an offset on; nothing when they are not all inside the file.
    #[inline]
    pub(super) fn run<T: Word>(&self, at: usize, count: usize) -> Option<&[T]> {
        let end = count.checked_mul(size_of::<T>())?.checked_add(at)?;
        if !at.is_multiple_of(align_of::<T>()) || (end > self.length.load(Relaxed) && !self.has_grown_to(end)) {
            return None;
        }
        // SAFETY: inside the mapping, which begins at a page and lives as long as `self`; aligned; and
        // atomics, so that it may change meanwhile.
        Some(unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(at).cast::<T>(), count) })
    }

    /// The word at an offset.
    #[inline]
    pub(super) fn word<T: Word>(&self, at: usize) -> Option<&T> {
        self.run(at, 1)?.first()
    }

    /// Has some bytes brought nearer, which are about to be read.
    #[inline]
    pub(super) fn fetch(&self, at: usize, length: usize) {
        if at.checked_add(length).is_some_and(|end| end <= self.length.load(Relaxed)) {
            prefetch(self.base.as_ptr().wrapping_add(at), length);
        }
    }

    /// A private copy of some bytes from an offset on, a multiple of 8, in place of what `out` held.
    pub(super) fn copy(&self, at: usize, length: usize, out: &mut Vec<u8>) -> Option<()> {
        let words = self.run::<AtomicU64>(at, length.div_ceil(8))?;
        out.clear();
        out.reserve(words.len() * 8);
        for word in words {
            out.extend_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        out.truncate(length);
        Some(())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: these addresses are the mapping, and nobody looks at it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{symlink, PermissionsExt};

    fn user() -> u32 {
        // SAFETY: asks for a number.
        unsafe { libc::geteuid() }
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("ferrometer-map-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    fn write(path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn words_inside_the_file_are_read_and_no_others() {
        let folder = folder("words");
        let path = folder.join("file");
        let bytes: Vec<u8> = (0..100).collect();
        write(&path, &bytes);
        let mut map = Map::open(&path, user()).unwrap().unwrap();
        assert_eq!(map.word::<AtomicU32>(96).unwrap().load(Relaxed), u32::from_le_bytes([96, 97, 98, 99]));
        assert!(map.word::<AtomicU32>(100).is_none() && map.word::<AtomicU64>(96).is_none());
        assert!(map.word::<AtomicU32>(2).is_none() && map.run::<AtomicU16>(0, 51).is_none());
        assert!(map.run::<AtomicU64>(8, usize::MAX / 8).is_none() && map.run::<AtomicU64>(usize::MAX - 7, 1).is_none());
        let mut copy = vec![1];
        assert_eq!(map.copy(8, 13, &mut copy), Some(()));
        assert_eq!(copy, (8..21).collect::<Vec<u8>>());
        // It grows, then far beyond what was mapped, and shrinks.
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&vec![7; 100_000]).unwrap();
        assert_eq!(map.word::<AtomicU16>(100_098).unwrap().load(Relaxed), 0x0707);
        assert!(map.word::<AtomicU16>(100_100).is_none());
        let far = 3 * RESERVE;
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(far as u64 + 2).unwrap();
        assert!(map.word::<AtomicU16>(far).is_none());
        assert_eq!(map.refresh(), Ok(()));
        assert_eq!(map.word::<AtomicU16>(far).unwrap().load(Relaxed), 0);
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert_eq!(map.refresh(), Err(Damage::Truncated));
        assert!(map.word::<AtomicU64>(8).is_none() && map.word::<AtomicU16>(8).is_some());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_not_a_plain_file_of_ours_is_refused() {
        let folder = folder("access");
        let path = folder.join("file");
        write(&path, b"bytes");
        let open = |name: &str, owner| Map::open(&folder.join(name), owner).map(|map| map.is_some());
        assert_eq!(open("file", user()), Ok(true));
        assert_eq!(open("file", user() + 1), Err(Damage::Access));
        assert_eq!(open("none", user()), Ok(false));
        symlink(&path, folder.join("link")).unwrap();
        assert_eq!(open("link", user()), Err(Damage::Access));
        std::fs::create_dir(folder.join("folder")).unwrap();
        assert_eq!(open("folder", user()), Err(Damage::Access));
        let pipe = std::ffi::CString::new(folder.join("pipe").to_str().unwrap()).unwrap();
        // SAFETY: the text ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        assert_eq!(open("pipe", user()), Err(Damage::Access));
        write(&folder.join("empty"), b"");
        assert_eq!(open("empty", user()), Err(Damage::Empty));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(open("file", user()), Err(Damage::Access));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
