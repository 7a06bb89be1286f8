//! An open file whose number somebody else may close, and then have for a file of his own.
//!
//! Daemons close every descriptor that they find. What is opened next gets the number, and whoever went on
//! with it would write into an application's file, or close a client's connection. So we look, before a
//! write and before the end, whether the number still leads to the file that it was given for.

use std::fs::{File, Metadata};
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// Which file it is, whatever its name.
pub(crate) type Identity = (u64, u64);

#[cfg(unix)]
pub(crate) fn identity_of(about: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (about.dev(), about.ino())
}

#[cfg(not(unix))]
pub(crate) fn identity_of(_: &Metadata) -> Identity {
    (0, 0)
}

/// An open file.
pub(crate) struct Descriptor {
    file: ManuallyDrop<File>,
    identity: Identity,
}

impl Descriptor {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let identity = identity_of(&file.metadata()?);
        Ok(Descriptor { file: ManuallyDrop::new(file), identity })
    }

    /// Which file it is.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// What there is to know about the file; an error when the number is another file's, or nobody's.
    pub(crate) fn about(&self) -> io::Result<Metadata> {
        let about = self.file.metadata()?;
        if identity_of(&about) == self.identity {
            Ok(about)
        } else {
            Err(io::Error::other("somebody closed the file and opened another one"))
        }
    }

    /// Puts the same file, opened again, in the place of one that somebody closed.
    #[cfg(all(target_os = "linux", not(loom)))]
    pub(crate) fn open_again(&mut self, open: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
        if self.about().is_ok() {
            return Ok(());
        }
        let again = Descriptor::new(open()?)?;
        if again.identity != self.identity {
            return Err(io::ErrorKind::NotFound.into());
        }
        *self = again;
        Ok(())
    }
}

impl Deref for Descriptor {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.about().is_ok() {
            // SAFETY: not used again.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}
