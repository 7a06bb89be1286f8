//! One segment as others see it: its log, read as it grows.

use super::damage::Damage;
use super::format::{extent, header, hex, Content, Header, GRAIN, SUFFIX};
use super::liveness::{is_alive, Place};
use super::log;
use super::map::Map;
use super::record::Record;
use crate::descriptor::Identity;
use crate::sync::{
    fence, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, SeqCst},
};
use std::path::Path;
use std::sync::atomic::AtomicU8;

/// What of the logs is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    /// All of them.
    Everything,
    /// Of the living, definitions and removals.
    Fold,
    /// Removals, and which segments were folded.
    Removals,
}

/// How often a log that was rewritten meanwhile is read again.
const TRIES: usize = 5;

/// How many histograms in the middle of a change one look waits for.
const PATIENCE: u32 = 3;

/// A segment.
pub(super) struct Segment {
    map: Map,
    header: Header,
    alive: bool,
    /// The header's word about the log when it was read last.
    log: u64,
    cursor: Cursor,
    /// What of it could not be read, and how many times that was so.
    damage: Option<Damage>,
    damages: u64,
    /// Histograms that were in the middle of a change all the while, since the last look.
    stuck: AtomicU32,
    /// What was wrong with its cells since the last look, and before that since the one before.
    noted: [AtomicU8; 2],
}

/// How far the log was read.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// The extent; 0 before the first.
    extent: usize,
    /// Bytes of its records.
    read: usize,
    /// Bytes of all extents come by, which are never more than the file has.
    passed: usize,
}

/// What a look at a log came by.
pub(super) struct News {
    /// Whether everything that was read before counts no more.
    pub(super) anew: bool,
    /// What is new.
    pub(super) records: Vec<Record>,
}

