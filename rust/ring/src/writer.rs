//! Appending: a record is written behind the head, then the head is moved behind it with one store. Whatever kills
//! the process leaves either a whole record or none.

use crate::head::{Head, Level, Outcome, Reason, LEVELS};
use crate::layout::{
    size, ACCEPTED, FILLER, HEAD, MAX_PAYLOAD, PENDING_HEAD, PENDING_RECORDS, RECORD, REDACTED, REFUSED, TAIL,
};
use crate::reader::Place;
use crate::region::Region;
use crate::sync::{
    fence, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::Arc;

/// The only writer of a ring.
pub struct Writer {
    region: Arc<Region>,
    head: u64,
    records: u64,
    /// The shipper's tail when it was last looked at; it only grows.
    tail: u64,
}

impl Writer {
    /// The writer of a new ring.
    pub fn new(region: Arc<Region>) -> Self {
        Writer { region, head: 0, records: 0, tail: 0 }
    }

    /// The ring.
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Appends a record whose payload is these parts together, or counts it as refused. Never waits.
    pub fn append(&mut self, head: &Head, parts: &[&[u8]]) -> Outcome {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        let capacity = self.region.capacity();
        let need = size(payload);
        // A record lies in one piece: up to its own length less one word may be lost at the end of the area.
        if payload > MAX_PAYLOAD || need * 2 > capacity {
            return self.refuse(head.level, Reason::TooLong);
        }
        let rest = capacity - self.head % capacity;
        let filler = if rest < need { rest } else { 0 };
        let after = self.head + filler + need;
        let limit = limit(capacity, head.level);
        if after - self.tail > limit {
            self.tail = self.region.header(TAIL).load(Acquire);
            // Whoever reads what is written from here on sees this tail too, and so that it was overtaken.
            fence(Release);
            if after - self.tail > limit {
                return self.refuse(head.level, Reason::Full);
            }
        }
        let area = self.region.area();
        let mut at = (self.head % capacity / 8) as usize;
        if filler > 0 {
            area[at].store(u64::from(FILLER), Relaxed);
            at = 0;
        }
        let place = Place { position: self.head + filler, records: self.records };
        write(&area[at..at + (need / 8) as usize], head, place, payload, parts);
        let header = |index| self.region.header(index);
        // Should this be the last that the process does, `Counts` tells from these two whether the record was counted.
        header(PENDING_HEAD).store(after | head.level as u64, Relaxed);
        // Release: whoever sees this number sees the head that it belongs to.
        header(PENDING_RECORDS).store(self.records + 1, Release);
        header(HEAD).store(after, Release);
        self.head = after;
        self.records += 1;
        // Release: whoever sees the count sees the head that it belongs to.
        bump(header(ACCEPTED + head.level as usize), Release);
        Outcome::Queued
    }

    /// Counts secrets that a rule has taken out of lines.
    pub fn redacted(&self, rule: usize, count: u64) {
        let word = self.region.header(REDACTED + rule);
        word.store(word.load(Relaxed) + count, Relaxed);
    }

    fn refuse(&self, level: Level, reason: Reason) -> Outcome {
        bump(self.region.header(REFUSED + reason as usize * LEVELS + level as usize), Relaxed);
        Outcome::Dropped(reason)
    }
}

/// Bytes of the ring that records of a level may fill: the last eighth is for errors, and debugging ends at three
/// quarters.
fn limit(capacity: u64, level: Level) -> u64 {
    match level {
        Level::Debug => capacity - capacity / 4,
        Level::Info | Level::Warn => capacity - capacity / 8,
        Level::Error | Level::Fatal => capacity,
    }
}

/// Adds one to a word that nobody else writes.
fn bump(word: &AtomicU64, order: crate::sync::Ordering) {
    word.store(word.load(Relaxed) + 1, order);
}

/// Writes a record word by word.
fn write(words: &[AtomicU64], head: &Head, place: Place, payload: usize, parts: &[&[u8]]) {
    let fixed = encode(head, place.records);
    let mut checksum = crc32fast::Hasher::new();
    // What lay here a lap ago is not taken for this.
    checksum.update(&place.position.to_le_bytes());
    let mut bytes = [0; (RECORD - 1) * 8];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(fixed) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    checksum.update(&bytes);
    for (word, value) in words[1..].iter().zip(fixed) {
        word.store(value, Relaxed);
    }
    // Bytes that do not yet fill a word.
    let (mut carry, mut carried) = (0u64, 0u32);
    let mut rest = words[RECORD..].iter();
    for part in parts {
        checksum.update(part);
        let mut chunks = part.chunks_exact(8);
        for chunk in &mut chunks {
            let next = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
            let Some(word) = rest.next() else { return };
            word.store(carry | next << carried, Relaxed);
            carry = if carried == 0 { 0 } else { next >> (64 - carried) };
        }
        for &byte in chunks.remainder() {
            carry |= u64::from(byte) << carried;
            carried += 8;
            if carried == 64 {
                let Some(word) = rest.next() else { return };
                word.store(carry, Relaxed);
                (carry, carried) = (0, 0);
            }
        }
    }
    if carried > 0 {
        if let Some(word) = rest.next() {
            word.store(carry, Relaxed);
        }
    }
    words[0].store(u64::from(checksum.finalize()) << 32 | payload as u64, Relaxed);
}

/// Words 1 to 6 of a record.
fn encode(head: &Head, sequence: u64) -> [u64; RECORD - 1] {
    let (low, high) = head.trace_id.split_at(8);
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let about = head.level as u64 | u64::from(head.flags) << 8;
    [sequence, head.time_ns, about, word(low), word(high), word(&head.span_id)]
}
