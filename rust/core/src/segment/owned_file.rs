//! Other files of one process in the shared directory, by the same rules as its segment: no name before they are
//! whole, a random name afterwards, a lock for as long as the owner lives.

use super::format::hex;
use super::liveness::{started, Place};
use super::lock;
use super::tmpfile::random;
use super::tmpfile::TempFile;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Which process owns a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// As it sees itself.
    pub pid: u64,
    /// When it started, in clock ticks since boot.
    pub start: u64,
    /// The inode of its pid namespace.
    pub namespace: u64,
    /// Which boot of the machine it runs in.
    pub boot: [u8; 16],
}

impl Owner {
    /// This process.
    ///
    /// # Errors
    /// Without `/proc`.
    pub fn here() -> io::Result<Self> {
        let place = Place::here().ok_or(io::ErrorKind::Unsupported)?;
        let start = started("self").ok_or(io::ErrorKind::Unsupported)?;
        Ok(Owner { pid: u64::from(std::process::id()), start, namespace: place.namespace, boot: place.boot })
    }

    /// Whether the owner of this open file lives. A process that lost its lock, because it closed all descriptors that
    /// it found, is looked for by its number and its start.
    pub fn is_alive(&self, file: &File) -> bool {
        lock::is_taken(file)
            || (Place::here().is_some_and(|here| here.namespace == self.namespace && here.boot == self.boot)
                && started(&self.pid.to_string()) == Some(self.start))
    }
}

/// A file of this process.
pub struct OwnedFile {
    temporary: TempFile,
    uuid: [u8; 16],
}

impl OwnedFile {
    /// An empty one, locked, without a name.
    ///
    /// # Errors
    /// When the directory does not allow it.
    pub fn create(directory: &Path) -> io::Result<Self> {
        let file = OwnedFile { temporary: TempFile::create(directory)?, uuid: random()? };
        // Nobody else can have it.
        lock::take(&file.temporary.file)?;
        Ok(file)
    }

    /// Its random name, as bytes.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// The open file. The lock goes with its last descriptor.
    pub fn file(&self) -> &File {
        &self.temporary.file
    }

    /// Gives it its name: the digits of its uuid, and this suffix.
    ///
    /// # Errors
    /// When the directory does not allow it.
    pub fn publish(&mut self, directory: &Path, suffix: &str) -> io::Result<PathBuf> {
        let path = directory.join(format!("{}{suffix}", hex(&self.uuid)));
        self.temporary.publish(&path)?;
        Ok(path)
    }
}

/// Takes the lock of an open file; `false` when another open file has it.
///
/// # Errors
/// When the file system has no locks.
pub fn lock(file: &File) -> io::Result<bool> {
    lock::take(file)
}
