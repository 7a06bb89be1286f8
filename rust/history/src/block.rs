//! Blocks: one level's samples of some ticks. An open one grows; a sealed one is a run of bytes that never changes.

use crate::bits::Bits;
use crate::catalog::{Catalog, SeriesId};
use crate::ends::Ends;
use crate::frame::Frame;
use crate::tick::{self, Tick};
use crate::track::{push_number, take_number, Identity};
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::Compression;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// The first bytes of a block.
pub const MAGIC: &[u8; 8] = b"FERROHIS";
/// The version of the format.
pub const VERSION: u32 = 1;
const ORDER: u32 = 0x0102_0304;
const HEADER: usize = 64;
/// Where the checksum of everything else is.
const CHECKSUM: usize = 16;
/// The most bytes that the names of one block may take, unpacked.
const MOST_NAMES: u32 = 256 << 20;

/// Why bytes are no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// They are something else, or of another machine.
    Foreign,
    /// Another version wrote them.
    Version,
    /// They are fewer than they say, or not what was written.
    Content,
    /// They cannot be read.
    Unreadable,
}

impl Damage {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Damage::Foreign => "it is no history file",
            Damage::Version => "another version of ferrometer wrote it",
            Damage::Content => "it is damaged, or cut off",
            Damage::Unreadable => "it cannot be read",
        }
    }
}

/// A block that grows.
#[derive(Debug, Default)]
pub struct Open {
    /// Its ticks; shared with those who read them meanwhile.
    pub ticks: Arc<Vec<Tick>>,
    /// Its tracks and their bits.
    pub tracks: Vec<(SeriesId, Arc<Bits>)>,
    /// About how many bytes it takes.
    pub bytes: usize,
}

impl Open {
    /// Adds a tick. False for one that does not follow; nothing is added then.
    pub fn apply(&mut self, frame: &Frame, catalog: &mut Catalog) -> bool {
        let known = self.tracks.len() + frame.fresh.len();
        let follows = self.ticks.last().is_none_or(|last| last.time_ms < frame.tick.time_ms);
        if !follows || frame.records().any(|(track, ..)| track as usize >= known) {
            return false;
        }
        for identity in &frame.fresh {
            self.tracks.push((catalog.intern(identity), Arc::default()));
            self.bytes += identity.name.len() / 8 + identity.text.len() / 8 + 8;
        }
        Arc::make_mut(&mut self.ticks).push(frame.tick);
        for (track, bytes, length) in frame.records() {
            self.bytes += length.div_ceil(8);
            Arc::make_mut(&mut self.tracks[track as usize].1).append(bytes, length);
        }
        true
    }

    /// The same as a sealed block's bytes.
    ///
    /// # Panics
    /// When the series are another catalog's.
    pub fn seal(&self, level: usize, catalog: &Catalog) -> Vec<u8> {
        let (mut names, mut ticks, mut index, mut chunks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        tick::write(&self.ticks, &mut ticks);
        for (id, bits) in &self.tracks {
            catalog.get(*id).identity.write(&mut names);
            push_number(bits.len() as u64, &mut index);
            chunks.extend_from_slice(bits.bytes());
        }
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::new(6));
        let packed = packed.write_all(&names).and_then(|()| packed.finish()).expect("a vector takes all");
        let mut out = Vec::with_capacity(HEADER + packed.len() + ticks.len() + index.len() + chunks.len());
        out.extend_from_slice(MAGIC);
        let sizes = [&names, &packed, &ticks, &index, &chunks].map(|part| part.len() as u32);
        let head = [VERSION, ORDER, 0, level as u32, self.ticks.len() as u32, self.tracks.len() as u32];
        for word in head.iter().chain(&sizes) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.resize(HEADER, 0);
        for part in [packed, ticks, index, chunks] {
            out.extend_from_slice(&part);
        }
        let checksum = checksum(&out);
        out[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
        out
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM]);
    hasher.update(&bytes[CHECKSUM + 4..]);
    hasher.finalize()
}

/// Where a sealed block's bytes are.
#[derive(Clone, Debug)]
pub enum Place {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file, which is read and never mapped: whoever cuts it short kills nobody.
    File(PathBuf),
}

