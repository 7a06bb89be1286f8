//! A lock on a file that an open file holds, and the system gives back at its last close: at the death of the
//! process, whatever kills it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

fn request() -> libc::flock {
    // SAFETY: a structure of plain numbers.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

/// Takes it for this open file; `false` when another one has it.
pub(crate) fn take(file: &File) -> io::Result<bool> {
    let lock = request();
    // SAFETY: the descriptor is open and the structure lives.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Whether another open file has it. Asking takes nothing away from it.
pub(crate) fn is_taken(file: &File) -> bool {
    let mut lock = request();
    // SAFETY: the descriptor is open and the structure lives.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    // A file system that cannot tell says nothing about a death.
    asked != 0 || lock.l_type != libc::F_UNLCK as libc::c_short
}
