//! Where every word of a segment file lies, version 1. All of it is little endian.
//!
//! A file is a [`header`], a chain of log [`extent`]s that hold [records](super::record), and the blocks
//! that those name. An offset of a block is counted in grains of 16 bytes from the file's start; 0 is none.

use super::damage::Damage;

/// The unit of offsets, and the alignment of every block.
pub const GRAIN: usize = 16;
/// What a segment begins with.
pub const MAGIC: [u8; 8] = *b"FERROSEG";
/// What the control file begins with.
pub const CONTROL_MAGIC: [u8; 8] = *b"FERROCTL";
/// The version that this code writes, and the only one that it reads.
pub const VERSION: u32 = 1;
/// Reads as another number on a machine of the other byte order.
pub const ORDER: u32 = 0x0102_0304;
/// Where blocks begin.
pub const CHUNKS: usize = 65_536;
/// The name of the file of folded totals.
pub const GRAVEYARD: &str = "graveyard.seg";
/// The name of the file that a folder locks.
pub const FOLD_LOCK: &str = "fold.lock";
/// The name of the file of words that all processes share.
pub const CONTROL: &str = "control";
/// What the name of a segment ends in.
pub const SUFFIX: &str = ".seg";
/// What the name of a file that is being written begins with.
pub const TEMPORARY: &str = ".tmp-";

/// The first bytes of a file.
pub mod header {
    /// [`MAGIC`](super::MAGIC).
    pub const MAGIC: usize = 0;
    /// u32: [`VERSION`](super::VERSION).
    pub const VERSION: usize = 8;
    /// u32: [`ORDER`](super::ORDER).
    pub const ORDER: usize = 12;
    /// 16 random bytes that name the file for ever.
    pub const UUID: usize = 16;
    /// u64: the owner, as it sees itself.
    pub const PID: usize = 32;
    /// u64: when the owner started, in clock ticks since boot.
    pub const START: usize = 40;
    /// u64: the inode of the owner's pid namespace.
    pub const NAMESPACE: usize = 48;
    /// 16 bytes: the boot's id.
    pub const BOOT: usize = 56;
    /// f64: when the file was made, in seconds since 1970.
    pub const CREATED: usize = 72;
    /// u32: 1 for a process, 2 for the graveyard.
    pub const KIND: usize = 80;
    /// u32: CRC-32 of all bytes before.
    pub const CHECKSUM: usize = 84;
    /// How much is written once and then never changes.
    pub const FIXED: usize = 88;
    /// u64: how often the log was rewritten, `<< 32`, and the grain of its first extent.
    pub const LOG: usize = 128;
    /// u64: the removal epoch that the owner has acted upon.
    pub const ACTED: usize = 136;
    /// u64: while the owner writes down a removal, a number that this one's epoch is not below; else 0.
    pub const REMOVING: usize = 152;
    /// u64: records that found no place.
    pub const FAULTS: usize = 144;
    /// u64 each, of the graveyard: how many folded files were damaged, by reason.
    pub const DAMAGED: usize = 160;
    /// How much the header takes.
    pub const SIZE: usize = 4096;
}

/// A piece of the log.
pub mod extent {
    /// u32: the grain of the next one, 0 for none.
    pub const NEXT: usize = 0;
    /// u32: bytes of complete records.
    pub const USED: usize = 4;
    /// u32: bytes that records may take.
    pub const SIZE: usize = 8;
    /// Where the records are.
    pub const RECORDS: usize = 16;
}

/// The block of a family.
pub mod family {
    /// u32: 0 when the family is gone; else that of its record.
    pub const GENERATION: usize = 0;
    /// u64: times a label set was folded into the overflow series.
    pub const FOLDED: usize = 8;
    /// u64: observations that were NaN.
    pub const REFUSED: usize = 16;
    /// The whole.
    pub const SIZE: usize = 32;
}

/// What the block of every series begins with.
pub mod series {
    /// u32: 0 when the series is removed; else that of its record.
    pub const GENERATION: usize = 0;
    /// u32: the grain of its exemplars.
    pub const EXEMPLARS: usize = 4;
    /// f64: when counting began, in seconds since 1970.
    pub const CREATED: usize = 8;
}

/// The block of a counter.
pub mod counter {
    /// u64: the whole part.
    pub const WHOLE: usize = 16;
    /// f64: the rest.
    pub const FRACTION: usize = 24;
    /// The whole.
    pub const SIZE: usize = 32;
}

/// The block of a gauge, or of a state set, whose value is the index of the state.
pub mod gauge {
    /// f64: the value.
    pub const VALUE: usize = 16;
    /// f64: when it was set, in seconds since 1970; 0 when never, or not known. -1 beside a value of `-0.0`: the
    /// child of a fork has not touched it, and only a sum counts it, as zero.
    pub const SET: usize = 24;
    /// The whole.
    pub const SIZE: usize = 32;
}

/// The block of an info.
pub mod info {
    /// u32: the grain of its text.
    pub const TEXT: usize = 16;
    /// u32: the text's length.
    pub const LENGTH: usize = 20;
    /// f64: when it was set, in seconds since 1970.
    pub const SET: usize = 24;
    /// The whole.
    pub const SIZE: usize = 32;
}

