//! Which directories are read at all: those that no other user can write.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The user that a directory belongs to: the one that this process runs as, or any for root.
///
/// # Errors
/// When it is no directory, a link to one, another user's, or one that others can write.
pub(super) fn owner(directory: &Path) -> io::Result<u32> {
    let about = fs::symlink_metadata(directory)?;
    // SAFETY: `geteuid` takes no argument, touches no memory and cannot fail.
    let ours = unsafe { libc::geteuid() };
    let refuse = |why: &str| {
        let text = format!("metrics cannot be read in {}: {why}", directory.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
    };
    if !about.is_dir() {
        return refuse("it is no directory, or a link to one");
    }
    if about.uid() != ours && ours != 0 {
        return refuse("it belongs to another user");
    }
    if about.mode() & 0o022 != 0 {
        return refuse("others can write it; chmod 700 it");
    }
    Ok(about.uid())
}
