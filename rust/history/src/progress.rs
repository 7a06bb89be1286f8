//! What the recorder keeps of each series and of each level.

use crate::bits::Bits;
use crate::chunk::{Encoder, Value};
use crate::level::Level;
use crate::track::Identity;

/// What one level has been told of a track.
pub struct Slot {
    /// Its number in the open block.
    pub number: Option<u32>,
    /// Writes its records.
    pub encoder: Encoder,
    /// Whether something has happened that the level has not been told.
    pub is_dirty: bool,
    /// The least and greatest value since the level's last tick.
    pub range: Option<(f64, f64)>,
}

/// A series that the recorder follows.
pub struct Track {
    /// What it is.
    pub identity: Identity,
    /// Its value at the last look.
    pub now: Value,
    /// The look at which it was seen last.
    pub seen: u64,
    /// Whether it has not ended.
    pub alive: bool,
    /// One for each level that takes it.
    pub slots: Vec<Option<Slot>>,
}

/// Where a level stands.
pub struct Progress {
    /// Which level.
    pub level: Level,
    /// Ticks in the open block.
    pub ticks: u32,
    /// Of those, the ones at which all series have a sample.
    pub wholes: u32,
    /// Tracks in it.
    pub tracks: u32,
    /// The time of the last tick.
    pub last_ms: i64,
    /// The time of the last tick at which all series have a sample.
    pub last_whole_ms: i64,
    /// The same of the bins.
    pub last_bins_ms: i64,
    /// Looks since the level's last tick, this one included.
    pub since: u32,
    /// The tracks of which it has not been told everything.
    pub dirty: Vec<u32>,
    /// For the bits of one record.
    pub scratch: Bits,
}

/// Where there is no open block.
pub const NONE: u32 = u32::MAX;

/// A track whose value became less, or that ended, and what it was before.
pub struct Break {
    /// Its number.
    pub track: u32,
    /// What it was.
    pub before: Value,
}
