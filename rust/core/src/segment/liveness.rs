//! Whether the owner of a segment lives.
//!
//! It holds a lock on its file for as long as it lives, and the system gives that back at its death,
//! whatever kills it. A server that closes all descriptors it finds loses the lock and goes on living, so
//! an owner whose lock is free is looked for by its number, too; a number alone says little.

use super::format::Header;
use super::lock;
use super::map::Map;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Where this process runs, and so which numbers of processes mean anything to it.
pub(super) struct Place {
    /// The inode of the pid namespace.
    pub(super) namespace: u64,
    pub(super) boot: [u8; 16],
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
pub(super) fn is_alive(map: &Map, owner: &Header, here: Option<&Place>) -> bool {
    lock::is_taken(map.file()) || (here.is_some_and(|here| here.knows(owner)) && is_running(map, owner))
}

/// Whether the owner runs and, unless that cannot be told, still has the file in its memory: a process that
/// became another program keeps its number and its start.
fn is_running(map: &Map, owner: &Header) -> bool {
    if started(&owner.pid.to_string()) != Some(owner.start) {
        return false;
    }
    let at = format!("{:x}-", map.address());
    let ours = fs::read_to_string("/proc/self/maps").ok();
    let file = ours.and_then(|ours| file_of(&ours, |range, _, _| range.starts_with(&at)));
    let Some((file, theirs)) = file.zip(fs::read_to_string(format!("/proc/{}/maps", owner.pid)).ok()) else {
        return true;
    };
    file_of(&theirs, |_, access, other| access == "rw-s" && other == file).is_some()
}

/// The device and inode, as one text, of the first mapping whose addresses, access and file are wanted.
fn file_of(maps: &str, is_wanted: impl Fn(&str, &str, &str) -> bool) -> Option<String> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (range, access, _) = (fields.next()?, fields.next()?, fields.next()?);
        let file = format!("{} {}", fields.next()?, fields.next()?);
        is_wanted(range, access, &file).then_some(file)
    })
}

/// When the process of this number, or `self`, started, in clock ticks since boot; nothing when none runs.
pub(super) fn started(process: &str) -> Option<u64> {
    started_by(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
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
    use crate::segment::page::Page;
    use std::fs::File;
    use std::os::unix::fs::OpenOptionsExt;
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
    fn a_lock_tells_and_else_number_and_start_and_memory_together() {
        let path = std::env::temp_dir().join(format!("ferrometer-alive-{}", std::process::id()));
        let mut options = File::options();
        let owned = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        owned.set_len(4096).unwrap();
        // SAFETY: asks for a number.
        let map = Map::open(&path, unsafe { libc::geteuid() }).unwrap().unwrap();
        let here = Place::here().unwrap();
        let pid = u64::from(std::process::id());
        let start = started("self").unwrap();
        assert_eq!(started(&pid.to_string()), Some(start));
        assert!(!lock::is_taken(map.file()));
        // Without the lock, only this very process in this very place is alive.
        let page = Page::map(&owned).unwrap();
        assert!(is_alive(&map, &header(pid, start, &here), Some(&here)));
        assert!(!is_alive(&map, &header(pid, start + 1, &here), Some(&here)));
        let elsewhere = Place { namespace: here.namespace + 1, boot: here.boot };
        assert!(!is_alive(&map, &header(pid, start, &elsewhere), Some(&here)));
        let rebooted = Place { namespace: here.namespace, boot: [0; 16] };
        assert!(!is_alive(&map, &header(pid, start, &rebooted), Some(&here)));
        assert!(!is_alive(&map, &header(pid, start, &here), None));
        // Whoever only reads it is not its owner.
        drop(page);
        assert!(!is_alive(&map, &header(pid, start, &here), Some(&here)));
        assert!(lock::take(&owned).unwrap());
        assert!(is_alive(&map, &header(pid, start + 1, &elsewhere), Some(&here)));
        drop(owned);
        assert!(!lock::is_taken(map.file()));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id().to_string();
        assert!(started(&pid).is_some());
        child.kill().unwrap();
        // Not yet waited for, so its number is still taken.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while started(&pid).is_some() {
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
