//! Whether the owner of a segment lives.
//!
//! It holds a lock on its file for as long as it lives, and the system gives that back at its death,
//! whatever kills it. A server that closes all descriptors it finds loses the lock and goes on living, so
//! an owner whose lock is free is looked for by its number, too; a number alone says little.

use super::format::Header;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// Where this process runs, and so which numbers of processes mean anything to it.
pub(super) struct Place {
    /// The inode of the pid namespace.
    namespace: u64,
    boot: [u8; 16],
}

impl Place {
    /// The place of this process; nowhere without `/proc`, and then only locks tell.
    pub(super) fn here() -> Option<Self> {
        let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let digits: String = boot.chars().filter(char::is_ascii_hexdigit).collect();
        Some(Place { namespace, boot: u128::from_str_radix(&digits, 16).ok()?.to_be_bytes() })
    }

    fn knows(&self, owner: &Header) -> bool {
        self.namespace == owner.namespace && self.boot == owner.boot
    }
}

/// Whether the owner of this file lives.
pub(super) fn is_alive(file: &File, owner: &Header, here: Option<&Place>) -> bool {
    is_locked(file) || (here.is_some_and(|here| here.knows(owner)) && started(owner.pid) == Some(owner.start))
}

/// Whether another open file holds the lock. Asking takes nothing away from it.
pub(super) fn is_locked(file: &File) -> bool {
    // SAFETY: a structure of plain numbers.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open and the structure lives.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    // A file system that cannot tell says nothing about a death.
    asked != 0 || lock.l_type != libc::F_UNLCK as libc::c_short
}

/// When the process of this number started, in clock ticks since boot; nothing when there is none that runs.
fn started(pid: u64) -> Option<u64> {
    started_by(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn started_by(stat: &str) -> Option<u64> {
    // The second field is a name in parentheses, and can contain anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    // A zombie ran once.
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::format::Content;
    use std::process::{Command, Stdio};

    fn header(pid: u64, start: u64, place: &Place) -> Header {
        Header {
            uuid: [1; 16],
            pid,
            start,
            namespace: place.namespace,
            boot: place.boot,
            created: 1.0,
            content: Content::Process,
        }
    }

    #[test]
    fn a_lock_tells_and_else_number_and_start_together() {
        let path = std::env::temp_dir().join(format!("ferrometer-alive-{}", std::process::id()));
        let owned = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        let here = Place::here().unwrap();
        let pid = u64::from(std::process::id());
        let start = started(pid).unwrap();
        assert!(!is_locked(&file));
        // Without the lock, only this very process in this very place is alive.
        assert!(is_alive(&file, &header(pid, start, &here), Some(&here)));
        assert!(!is_alive(&file, &header(pid, start + 1, &here), Some(&here)));
        let elsewhere = Place { namespace: here.namespace + 1, boot: here.boot };
        assert!(!is_alive(&file, &header(pid, start, &elsewhere), Some(&here)));
        let rebooted = Place { namespace: here.namespace, boot: [0; 16] };
        assert!(!is_alive(&file, &header(pid, start, &rebooted), Some(&here)));
        assert!(!is_alive(&file, &header(pid, start, &here), None));
        // SAFETY: a structure of plain numbers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK as libc::c_short;
        // SAFETY: the descriptor is open and the structure lives.
        assert_eq!(unsafe { libc::fcntl(owned.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
        assert!(is_alive(&file, &header(pid, start + 1, &elsewhere), Some(&here)));
        drop(owned);
        assert!(!is_locked(&file));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = u64::from(child.id());
        assert!(started(pid).is_some());
        child.kill().unwrap();
        // Not yet waited for, so its number is still taken.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while started(pid).is_some() {
            assert!(std::time::Instant::now() < end, "killed, and still said to run");
            std::thread::yield_now();
        }
        assert!(fs::exists(format!("/proc/{pid}")).unwrap());
        child.wait().unwrap();
    }

    #[test]
    fn names_with_spaces_and_parentheses_are_skipped() {
        let stat = |state| format!("7 (a) b (c) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20");
        assert_eq!(started_by(&stat("S")), Some(4242));
        assert_eq!((started_by(&stat("Z")), started_by("7 (a)"), started_by("")), (None, None, None));
    }
}
