//! The one word that all processes of a directory write: how many removals there were.

use super::format::{control, CONTROL, CONTROL_MAGIC, ORDER, VERSION};
use super::page::Page;
use super::tmpfile::TempFile;
use crate::sync::{AtomicU64, Ordering::SeqCst};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;

/// The control file, mapped.
pub(super) struct Control(Page);

impl Control {
    /// Opens that of a directory, which is made when it is not there.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(CONTROL);
        let open = || OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(directory, &path)?;
                open()?
            }
            opened => opened?,
        };
        check(&file)?;
        Page::map(&file).map(Control)
    }

    /// Where they are counted; mapped as long as this lives.
    pub(super) fn counted(&self) -> NonNull<AtomicU64> {
        NonNull::from(self.0.word(control::EPOCH))
    }

    /// How many removals there were.
    pub(super) fn epoch(&self) -> u64 {
        self.0.word(control::EPOCH).load(SeqCst)
    }

    /// Counts another one, and returns its number.
    pub(super) fn next_epoch(&self) -> u64 {
        self.0.word(control::EPOCH).fetch_add(1, SeqCst).wrapping_add(1)
    }
}

/// Makes the file; whoever is first gives it its name.
fn make(directory: &Path, path: &Path) -> io::Result<()> {
    let mut bytes = vec![0; control::SIZE];
    bytes[control::MAGIC..][..8].copy_from_slice(&CONTROL_MAGIC);
    bytes[control::VERSION..][..4].copy_from_slice(&VERSION.to_le_bytes());
    bytes[control::ORDER..][..4].copy_from_slice(&ORDER.to_le_bytes());
    let mut temporary = TempFile::create(directory)?;
    (&*temporary.file).write_all(&bytes)?;
    match temporary.publish(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn check(file: &File) -> io::Result<()> {
    let about = file.metadata()?;
    // SAFETY: asks for a number.
    let user = unsafe { libc::geteuid() };
    let mut head = [0; 16];
    let is_ours = about.is_file() && about.uid() == user && about.mode() & 0o777 == 0o600;
    if is_ours && about.len() == control::SIZE as u64 && file.read_exact_at(&mut head, 0).is_ok() {
        let expected = [&CONTROL_MAGIC[..], &VERSION.to_le_bytes(), &ORDER.to_le_bytes()].concat();
        if head == *expected {
            return Ok(());
        }
    }
    Err(io::Error::other(format!(
        "its file {CONTROL:?} is of another version or owner, or damaged; give every version of ferrometer a \
         directory of its own, or remove the directory while nobody uses it"
    )))
}
