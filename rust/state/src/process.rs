//! Which process an entry of a table belongs to, and whether it lives.
//!
//! A process that owns entries has a slot of the table, and holds a lock on the byte of the file with the slot's
//! number. The lock is POSIX's: a fork does not inherit it, and the kernel takes it back at the process's death,
//! whatever kills it, in every pid namespace. The slot's word counts its users, so an [`Owner`] names one process for
//! ever.

use crate::fork::generation;
use crate::region::{Region, PROCESSES};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// A process: its slot in the low 12 bits, and which user of the slot it is above. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(u32);

impl Owner {
    /// As a word of a table has it.
    pub fn of_bits(bits: u32) -> Option<Self> {
        (bits != 0).then_some(Owner(bits))
    }

    /// For a word of a table.
    pub fn bits(self) -> u32 {
        self.0
    }

    fn slot(self) -> usize {
        self.0 as usize % PROCESSES
    }
}

/// This process as an owner of entries of a table; found at the first use, and again after a fork.
///
/// # Errors
/// When all slots are taken by living processes, or the file system has no locks.
pub fn owner(region: &Region) -> io::Result<Owner> {
    let found = region.here.load(Acquire);
    if (found >> 32) as u32 == generation() {
        return Ok(Owner(found as u32));
    }
    let owner = claim(region)?;
    region.here.store(u64::from(generation()) << 32 | u64::from(owner.0), Relaxed);
    Ok(owner)
}

/// Whether a process lives.
pub fn is_alive(region: &Region, owner: Owner) -> bool {
    let found = region.here.load(Acquire);
    if found as u32 == owner.0 && (found >> 32) as u32 == generation() {
        return true;
    }
    let Some(file) = region.file() else { return false }; // private memory: its parent's, before a fork
    let user = region.processes()[owner.slot()].load(Acquire);
    is_user(user, owner) && is_locked(file, owner.slot())
}

fn is_user(count: u64, owner: Owner) -> bool {
    count as u32 & 0xf_ffff == owner.0 >> 12
}

fn claim(region: &Region) -> io::Result<Owner> {
    let first = std::process::id() as usize;
    for attempt in 0..PROCESSES {
        let slot = (first + attempt) % PROCESSES;
        if match region.file() {
            Some(file) => take(file, slot)?,
            None => true,
        } {
            // Under the lock, so nobody else counts here. Its low 20 bits are never 0.
            let count = &region.processes()[slot];
            let next = count.fetch_add(1, AcqRel).wrapping_add(1);
            let next = if next.trailing_zeros() >= 20 { count.fetch_add(1, AcqRel).wrapping_add(1) } else { next };
            return Ok(Owner((next as u32 & 0xf_ffff) << 12 | slot as u32));
        }
    }
    Err(io::Error::other(format!("more than {PROCESSES} processes have entries in one table")))
}

fn request(slot: usize) -> libc::flock {
    // SAFETY: a structure of plain numbers.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = libc::off_t::try_from(slot).unwrap_or(libc::off_t::MAX);
    lock.l_len = 1;
    lock
}

fn take(file: &File, slot: usize) -> io::Result<bool> {
    let lock = request(slot);
    // SAFETY: the descriptor is open and the structure lives.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

fn is_locked(file: &File, slot: usize) -> bool {
    let mut lock = request(slot);
    // SAFETY: the descriptor is open and the structure lives.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
    // A file system that cannot tell says nothing about a death.
    asked != 0 || lock.l_type != libc::F_UNLCK as libc::c_short
}

/// Runs `work` in one process at a time; the kernel ends a dead one's turn. Threads of one process are not kept apart:
/// the caller does that.
pub fn in_turn<T>(region: &Region, work: impl FnOnce() -> T) -> T {
    let Some(file) = region.file() else { return work() };
    let mut lock = request(PROCESSES);
    // SAFETY: the descriptor is open and the structure lives. Where it fails, two may have their turn at once.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLKW, &raw const lock) };
    let result = work();
    lock.l_type = libc::F_UNLCK as libc::c_short;
    // SAFETY: a lock of this process on an open file of its own; `lock` is a value of the kernel's layout.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
    result
}
