//! A span as the payload of a ring's record.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version 1 |
//! | 1 | kind, by OTLP's numbers |
//! | 1 | status: 0 unset, 1 ok, 2 error |
//! | 1 | flags of the trace in the low bits, [`REMOTE_PARENT`] |
//! | 8 | the parent's span id |
//! | 8 | start, nanoseconds since 1970; the end is the record's time, and its ids are the record's |
//! | 4 × 3 | attributes, events, links left out |
//! | 2 × 3 | attributes, events, links that there are |
//! | 4 × 2 | bytes of the attributes, of the events |
//! | texts | name, `tracestate`, message of the status, scope's name, scope's version: each 2 bytes of length, then UTF-8 |
//! | … | attributes, events, links |
//!
//! An attribute is 2 bytes of length, its name, and a value: a tag and what it needs. All numbers are little endian.

/// The first byte.
pub const VERSION: u8 = 1;
/// A bit beside the flags of the trace: the parent is in another process.
pub const REMOTE_PARENT: u8 = 0x80;

/// What a value is.
pub(crate) mod tag {
    pub const NONE: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const INT: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const TEXT: u8 = 5;
    pub const BYTES: u8 = 6;
    pub const LIST: u8 = 7;
    pub const MAP: u8 = 8;
}
