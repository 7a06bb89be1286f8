//! Where every word of a ring lies. All words are 64 bits, little endian; indices count words.
//!
//! A ring is a header of 4096 bytes and an area of `capacity` bytes. Positions count bytes since the ring was made
//! and never wrap; a position's place in the area is its remainder by the capacity. Records lie between the tail
//! and the head, each in one piece, each a multiple of 8 bytes.
//!
//! | word | what | written by |
//! |---|---|---|
//! | 0 | magic `FERRORNG` | the owner, once |
//! | 1 | version 1, and the byte order 0x01020304 above it | the owner, once |
//! | 2, 3 | uuid | the owner, once |
//! | 4 to 8 | pid, start, pid namespace, boot (16 bytes) | the owner, once |
//! | 9 | capacity in bytes | the owner, once |
//! | 10 | CRC-32 of words 0 to 9 | the owner, once |
//! | 16 | head: everything before it is whole | the writer |
//! | 17, 18 | once the latest append is done: the number of records, and the head with the record's level in its low bits | the writer |
//! | 19 to 23 | records taken, by level | the writer |
//! | 24 to 38 | records refused, by reason and level | the writer |
//! | 40 | tail: everything before it may be overwritten | the shipper |
//! | 48 to 63 | secrets taken out of lines, by rule | the writer |
//! | 128 + 32 n | the cursor of receiver n, of 8 | the shipper |
//!
//! | word of a record | what |
//! |---|---|
//! | 0 | payload bytes (32 bits), CRC-32 of the record's position and all that follows up to the end of the payload (32 bits) |
//! | 1 | sequence number, from 0 |
//! | 2 | nanoseconds since 1970 |
//! | 3 | level (8 bits), flags (16 bits) |
//! | 4, 5 | trace id |
//! | 6 | span id |
//! | 7 … | the payload, with zeros up to a whole word |
//!
//! A word 0 whose length is all ones is no record: it fills the area up to its end.

use crate::head::{LEVELS, REASONS};
use ferrometer_logs::redact::Rule;

/// The first word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"FERRORNG");
/// The second word.
pub const VERSION: u64 = 0x0102_0304 << 32 | 1;
/// Words of the header.
pub const HEADER: usize = 512;
/// Bytes of the header.
pub const HEADER_BYTES: usize = HEADER * 8;

pub(crate) const UUID: usize = 2;
pub(crate) const PID: usize = 4;
pub(crate) const START: usize = 5;
pub(crate) const NAMESPACE: usize = 6;
pub(crate) const BOOT: usize = 7;
pub(crate) const CAPACITY: usize = 9;
pub(crate) const CHECKSUM: usize = 10;
pub(crate) const HEAD: usize = 16;
pub(crate) const PENDING_RECORDS: usize = 17;
pub(crate) const PENDING_HEAD: usize = 18;
pub(crate) const ACCEPTED: usize = 19;
pub(crate) const REFUSED: usize = ACCEPTED + LEVELS;
pub(crate) const TAIL: usize = 40;
const _: () = assert!(REFUSED + REASONS * LEVELS <= TAIL);
pub(crate) const REDACTED: usize = 48;
/// Rules of redaction that can be counted.
pub const RULES: usize = 16;
const _: () = assert!(REDACTED + RULES <= CURSORS && Rule::ALL.len() <= RULES);

/// Receivers that can have a cursor.
pub const SINKS: usize = 8;
pub(crate) const CURSORS: usize = 128;
pub(crate) const CURSOR: usize = 32;
const _: () = assert!(CURSORS + SINKS * CURSOR <= HEADER);

/// Words of a record before its payload.
pub(crate) const RECORD: usize = 7;
/// The length of what is no record.
pub(crate) const FILLER: u32 = u32::MAX;
/// Bytes that a payload may have at most.
pub const MAX_PAYLOAD: usize = 256 * 1024;

/// Bytes of a record with such a payload.
pub(crate) fn size(payload: usize) -> u64 {
    ((RECORD + payload.div_ceil(8)) * 8) as u64
}
