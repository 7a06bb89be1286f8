//! Rings as files: how one is made, which there are, and whether the owner lives.

use crate::kind::Kind;
use crate::layout::{BOOT, CAPACITY, CHECKSUM, HEADER, HEADER_BYTES, MAGIC, NAMESPACE, PID, START, UUID, VERSION};
use crate::mapping::Mapping;
use crate::region::Region;
use crate::sync::Ordering::Relaxed;
use ferrometer_core::segment::owned_file::{OwnedFile, Owner};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The smallest ring worth having, in bytes.
pub const LEAST: usize = 64 * 1024;

/// The file of this process's ring; the lock that tells that it lives goes with it.
pub struct OwnRing {
    /// Open for as long as this process lives.
    pub file: OwnedFile,
    /// Its name.
    pub path: PathBuf,
    /// Its memory.
    pub region: Arc<Region>,
}

/// Makes the ring of this process, with room for `capacity` bytes of records; for less, down to [`LEAST`], where
/// the file system has no more.
///
/// # Errors
/// When the directory cannot be written, or has no room.
pub fn create(directory: &Path, kind: Kind, capacity: usize) -> io::Result<OwnRing> {
    let owner = Owner::here()?;
    let mut file = OwnedFile::create(directory)?;
    let mut capacity = capacity.next_multiple_of(4096).max(LEAST);
    // All of it at once: a page that the file system cannot give would kill whoever writes to it.
    while let Err(error) = allocate(file.file(), HEADER_BYTES + capacity) {
        if capacity / 2 < LEAST || !matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) {
            return Err(error);
        }
        file.file().set_len(0)?;
        capacity = (capacity / 2).next_multiple_of(4096);
    }
    let region = Arc::new(Region::Mapped(Mapping::new(file.file(), HEADER_BYTES + capacity)?));
    let (uuid, boot) = (file.uuid(), owner.boot);
    let half = |bytes: [u8; 16], index: u32| u128::from_le_bytes(bytes).wrapping_shr(64 * index) as u64;
    let words = [
        (0, MAGIC),
        (1, VERSION),
        (UUID, half(uuid, 0)),
        (UUID + 1, half(uuid, 1)),
        (PID, owner.pid),
        (START, owner.start),
        (NAMESPACE, owner.namespace),
        (BOOT, half(boot, 0)),
        (BOOT + 1, half(boot, 1)),
        (CAPACITY, capacity as u64),
    ];
    for (index, value) in words {
        region.header(index).store(value, Relaxed);
    }
    region.header(CHECKSUM).store(checksum(&region), Relaxed);
    let path = file.publish(directory, kind.suffix())?;
    Ok(OwnRing { file, path, region })
}

pub(crate) fn allocate(file: &File, bytes: usize) -> io::Result<()> {
    let bytes = libc::off_t::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // SAFETY: the descriptor is open.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

fn checksum(region: &Region) -> u64 {
    let bytes: Vec<u8> = (0..CHECKSUM).flat_map(|index| region.header(index).load(Relaxed).to_le_bytes()).collect();
    u64::from(crc32fast::hash(&bytes))
}

/// A ring of any process.
pub struct Ring {
    /// Its memory.
    pub region: Arc<Region>,
    /// Its name.
    pub path: PathBuf,
    /// Tells it from all others.
    pub uuid: [u8; 16],
    /// Whose it is.
    pub owner: Owner,
    file: File,
}

impl Ring {
    /// Opens one, for reading and for moving cursors.
    ///
    /// # Errors
    /// When it is not a ring of this user.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        let about = file.metadata()?;
        // SAFETY: asks for a number.
        let user = unsafe { libc::geteuid() };
        if !about.is_file() || about.uid() != user || about.mode() & 0o077 != 0 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a private file of this user"));
        }
        let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        let length = usize::try_from(about.len()).map_err(|_| invalid("too long"))?;
        if length < HEADER_BYTES + LEAST || length % 8 != 0 {
            return Err(invalid("not the length of a ring"));
        }
        let region = Arc::new(Region::Mapped(Mapping::new(&file, length)?));
        let word = |index: usize| region.header(index).load(Relaxed);
        if word(0) != MAGIC || word(1) != VERSION {
            return Err(invalid("not a ring, or one of another version"));
        }
        if word(CHECKSUM) != checksum(&region) || word(CAPACITY) != (length - HEADER * 8) as u64 {
            return Err(invalid("a damaged header"));
        }
        let two = |index: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&word(index).to_le_bytes());
            bytes[8..].copy_from_slice(&word(index + 1).to_le_bytes());
            bytes
        };
        let owner = Owner { pid: word(PID), start: word(START), namespace: word(NAMESPACE), boot: two(BOOT) };
        let uuid = two(UUID);
        Ok(Ring { path: path.to_owned(), uuid, owner, file, region })
    }

    /// Whether the process that writes it lives.
    pub fn is_alive(&self) -> bool {
        self.owner.is_alive(&self.file)
    }

    /// When it was made or written to last, in seconds since 1970, as far as the file system tells: of a write to a
    /// page that is mapped already, tmpfs is told nothing.
    pub fn written(&self) -> f64 {
        self.file.metadata().map_or(0.0, |about| about.mtime() as f64)
    }

    /// Lets the file system tell when the youngest of its records was made, if that is later than what it tells now.
    /// Reads the whole ring.
    pub fn date(&self) {
        let (mut place, mut newest) = (self.region.oldest(), 0);
        loop {
            let batch = self.region.read(place, 1 << 16);
            if batch.end == place {
                break;
            }
            place = batch.end;
            newest = batch.records.iter().map(|record| record.head.time_ns).fold(newest, u64::max);
        }
        let newest = (UNIX_EPOCH + Duration::from_nanos(newest)).min(SystemTime::now());
        if newest.duration_since(UNIX_EPOCH).is_ok_and(|since| since.as_secs() as f64 > self.written()) {
            let _ = self.file.set_modified(newest);
        }
    }
}

/// The names of all rings of a kind in a directory, in order.
///
/// # Errors
/// When the directory cannot be read.
pub fn list(directory: &Path, kind: Kind) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(kind.suffix()))
        })
        .collect();
    paths.sort();
    Ok(paths)
}