/// A sealed block: what its bytes begin with, and where they are.
#[derive(Debug)]
pub struct Sealed {
    /// Which level.
    pub level: usize,
    /// When its samples were taken.
    pub ticks: Arc<Vec<Tick>>,
    /// Its tracks, by their numbers.
    pub ids: Vec<SeriesId>,
    /// Where the bits of each begin, in bytes, and how many bits there are.
    pub chunks: Vec<(u32, u32)>,
    /// How many bytes.
    pub size: usize,
    place: Place,
    ends: Ends,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Sealed {
    /// Reads the bytes of a block.
    ///
    /// # Errors
    /// When they are none.
    pub fn read(bytes: &[u8], place: Place, catalog: &mut Catalog) -> Result<Self, Damage> {
        if bytes.len() < HEADER || &bytes[..8] != MAGIC {
            return Err(Damage::Foreign);
        }
        match (word(bytes, 8), word(bytes, 12)) {
            (VERSION, ORDER) => {}
            (_, ORDER) => return Err(Damage::Version),
            _ => return Err(Damage::Foreign),
        }
        if word(bytes, CHECKSUM) != checksum(bytes) {
            return Err(Damage::Content);
        }
        Self::parse(bytes, place, catalog).ok_or(Damage::Content)
    }

    fn parse(bytes: &[u8], place: Place, catalog: &mut Catalog) -> Option<Self> {
        let [level, ticks, tracks, names, packed, tick_bytes, index, chunk_bytes] =
            std::array::from_fn(|part| word(bytes, 20 + part * 4));
        let mut rest = &bytes[HEADER..];
        let mut part = |length: u32| {
            let (taken, after) = rest.split_at_checked(length as usize)?;
            rest = after;
            Some(taken)
        };
        let (packed, tick_bytes, index, chunk_bytes) =
            (part(packed)?, part(tick_bytes)?, part(index)?, part(chunk_bytes)?);
        let start = bytes.len() - rest.len() - chunk_bytes.len();
        let ticks = tick::read(tick_bytes, ticks as usize)?;
        let mut text = Vec::new();
        DeflateDecoder::new(packed).take(u64::from(names.min(MOST_NAMES))).read_to_end(&mut text).ok()?;
        let (mut text, mut index, mut at) = (&text[..], index, start);
        let (mut ids, mut chunks) = (Vec::new(), Vec::new());
        let mut identities = Vec::new();
        for _ in 0..tracks {
            identities.push(Identity::read(&mut text)?);
            let bits = u32::try_from(take_number(&mut index)?).ok()?;
            chunks.push((u32::try_from(at).ok()?, bits));
            at += (bits as usize).div_ceil(8);
            if at > start + chunk_bytes.len() {
                return None;
            }
        }
        ids.extend(identities.iter().map(|identity| catalog.intern(identity)));
        Some(Sealed {
            level: level as usize,
            ticks: Arc::new(ticks),
            ids,
            chunks,
            size: bytes.len(),
            place,
            ends: Ends::default(),
        })
    }

    /// All its bytes; none when the file is not there any more, or another one.
    pub fn bytes(&self) -> Option<Arc<[u8]>> {
        match &self.place {
            Place::Memory(bytes) => Some(bytes.clone()),
            Place::File(path) => {
                let bytes = std::fs::read(path).ok()?;
                (bytes.len() == self.size).then(|| bytes.into())
            }
        }
    }

    /// How many bytes it takes, with what queries have found out about it.
    pub fn bytes_in_all(&self) -> usize {
        self.size + self.ends.bytes()
    }

    /// What queries have found out about the ends of its chunks.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// The file that it is in.
    pub fn path(&self) -> Option<&PathBuf> {
        match &self.place {
            Place::Memory(_) => None,
            Place::File(path) => Some(path),
        }
    }

    /// The time of its first tick.
    pub fn first_ms(&self) -> i64 {
        self.ticks.first().map_or(i64::MAX, |tick| tick.time_ms)
    }

    /// The time of its last tick.
    pub fn last_ms(&self) -> i64 {
        self.ticks.last().map_or(i64::MIN, |tick| tick.time_ms)
    }
}
