//! What all processes of a directory recorded, lines or spans, and what became of it: the rings that are there, and a
//! file with the counts of those that are gone. That file is also the lock by which the one shipper of a directory is elected.

use crate::cursors::Cursor;
use crate::file::{allocate, list, Ring};
use crate::fork::{close_in_child, keep_in_child};
use crate::head::{Level, Reason, LEVELS, REASONS};
use crate::kind::Kind;
use crate::layout::{RULES, SINKS};
use crate::mapping::Mapping;
use crate::reader::Counts;
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use ferrometer_core::segment::owned_file::lock;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const MAGIC: u64 = u64::from_le_bytes(*b"FERROSHP");
const VERSION: u64 = 1;
const BYTES: usize = 8192;

/// Words: magic, version, namespace (64 bytes), which state counts; receivers; the two states.
const NAMESPACE: usize = 8;
const TURN: usize = 16;
const NAMES: usize = 32;
const NAME_WORDS: usize = 8;
/// Of a receiver: 48 bytes of name, the time of its latest success, and bits for what it is doing.
const SUCCESS: usize = 6;
const STATES: [usize; 2] = [128, 512];
const LENGTH: usize = REDACTED + RULES;
const REDACTED: usize = 2 + LEVELS + REASONS * LEVELS + SINKS * 6;
const _: () = assert!(STATES[0] + LENGTH <= STATES[1] && NAMES + SINKS * NAME_WORDS <= STATES[0]);

/// The file.
pub struct Totals {
    map: Mapping,
    file: File,
}

/// Receivers are told apart by this number, which is never 0.
pub fn hash(name: &str) -> u64 {
    // FNV-1a: the same in every build, because files outlive those.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash.max(1)
}

impl Totals {
    /// Opens it; makes it where it is not there.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn open(directory: &Path, kind: Kind) -> io::Result<Self> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let file = options.open(directory.join(kind.totals()))?;
        if file.metadata()?.len() < BYTES as u64 {
            // Two who come at once make the same file. Zeros are no counts.
            file.set_len(BYTES as u64)?;
            allocate(&file, BYTES)?;
        }
        let map = Mapping::new(&file, BYTES)?;
        let words = map.words();
        if words[0].load(Acquire) == 0 {
            words[1].store(VERSION, Relaxed);
            words[0].store(MAGIC, Release);
        }
        if words[0].load(Acquire) != MAGIC || words[1].load(Relaxed) != VERSION {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a shipper's file, or of another version"));
        }
        Ok(Totals { map, file })
    }

    /// Becomes the one shipper of the directory, until it is dropped or this process dies; `false` when there is one.
    ///
    /// # Errors
    /// When the file system has no locks.
    pub fn lead(&self) -> io::Result<bool> {
        let leads = lock(&self.file)?;
        if leads {
            close_in_child(&self.file);
        }
        Ok(leads)
    }

    /// The slot of a receiver by its name, which is written down; nothing when there are too many.
    pub fn receiver(&self, name: &str) -> Option<usize> {
        let slot = (0..SINKS)
            .find(|&slot| self.name(slot).as_deref() == Some(name))
            .or_else(|| (0..SINKS).find(|&slot| self.name(slot).is_none()))?;
        self.write_text(NAMES + slot * NAME_WORDS, SUCCESS, name);
        Some(slot)
    }

    /// The name of the receiver in a slot.
    pub fn name(&self, slot: usize) -> Option<String> {
        Some(self.text(NAMES + slot * NAME_WORDS, SUCCESS)).filter(|name| !name.is_empty())
    }

    /// Tells when a receiver took something last, in seconds since 1970.
    pub fn set_success(&self, slot: usize, time: f64) {
        self.map.words()[NAMES + slot * NAME_WORDS + SUCCESS].store(time.to_bits(), Relaxed);
    }

    /// What the names of the application's own metrics begin with.
    pub fn set_namespace(&self, namespace: &str) {
        self.write_text(NAMESPACE, 8, namespace);
    }

    fn write_text(&self, at: usize, words: usize, text: &str) {
        let mut bytes = text.as_bytes()[..text.len().min(words * 8)].to_vec();
        bytes.resize(words * 8, 0);
        for (index, chunk) in bytes.chunks_exact(8).enumerate() {
            self.map.words()[at + index].store(u64::from_le_bytes(chunk.try_into().expect("eight bytes")), Relaxed);
        }
    }

    fn text(&self, at: usize, words: usize) -> String {
        let bytes: Vec<u8> =
            (at..at + words).flat_map(|index| self.map.words()[index].load(Relaxed).to_le_bytes()).collect();
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    fn state(&self) -> (u64, Vec<u64>) {
        loop {
            let turn = self.map.words()[TURN].load(Acquire);
            let base = STATES[(turn & 1) as usize];
            let state = (base..base + LENGTH).map(|index| self.map.words()[index].load(Acquire)).collect();
            if self.map.words()[TURN].load(Acquire) == turn {
                return (turn, state);
            }
        }
    }

    /// Adds the counts of a ring whose process is dead, and which is about to be removed; once for each ring,
    /// although whoever does it may die in between. Only the leader may.
    pub fn fold(&self, ring: &Ring) {
        let (turn, mut state) = self.state();
        let uuid = words_of(ring.uuid);
        if state[..2] == uuid {
            return;
        }
        state[..2].copy_from_slice(&uuid);
        let counts = ring.region.counts();
        for level in 0..LEVELS {
            state[2 + level] += counts.accepted[level];
            for reason in 0..REASONS {
                state[2 + LEVELS + reason * LEVELS + level] += counts.refused[reason][level];
            }
        }
        for (slot, name) in ring.region.slots() {
            let known = (0..SINKS).find(|&slot| self.name(slot).is_some_and(|known| hash(&known) == name));
            let Some(known) = known else { continue };
            let cursor = ring.region.cursor(slot);
            let base = 2 + LEVELS + REASONS * LEVELS + known * 6;
            for (index, count) in counts_of(&cursor).into_iter().enumerate() {
                state[base + index] += count;
            }
        }
        for (rule, count) in ring.region.redactions().into_iter().enumerate() {
            state[REDACTED + rule] += count;
        }
        let base = STATES[((turn + 1) & 1) as usize];
        for (index, value) in state.into_iter().enumerate() {
            self.map.words()[base + index].store(value, Release);
        }
        self.map.words()[TURN].store(turn + 1, Release);
    }
}