/// The block of a histogram or summary.
pub mod histogram {
    /// f64: the sum.
    pub const SUM: usize = 16;
    /// f64: the smallest value, `+Inf` when there is none.
    pub const MIN: usize = 24;
    /// f64: the largest, or `-Inf`.
    pub const MAX: usize = 32;
    /// u64: events since the latest sample.
    pub const HELD: usize = 40;
    /// f64: that sample, NaN before the first.
    pub const LATEST: usize = 48;
    /// u64: odd while a change is going on.
    pub const SEQUENCE: usize = 56;
    /// u64: values below zero.
    pub const BELOW: usize = 64;
    /// u64: zero and subnormal.
    pub const ZERO: usize = 72;
    /// u64: `+Inf`.
    pub const ABOVE: usize = 80;
    /// u32: the grain of the first far octave.
    pub const FAR: usize = 88;
    /// u32 each: the grain of an octave's bins `<< 2`, and the width of a bin: 0, 1, 2, 3 for 1, 2, 4, 8 bytes; all of it 0 for none.
    pub const OCTAVES: usize = 96;
    /// The whole.
    pub const SIZE: usize = OCTAVES + 4 * crate::histogram::grid::OCTAVES;
}

/// The block of an octave outside the fast range.
pub mod far {
    /// u32: the octave's biased exponent.
    pub const EXPONENT: usize = 0;
    /// u32: the grain of the next one.
    pub const NEXT: usize = 4;
    /// u64 each.
    pub const BINS: usize = 16;
    /// The whole.
    pub const SIZE: usize = BINS + 8 * crate::histogram::grid::BINS;
}

/// One of the exemplars of a series: a slot per bucket, one for a counter.
pub mod exemplar {
    /// u64: odd while it is being written.
    pub const SEQUENCE: usize = 0;
    /// f64: what was recorded.
    pub const VALUE: usize = 8;
    /// f64: when, in seconds since 1970; 0 for an empty slot.
    pub const TIMESTAMP: usize = 16;
    /// u32: the length of the rendered labels.
    pub const LENGTH: usize = 24;
    /// Where they are.
    pub const TEXT: usize = 32;
    /// How long they may be.
    pub const ROOM: usize = 224;
    /// The slot.
    pub const SIZE: usize = 256;
}

/// The file of words that all processes of a directory share.
pub mod control {
    /// [`CONTROL_MAGIC`](super::CONTROL_MAGIC).
    pub const MAGIC: usize = 0;
    /// u32.
    pub const VERSION: usize = 8;
    /// u32.
    pub const ORDER: usize = 12;
    /// u64: how many removals there were.
    pub const EPOCH: usize = 64;
    /// The file.
    pub const SIZE: usize = 4096;
}

/// What a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The cells of a process.
    Process = 1,
    /// The totals of dead ones.
    Graveyard = 2,
}

/// What is written once, before anyone else can see the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Names the file for ever.
    pub uuid: [u8; 16],
    /// The owner, as it sees itself.
    pub pid: u64,
    /// When the owner started, in clock ticks since boot.
    pub start: u64,
    /// The inode of its pid namespace.
    pub namespace: u64,
    /// The boot's id.
    pub boot: [u8; 16],
    /// When the file was made, in seconds since 1970.
    pub created: f64,
    /// What it is about.
    pub content: Content,
}

impl Header {
    /// The first [`header::FIXED`] bytes of the file.
    pub fn encode(&self) -> [u8; header::FIXED] {
        let mut bytes = [0; header::FIXED];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(header::MAGIC, &MAGIC);
        put(header::VERSION, &VERSION.to_le_bytes());
        put(header::ORDER, &ORDER.to_le_bytes());
        put(header::UUID, &self.uuid);
        put(header::PID, &self.pid.to_le_bytes());
        put(header::START, &self.start.to_le_bytes());
        put(header::NAMESPACE, &self.namespace.to_le_bytes());
        put(header::BOOT, &self.boot);
        put(header::CREATED, &self.created.to_le_bytes());
        put(header::KIND, &(self.content as u32).to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..header::CHECKSUM]);
        bytes[header::CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header that a file begins with.
    ///
    /// # Errors
    /// When the file is not a segment of this version, or its header is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.is_empty() {
            return Err(Damage::Empty);
        }
        let bytes: &[u8; header::FIXED] = bytes.first_chunk().ok_or(Damage::Truncated)?;
        if at(bytes, header::MAGIC) != MAGIC {
            return Err(Damage::Magic);
        }
        if u32::from_le_bytes(at(bytes, header::ORDER)) != ORDER {
            return Err(Damage::Order);
        }
        if u32::from_le_bytes(at(bytes, header::VERSION)) != VERSION {
            return Err(Damage::Version);
        }
        if u32::from_le_bytes(at(bytes, header::CHECKSUM)) != crc32fast::hash(&bytes[..header::CHECKSUM]) {
            return Err(Damage::Checksum);
        }
        let word = |offset| u64::from_le_bytes(at(bytes, offset));
        Ok(Header {
            uuid: at(bytes, header::UUID),
            pid: word(header::PID),
            start: word(header::START),
            namespace: word(header::NAMESPACE),
            boot: at(bytes, header::BOOT),
            created: f64::from_bits(word(header::CREATED)),
            content: match u32::from_le_bytes(at(bytes, header::KIND)) {
                1 => Content::Process,
                2 => Content::Graveyard,
                _ => return Err(Damage::Content),
            },
        })
    }
}

fn at<const N: usize>(bytes: &[u8; header::FIXED], offset: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[offset + index])
}

/// The name of the segment with this uuid, without a suffix.
pub fn hex(uuid: &[u8; 16]) -> String {
    use std::fmt::Write;
    uuid.iter().fold(String::with_capacity(32), |mut name, byte| {
        write!(name, "{byte:02x}").expect("strings take all that is written");
        name
    })
}
