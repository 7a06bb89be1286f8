//! Files of the shared directory that all its processes write, unlike a segment, which has one writer.

use super::liveness::Place;
use super::tmpfile::TempFile;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Opens a file of `size` bytes that begins with `head`, and makes it, otherwise zeros, when it is not there.
/// All of it is allocated: a page that a full file system cannot give would kill the process that stores into it.
///
/// # Errors
/// When the directory does not allow it or has no room, and when the file there is another user's, is open to others,
/// or has another head or size.
pub fn open(path: &Path, size: u64, head: &[u8]) -> io::Result<File> {
    let open = || {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
    };
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path, size, head)?;
            open()?
        }
        opened => opened?,
    };
    let about = file.metadata()?;
    // SAFETY: asks for a number.
    let user = unsafe { libc::geteuid() };
    let is_ours = about.is_file() && about.uid() == user && about.mode() & 0o777 == 0o600;
    let mut found = vec![0; head.len()];
    if is_ours && about.len() == size && file.read_exact_at(&mut found, 0).is_ok() && found == head {
        return Ok(file);
    }
    Err(io::Error::other(format!("{} is of another version or owner, or damaged", path.display())))
}

fn make(path: &Path, size: u64, head: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = TempFile::create(directory)?;
    let length = libc::off_t::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open.
    match unsafe { libc::posix_fallocate(temporary.file.as_raw_fd(), 0, length) } {
        0 => {}
        code => return Err(io::Error::from_raw_os_error(code)),
    }
    (&*temporary.file).write_all(head)?;
    match temporary.publish(path) {
        // Another process was faster.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Sixteen bytes that tell this boot of the machine from others; zeros where the system does not say.
pub fn boot() -> [u8; 16] {
    Place::here().map_or([0; 16], |place| place.boot)
}