impl Segment {
    /// Opens a file; nothing when it is not there any more.
    pub(super) fn open(path: &Path, user: u32, place: Option<&Place>) -> Result<Option<Self>, Damage> {
        let Some(map) = Map::open(path, user)? else { return Ok(None) };
        let mut bytes = Vec::new();
        // Whole words: of a file that is shorter, as many as there are, which tell what it was to be.
        map.copy(0, map.length().min(header::FIXED) & !7, &mut bytes).ok_or(Damage::Truncated)?;
        let header =
            Header::parse(&bytes).map_err(|damage| if bytes.is_empty() { Damage::Truncated } else { damage })?;
        if map.length() < header::SIZE {
            return Err(Damage::Truncated);
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_named = name.strip_suffix(SUFFIX).is_some_and(|name| name == hex(&header.uuid));
        // A copy under another name would count everything twice.
        if (header.content == Content::Process) != is_named {
            return Err(Damage::Content);
        }
        let alive = header.content == Content::Process && is_alive(&map, &header, place);
        Ok(Some(Segment {
            map,
            header,
            alive,
            log: 0,
            cursor: Cursor::default(),
            damage: None,
            damages: 0,
            stuck: AtomicU32::new(0),
            noted: Default::default(),
        }))
    }

    /// Whose it is.
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Its words.
    #[inline]
    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    /// Which file it is.
    pub(super) fn identity(&self) -> Identity {
        self.map.identity()
    }

    /// Whether its owner lived at the last look.
    #[inline]
    pub(super) fn is_alive(&self) -> bool {
        self.alive
    }

    /// Whether it is that of the dead.
    pub(super) fn is_graveyard(&self) -> bool {
        self.header.content == Content::Graveyard
    }

    /// What is wrong with it, if anything.
    pub(super) fn damage(&self) -> Option<Damage> {
        let noted = self.noted.iter().find_map(|noted| Damage::EVERY.get(noted.load(Relaxed).checked_sub(1)? as usize));
        self.damage.or(noted.copied())
    }

    /// Notes that something makes no sense to one of those who read it, until the look after the next.
    #[cold]
    pub(super) fn note(&self, damage: Damage) {
        let index = Damage::EVERY.iter().position(|every| *every == damage).unwrap_or_default();
        self.noted[0].store(index as u8 + 1, Relaxed);
    }

    /// How often something was.
    pub(super) fn damages(&self) -> u64 {
        self.damages
    }

    /// The removal epoch up to which its owner has written all of its own removals down.
    pub(super) fn removed(&self) -> u64 {
        let removing = self.map.word::<AtomicU64>(header::REMOVING).map_or(0, |word| word.load(SeqCst));
        // A dead one writes no more.
        if removing == 0 || !self.alive {
            u64::MAX
        } else {
            removing - 1
        }
    }

    /// The removal epoch that its owner has acted upon.
    pub(super) fn acted(&self) -> u64 {
        self.word(header::ACTED)
    }

    /// Records that its owner had no place for.
    pub(super) fn faults(&self) -> u64 {
        self.word(header::FAULTS)
    }

    fn word(&self, at: usize) -> u64 {
        self.map.word::<AtomicU64>(at).map_or(0, |word| word.load(Acquire))
    }

    /// Notes that something of it makes no sense.
    pub(super) fn spoil(&mut self, damage: Damage) {
        self.damage.get_or_insert(damage);
        self.damages += 1;
    }

    /// Whether to wait for a change to end: its owner lives, and did not let us wait in vain lately.
    pub(super) fn is_worth_waiting(&self) -> bool {
        self.alive && self.stuck.load(Relaxed) < PATIENCE
    }

    /// A change did not end.
    pub(super) fn waited_in_vain(&self) {
        self.stuck.fetch_add(1, Relaxed);
    }

    /// Looks whether the owner lives and how long the file is. True when the owner has just died.
    pub(super) fn look(&mut self, place: Option<&Place>) -> bool {
        self.stuck.store(0, Relaxed);
        self.noted[1].store(self.noted[0].swap(0, Relaxed), Relaxed);
        if let Err(damage) = self.map.refresh() {
            self.spoil(damage);
        }
        let lived = self.alive;
        // The dead stay dead.
        self.alive = lived && is_alive(&self.map, &self.header, place);
        lived && !self.alive
    }

    /// Forgets how far the log was read.
    pub(super) fn rewind(&mut self) {
        self.log = 0;
        self.cursor = Cursor::default();
        (self.damage, self.damages) = (None, 0);
    }

    /// What the log says that was not read before; of series, only with `series`.
    pub(super) fn news(&mut self, series: bool) -> News {
        if self.map.word::<AtomicU64>(header::LOG).is_none() {
            // Somebody has cut it off. Its log is not empty: it is not there, and what is wrong was noted.
            return News { anew: false, records: Vec::new() };
        }
        for _ in 0..TRIES {
            let log = self.word(header::LOG);
            let is_other = log != self.log;
            let mut cursor = if is_other { Cursor::default() } else { self.cursor };
            let (mut records, mut damages) = (Vec::new(), Vec::new());
            self.read_on(log, series, &mut cursor, &mut records, &mut damages);
            fence(Acquire);
            // What is told of was there before; but the file was perhaps longer by then than what is mapped.
            if !records.is_empty() || damages.contains(&Damage::Offset) {
                let before = self.map.reach();
                match self.map.refresh() {
                    Ok(()) if self.map.reach() > before => continue,
                    Ok(()) => {}
                    Err(damage) => damages.push(damage),
                }
            }
            // Else, what looked like records may have been anything by then.
            if self.word(header::LOG) == log {
                let anew = is_other && self.log != 0;
                if is_other {
                    self.rewind();
                }
                (self.log, self.cursor) = (log, cursor);
                for damage in damages {
                    self.spoil(damage);
                }
                return News { anew, records };
            }
        }
        // It is written anew all the time; what is known holds until the next look, which may have more luck.
        News { anew: false, records: Vec::new() }
    }

    fn read_on(&self, first: u64, series: bool, cursor: &mut Cursor, out: &mut Vec<Record>, damages: &mut Vec<Damage>) {
        if cursor.extent == 0 {
            // The upper half counts how often the log was rewritten.
            cursor.extent = (first as u32) as usize * GRAIN;
            if cursor.extent == 0 {
                return;
            }
        }
        let mut bytes = Vec::new();
        loop {
            let Some(first) = self.map.word::<AtomicU64>(cursor.extent + extent::NEXT) else {
                return damages.push(Damage::Offset);
            };
            let (next, used) = log::look(first);
            let next = next as usize * GRAIN;
            if used > cursor.read {
                let start = cursor.extent + extent::RECORDS + cursor.read;
                if self.map.copy(start, used - cursor.read, &mut bytes).is_none() {
                    damages.push(Damage::Offset);
                } else {
                    records(&bytes, series, out, damages);
                }
                cursor.read = used;
            }
            if next == 0 {
                return;
            }
            cursor.passed = cursor.passed.saturating_add(extent::RECORDS + used);
            if cursor.passed > self.map.length() {
                // A chain that bites its tail.
                return damages.push(Damage::Offset);
            }
            (cursor.extent, cursor.read) = (next, 0);
        }
    }
}

/// Reads the records that some bytes consist of; of series, only with `series`. One that is damaged is skipped, as far as its length says.
fn records(mut bytes: &[u8], series: bool, out: &mut Vec<Record>, damages: &mut Vec<Damage>) {
    while !bytes.is_empty() {
        // Of other processes' there may be very many.
        if !series && Record::seems_series(bytes) {
            if let Ok(length) = Record::length(bytes) {
                bytes = &bytes[length..];
                continue;
            }
        }
        let length = match Record::parse(bytes) {
            Ok((record, length)) => {
                out.push(record);
                length
            }
            Err(damage) => {
                damages.push(damage);
                Record::length(bytes).unwrap_or(bytes.len())
            }
        };
        bytes = &bytes[length..];
    }
}
