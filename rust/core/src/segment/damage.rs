//! What can be wrong with a file that others wrote.

use std::fmt;

/// Why a file, or a part of it, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Damage {
    /// It has no bytes.
    Empty,
    /// It ends too early.
    Truncated,
    /// It is no segment.
    Magic,
    /// It comes from a machine of the other byte order.
    Order,
    /// It comes from another version.
    Version,
    /// Its bytes are not those that were written.
    Checksum,
    /// A length or count that cannot be.
    Length,
    /// A type of record, family or file that does not exist.
    Content,
    /// A text that is no text, or a name that is no name.
    Text,
    /// An offset outside the file, or a chain that never ends.
    Offset,
    /// It is not a plain file of this user that nobody else may write.
    Access,
    /// The operating system could not read it.
    Unreadable,
}

impl Damage {
    /// Every reason.
    pub const EVERY: [Damage; 12] = [
        Damage::Empty,
        Damage::Truncated,
        Damage::Magic,
        Damage::Order,
        Damage::Version,
        Damage::Checksum,
        Damage::Length,
        Damage::Content,
        Damage::Text,
        Damage::Offset,
        Damage::Access,
        Damage::Unreadable,
    ];

    /// The reason in one word, for a label.
    pub fn reason(self) -> &'static str {
        match self {
            Damage::Empty => "empty",
            Damage::Truncated => "truncated",
            Damage::Magic => "magic",
            Damage::Order => "byte_order",
            Damage::Version => "version",
            Damage::Checksum => "checksum",
            Damage::Length => "length",
            Damage::Content => "content",
            Damage::Text => "text",
            Damage::Offset => "offset",
            Damage::Access => "access",
            Damage::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Damage::Empty => "the file has no bytes: its maker was killed, or the disk is full",
            Damage::Truncated => "the file ends too early",
            Damage::Magic => "it is no segment file",
            Damage::Order => "it comes from a machine of the other byte order",
            Damage::Version => "it is of another version of the format: give every version a directory of its own",
            Damage::Checksum => "its bytes are not those that were written",
            Damage::Length => "a length or count in it cannot be",
            Damage::Content => "a type in it does not exist",
            Damage::Text => "a text in it is malformed",
            Damage::Offset => "an offset in it leads nowhere",
            Damage::Access => "it is not a plain file that belongs to this user and that only this user may write",
            Damage::Unreadable => "the operating system could not read it",
        })
    }
}

impl std::error::Error for Damage {}

/// A file that could not be read, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its name in the directory.
    pub file: String,
    /// Why.
    pub damage: Damage,
}
