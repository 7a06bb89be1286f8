//! Who a process is, so that others can tell whether it still lives: its number alone says little, for
//! numbers are used again, and every pid namespace has its own.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Its number, as it sees itself.
    pub pid: u64,
    /// When it started, in clock ticks since boot.
    pub start: u64,
    /// The inode of its pid namespace.
    pub namespace: u64,
    /// The boot's id.
    pub boot: [u8; 16],
}

impl Owner {
    /// This process.
    ///
    /// # Errors
    /// Without `/proc`.
    pub fn current() -> io::Result<Self> {
        let pid = u64::from(std::process::id());
        let start = start_of("self").ok_or(io::ErrorKind::InvalidData)?;
        Ok(Owner { pid, start, namespace: fs::metadata("/proc/self/ns/pid")?.ino(), boot: boot()? })
    }
}

/// When a process started, in clock ticks since boot; nothing when there is none.
pub fn start_of(process: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is a name in parentheses, and can contain anything.
    text[text.rfind(')')? + 1..].split_ascii_whitespace().nth(19)?.parse().ok()
}

fn boot() -> io::Result<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let boot = u128::from_str_radix(&digits, 16).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(boot.to_be_bytes())
}