impl Drop for Totals {
    fn drop(&mut self) {
        keep_in_child(&self.file);
    }
}

fn words_of(uuid: [u8; 16]) -> [u64; 2] {
    let uuid = u128::from_le_bytes(uuid);
    [uuid as u64, (uuid >> 64) as u64]
}

fn counts_of(cursor: &Cursor) -> [u64; 6] {
    [cursor.shipped, cursor.rejected, cursor.full, cursor.damaged, cursor.expired, cursor.repeated]
}

/// What one receiver did with the records of all processes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// Records by what became of them; the place means nothing here.
    pub counts: Cursor,
    /// Records that wait.
    pub queued: u64,
    /// Bytes of the rings that they take.
    pub queued_bytes: u64,
    /// When it took something last, in seconds since 1970; 0 for never.
    pub success: f64,
}

/// What all processes of a directory recorded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// What the records are.
    pub kind: Kind,
    /// What the names of the application's own metrics begin with.
    pub namespace: String,
    /// Records by level, and those refused.
    pub counts: Counts,
    /// Who receives them.
    pub receivers: Vec<Receiver>,
    /// Secrets that were taken out of lines, by rule.
    pub redactions: [u64; RULES],
}

impl Snapshot {
    /// Of one ring, whose receivers have these names.
    pub fn add(&mut self, region: &crate::region::Region) {
        let counts = region.counts();
        for level in 0..LEVELS {
            self.counts.accepted[level] += counts.accepted[level];
            for reason in 0..REASONS {
                self.counts.refused[reason][level] += counts.refused[reason][level];
            }
        }
        for (sum, count) in self.redactions.iter_mut().zip(region.redactions()) {
            *sum = sum.saturating_add(count);
        }
        for receiver in &mut self.receivers {
            let name = hash(&receiver.name);
            let cursor =
                region.slots().find(|slot| slot.1 == name).map(|(slot, _)| region.cursor(slot)).unwrap_or_default();
            receiver.queued += counts.records().saturating_sub(cursor.place.records);
            receiver.queued_bytes += region.head().saturating_sub(cursor.place.position.max(region.tail()));
            receiver.counts.add(&counts_of(&cursor));
        }
    }

    /// Records of a level.
    pub fn lines(&self, level: Level) -> u64 {
        self.counts.lines(level)
    }

    /// Records that entered no ring, for a reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.counts.refused(reason)
    }
}

impl Cursor {
    fn add(&mut self, counts: &[u64; 6]) {
        let [shipped, rejected, full, damaged, expired, repeated] = *counts;
        self.shipped += shipped;
        self.rejected += rejected;
        self.full += full;
        self.damaged += damaged;
        self.expired += expired;
        self.repeated += repeated;
    }
}

/// What all processes of a directory recorded; nothing where nobody ever shipped.
///
/// # Errors
/// When the directory cannot be read.
pub fn snapshot(directory: &Path, kind: Kind) -> io::Result<Option<Snapshot>> {
    if !directory.join(kind.totals()).exists() {
        return Ok(None);
    }
    let totals = Totals::open(directory, kind)?;
    loop {
        let (turn, state) = totals.state();
        let mut snapshot = Snapshot { kind, namespace: totals.text(NAMESPACE, 8), ..Snapshot::default() };
        for level in 0..LEVELS {
            snapshot.counts.accepted[level] = state[2 + level];
            for reason in 0..REASONS {
                snapshot.counts.refused[reason][level] = state[2 + LEVELS + reason * LEVELS + level];
            }
        }
        snapshot.redactions.copy_from_slice(&state[REDACTED..LENGTH]);
        for slot in 0..SINKS {
            let Some(name) = totals.name(slot) else { continue };
            let at = 2 + LEVELS + REASONS * LEVELS + slot * 6;
            let mut receiver = Receiver { name, ..Receiver::default() };
            receiver.counts.add(&std::array::from_fn(|index| state[at + index]));
            receiver.success = f64::from_bits(totals.map.words()[NAMES + slot * NAME_WORDS + SUCCESS].load(Relaxed));
            snapshot.receivers.push(receiver);
        }
        for path in list(directory, kind)? {
            // It is being removed, or it is not a ring.
            let Ok(ring) = Ring::open(&path) else { continue };
            if words_of(ring.uuid) != state[..2] {
                snapshot.add(&ring.region);
            }
        }
        if totals.state().0 == turn {
            return Ok(Some(snapshot));
        }
    }
}
