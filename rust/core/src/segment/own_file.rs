//! The file of this process: made under another name, locked for as long as the process lives, and shown
//! when it is whole.

use super::format::{header, hex, Content, Header, SUFFIX};
use super::liveness::{started, Place};
use super::lock;
use super::page::Page;
use super::share_error::ShareError;
use super::tmpfile::{random, TempFile};
use crate::clock::now;
use crate::descriptor::Descriptor;
use crate::sync::{
    lock as lock_mutex, Mutex,
    Ordering::{Relaxed, Release, SeqCst},
};
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Of the file that the cells lie in.
static UUID: Mutex<[u8; 16]> = Mutex::new([0; 16]);

/// What the header of this process's file says; zeros before it has one.
pub(super) fn uuid() -> [u8; 16] {
    *lock_mutex(&UUID)
}

/// The file of this process.
pub(super) struct OwnFile {
    directory: PathBuf,
    uuid: [u8; 16],
    /// Open, and with it the lock held, for as long as this lives.
    temporary: TempFile,
    header: Page,
}

impl OwnFile {
    /// Makes the file, which nobody can look at yet.
    pub(super) fn create(directory: &Path) -> Result<Self, ShareError> {
        check(directory)?;
        let made = directory.canonicalize().and_then(|directory| {
            let place = Place::here().ok_or(io::ErrorKind::Unsupported)?;
            let start = started("self").ok_or(io::ErrorKind::Unsupported)?;
            let uuid = random()?;
            let temporary = TempFile::create(&directory)?;
            let head = Header {
                uuid,
                pid: u64::from(std::process::id()),
                start,
                namespace: place.namespace,
                boot: place.boot,
                created: now(),
                content: Content::Process,
            };
            let mut bytes = head.encode().to_vec();
            bytes.resize(header::SIZE, 0);
            (&*temporary.file).write_all(&bytes)?;
            // Of a file that has no name yet; so nobody else can have it.
            lock::take(&temporary.file)?;
            let header = Page::map(&temporary.file)?;
            Ok(OwnFile { directory, uuid, temporary, header })
        });
        made.map_err(|error| refused(directory, &error))
    }

    /// Shows the file.
    pub(super) fn publish(&mut self) -> Result<(), ShareError> {
        let path = self.path();
        self.temporary.publish(&path).map_err(|error| self.refuse(&error))
    }

    /// Another handle of the same open file.
    pub(super) fn file(&self) -> Result<Descriptor, ShareError> {
        self.temporary.file.try_clone().and_then(Descriptor::new).map_err(|error| self.refuse(&error))
    }

    /// The name that it has, or will have.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(format!("{}{SUFFIX}", hex(&self.uuid)))
    }

    /// This is the file that the process's cells lie in from now on.
    pub(super) fn note(&self) {
        *lock_mutex(&UUID) = self.uuid;
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file is not to be.
    pub(super) fn refuse(&self, error: &io::Error) -> ShareError {
        refused(&self.directory, error)
    }

    /// Whether this is the directory.
    pub(super) fn check_directory(&self, directory: &Path) -> Result<(), ShareError> {
        if directory.canonicalize().is_ok_and(|directory| directory == self.directory) {
            return Ok(());
        }
        let text = format!(
            "this process shares its metrics in {} already, and cannot in {}: a process has one such directory",
            self.directory.display(),
            directory.display()
        );
        Err(ShareError { text, code: None })
    }

    /// Tells where the log begins.
    pub(super) fn set_log(&self, rewritten: u32, place: u32) {
        self.header.word(header::LOG).store(u64::from(rewritten) << 32 | u64::from(place), Release);
    }

    /// Tells which removals this process has acted upon.
    pub(super) fn set_acted(&self, epoch: u64) {
        // Of two who look, the one that looked first may come second.
        self.header.word(header::ACTED).fetch_max(epoch, Release);
    }

    /// Tells that a removal is being written down, whose epoch is not below this; 0 when it is.
    pub(super) fn set_removing(&self, epoch: u64) {
        self.header.word(header::REMOVING).store(epoch, SeqCst);
    }

    /// Counts a record that found no place.
    pub(super) fn count_fault(&self) {
        self.header.word(header::FAULTS).fetch_add(1, Relaxed);
    }
}

fn refused(directory: &Path, error: &io::Error) -> ShareError {
    let remedy = match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => "; free some space there, or choose another directory",
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => "; choose a directory that this user can write",
        _ => "",
    };
    let text = format!("metrics cannot be shared in {}: {error}{remedy}", directory.display());
    ShareError { text, code: error.raw_os_error() }
}

/// Makes the directory, or makes sure that it is nobody else's.
fn check(directory: &Path) -> Result<(), ShareError> {
    let refuse = |text: String| Err(ShareError { text, code: Some(libc::EPERM) });
    let shown = directory.display();
    if let Some(parent) = directory.parent() {
        // A failure shows in the next line.
        let _ = fs::create_dir_all(parent);
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(refused(directory, &error)),
        _ => {}
    }
    let about = fs::symlink_metadata(directory).map_err(|error| refused(directory, &error))?;
    if about.is_symlink() {
        return refuse(format!(
            "metrics cannot be shared in {shown}: it is a symbolic link; name the directory itself"
        ));
    }
    if !about.is_dir() {
        return refuse(format!("metrics cannot be shared in {shown}: it is no directory"));
    }
    // SAFETY: asks for a number.
    let user = unsafe { libc::geteuid() };
    if about.uid() != user {
        return refuse(format!(
            "metrics cannot be shared in {shown}: it belongs to user {}, and this is user {user}; choose another",
            about.uid()
        ));
    }
    if about.mode() & 0o077 != 0 {
        return refuse(format!(
            "metrics cannot be shared in {shown}: others can use it (mode {:o}); chmod 700 it, or choose another",
            about.mode() & 0o777
        ));
    }
    Ok(())
}
