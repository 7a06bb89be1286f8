//! Files that have no name until they are whole: whoever is killed before leaves nothing behind.

use super::format::{hex, TEMPORARY};
use crate::descriptor::Descriptor;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// An open file in a directory, readable and writable by this user alone.
pub(super) struct TempFile {
    pub(super) file: Descriptor,
    /// Its name for the time being, on file systems that cannot do without.
    temporary: Option<PathBuf>,
}

impl TempFile {
    /// An empty one.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        match options.clone().custom_flags(libc::O_TMPFILE).open(directory) {
            Ok(file) => return Ok(TempFile { file: Descriptor::new(file)?, temporary: None }),
            Err(error) if !matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => {
                return Err(error)
            }
            Err(_) => {}
        }
        let path = directory.join(format!("{TEMPORARY}{}", hex(&random()?)));
        let file = options.create_new(true).custom_flags(libc::O_NOFOLLOW).open(&path)?;
        Ok(TempFile { file: Descriptor::new(file)?, temporary: Some(path) })
    }

    /// Gives it its name, which nobody else may have.
    pub(super) fn publish(&mut self, path: &Path) -> io::Result<()> {
        if let Some(temporary) = self.temporary.take() {
            let linked = fs::hard_link(&temporary, path);
            let _ = fs::remove_file(&temporary);
            return linked;
        }
        let from = CString::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
        let to = CString::new(path.as_os_str().as_bytes())?;
        let here = libc::AT_FDCWD;
        // SAFETY: both texts end with a zero and live.
        match unsafe { libc::linkat(here, from.as_ptr(), here, to.as_ptr(), libc::AT_SYMLINK_FOLLOW) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// A name that nobody else has.
pub(super) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the buffer is that long.
    match unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) } {
        16 => Ok(bytes),
        _ => Err(io::Error::last_os_error()),
    }
}
