//! What a record says about itself, and what becomes of it.

/// How severe a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Level {
    /// For whoever debugs; the first to be refused when the ring fills.
    Debug = 0,
    /// Ordinary events.
    #[default]
    Info = 1,
    /// Something unexpected that was dealt with.
    Warn = 2,
    /// Something failed; has a reserve of the ring.
    Error = 3,
    /// The process cannot go on; has the same reserve.
    Fatal = 4,
}

impl Level {
    /// All of them, by number.
    pub const ALL: [Level; LEVELS] = [Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];

    /// The level of this number; `Info` for a number that is none.
    pub fn of(number: u64) -> Level {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied().unwrap_or_default()
    }

    /// Its lower-case name, as a label's value.
    pub fn name(self) -> &'static str {
        ["debug", "info", "warn", "error", "fatal"][self as usize]
    }
}

/// How many levels there are.
pub const LEVELS: usize = 5;

/// Bits of [`Head::flags`].
pub mod flags {
    /// The payload is a span, and not a log line.
    pub const SPAN: u16 = 1;
    /// The payload was cut.
    pub const TRUNCATED: u16 = 2;
    /// The trace is sampled.
    pub const SAMPLED: u16 = 4;
}

/// What is known of a record without reading its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// How severe it is.
    pub level: Level,
    /// See [`flags`].
    pub flags: u16,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// All zero for none.
    pub trace_id: [u8; 16],
    /// All zero for none.
    pub span_id: [u8; 8],
}

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The ring had no room for its level.
    Full = 0,
    /// It is longer than [`crate::layout::MAX_PAYLOAD`], or than the ring.
    TooLong = 1,
    /// There is no ring.
    Closed = 2,
}

impl Reason {
    /// All of them, by number.
    pub const ALL: [Reason; REASONS] = [Reason::Full, Reason::TooLong, Reason::Closed];

    /// As a label's value.
    pub fn name(self) -> &'static str {
        ["full", "too_long", "closed"][self as usize]
    }
}

/// How many reasons there are.
pub const REASONS: usize = 3;

/// What became of a record; it is counted either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is in the ring, and survives the process.
    Queued,
    /// It is not.
    Dropped(Reason),
}
