//! Reading records, beside the writer or after its death. What is read is believed no further than it can do harm:
//! a file can be damaged, and what lies before the tail is overwritten.

use crate::head::{Head, Level, Reason, LEVELS, REASONS};
use crate::layout::{
    size, ACCEPTED, FILLER, HEAD, MAX_PAYLOAD, PENDING_HEAD, PENDING_RECORDS, RECORD, REDACTED, REFUSED, RULES, TAIL,
};
use crate::region::Region;
use crate::sync::{
    fence,
    Ordering::{Acquire, Relaxed, Release},
};

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Bytes before it, since the ring was made.
    pub position: u64,
    /// Records before it.
    pub records: u64,
}

/// A record, copied out of the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it says about itself.
    pub head: Head,
    /// Its number, from 0.
    pub sequence: u64,
    /// Behind it.
    pub end: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Records, and what was found missing on the way to them.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order.
    pub records: Vec<Record>,
    /// Behind the last of them.
    pub end: Place,
    /// Records that had been overwritten before they were read.
    pub overwritten: u64,
    /// Records that were damaged.
    pub damaged: u64,
}

impl Region {
    /// Everything before it is whole.
    pub fn head(&self) -> u64 {
        self.header(HEAD).load(Acquire)
    }

    /// Everything before it may be overwritten.
    pub fn tail(&self) -> u64 {
        self.header(TAIL).load(Acquire)
    }

    /// Allows the writer to overwrite what lies before a position. Only for the shipper.
    pub fn release(&self, position: u64) {
        // Several receivers' threads come here, and it must not go back.
        self.header(TAIL).fetch_max(position, Release);
    }

    /// Records from a place on, up to about so many bytes of payload. Records may be missing before the first of them
    /// only: a later gap begins the next batch.
    pub fn read(&self, from: Place, bytes: usize) -> Batch {
        let head = self.head();
        let mut batch = Batch { end: from, ..Batch::default() };
        // Behind the last record, or what was skipped before the first.
        let mut whole = from;
        let mut is_behind = false;
        let mut read = 0;
        while read < bytes {
            let (tail, before) = (self.tail(), batch.end.position);
            if batch.end.position < tail {
                batch.end.position = tail;
                is_behind = true;
            }
            if head.saturating_sub(batch.end.position) > self.capacity() {
                // No writer leaves it so.
                batch.end.position = head;
            }
            if batch.end.position >= head {
                if is_behind {
                    // How many are missing, the next record tells; till then this reader is where it was.
                    batch.end.position = before;
                }
                break;
            }
            let step = self.record_at(batch.end.position, head);
            // Of what was copied, all was there when the tail had not yet passed it.
            fence(Acquire);
            if self.header(TAIL).load(Relaxed) > batch.end.position {
                batch.end.position = before;
                continue;
            }
            match step {
                Step::Record(record, length) => {
                    if record.sequence > batch.end.records && !batch.records.is_empty() {
                        batch.end = whole;
                        break;
                    }
                    batch.miss(record.sequence, is_behind);
                    is_behind = false;
                    let records = record.sequence.saturating_add(1);
                    batch.end = Place { position: batch.end.position + length, records };
                    whole = batch.end;
                    read += record.payload.len() + RECORD * 8;
                    batch.records.push(record);
                }
                Step::Skip(length) => batch.end.position += length,
                // Where the next one begins cannot be known.
                Step::Lost => batch.end.position = head,
            }
        }
        batch
    }

    /// Records from a place on that are still there, also such as the writer may overwrite at any moment: for those
    /// who only look. What is gone is told as overwritten.
    pub fn recall(&self, from: Place, bytes: usize) -> Batch {
        let capacity = self.capacity();
        // The writer may be in the middle of a record, behind a filler as long as that.
        let margin = capacity.min(2 * size(MAX_PAYLOAD));
        let oldest = |head: u64| {
            let left = head.saturating_sub(capacity - margin).min(self.tail());
            left.max(head.saturating_sub(capacity))
        };
        let mut batch = Batch { end: from, ..Batch::default() };
        let (mut read, mut is_behind) = (0, false);
        while read < bytes {
            let head = self.head();
            let start = batch.end.position.max(oldest(head));
            if start > batch.end.position || (start > 0 && batch.end.records == 0) {
                is_behind = true;
            }
            // Between records that it followed by itself it knows where the next one begins; else it looks for one.
            let found = if is_behind { self.first_record(start, head) } else { Some(start).filter(|&at| at < head) };
            let Some(position) = found else { break };
            let step = self.record_at(position, head);
            fence(Acquire);
            if position < oldest(self.header(HEAD).load(Relaxed)) {
                continue;
            }
            match step {
                Step::Record(record, length) => {
                    batch.miss(record.sequence, is_behind);
                    is_behind = false;
                    batch.end = Place { position: position + length, records: record.sequence.saturating_add(1) };
                    read += record.payload.len() + RECORD * 8;
                    batch.records.push(record);
                }
                Step::Skip(length) => batch.end.position = position + length,
                Step::Lost => break,
            }
        }
        batch
    }

    /// Where the first whole record at or behind a position begins, wherever records begin.
    fn first_record(&self, from: u64, head: u64) -> Option<u64> {
        (from..head).step_by(8).find(|&at| matches!(self.record_at(at, head), Step::Record(..)))
    }

    /// The place of the oldest record that may not be overwritten.
    pub fn oldest(&self) -> Place {
        loop {
            let head = self.head();
            if self.tail() < head {
                break;
            }
            let records = self.counts().records();
            if self.head() == head {
                return Place { position: head, records };
            }
        }
        match self.read(Place::default(), 1).records.first() {
            Some(record) => Place { position: record.end - size(record.payload.len()), records: record.sequence },
            None => Place { position: self.tail(), records: 0 },
        }
    }

    /// Secrets that were taken out of lines, by rule.
    pub fn redactions(&self) -> [u64; RULES] {
        std::array::from_fn(|rule| self.header(REDACTED + rule).load(Relaxed))
    }

    /// Counts what is missing between a place and the head of a ring whose writer is dead. While it lives, the next
    /// record tells.
    pub fn missing_at_end(&self, place: Place) -> u64 {
        if place.position.max(self.tail()) < self.head() {
            return 0;
        }
        self.counts().records().saturating_sub(place.records)
    }

    fn record_at(&self, position: u64, head: u64) -> Step {
        let (area, capacity) = (self.area(), self.capacity());
        let place = position % capacity;
        let words = &area[(place / 8) as usize..];
        let first = words[0].load(Relaxed);
        let (length, checksum) = (first as u32, (first >> 32) as u32);
        let filler = capacity - place;
        if length == FILLER {
            return if filler <= head - position { Step::Skip(filler) } else { Step::Lost };
        }
        let (payload, need) = (length as usize, size(length as usize));
        if payload > MAX_PAYLOAD || need > filler || need > head - position {
            return Step::Lost;
        }
        let mut bytes = Vec::with_capacity(need as usize - 8);
        for word in &words[1..(need / 8) as usize] {
            bytes.extend_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        bytes.truncate((RECORD - 1) * 8 + payload);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&position.to_le_bytes());
        hasher.update(&bytes);
        if hasher.finalize() != checksum {
            return Step::Skip(need);
        }
        let word = |index: usize| u64::from_le_bytes(bytes[index * 8..][..8].try_into().expect("eight bytes"));
        let mut trace_id = [0; 16];
        trace_id.copy_from_slice(&bytes[24..40]);
        let mut span_id = [0; 8];
        span_id.copy_from_slice(&bytes[40..48]);
        let head = Head {
            level: Level::of(word(2) & 0xff),
            flags: (word(2) >> 8) as u16,
            time_ns: word(1),
            trace_id,
            span_id,
        };
        let sequence = word(0);
        bytes.drain(..(RECORD - 1) * 8);
        Step::Record(Record { head, sequence, end: position + need, payload: bytes }, need)
    }

    /// How many records there were, and how many were refused.
    pub fn counts(&self) -> Counts {
        loop {
            let head = self.head();
            let records = self.header(PENDING_RECORDS).load(Acquire);
            let pending = self.header(PENDING_HEAD).load(Acquire);
            let mut accepted: [u64; LEVELS] = std::array::from_fn(|level| self.header(ACCEPTED + level).load(Acquire));
            if self.head() != head {
                continue;
            }
            let refused = std::array::from_fn(|reason| {
                std::array::from_fn(|level| self.header(REFUSED + reason * LEVELS + level).load(Relaxed))
            });
            // The writer is between the head and the count, or died there.
            if pending & !7 == head && sum(&accepted).saturating_add(1) == records {
                let level = &mut accepted[(pending & 7).min(LEVELS as u64 - 1) as usize];
                *level = level.saturating_add(1);
            }
            return Counts { accepted, refused };
        }
    }
}

impl Batch {
    /// Counts what is missing before this record.
    fn miss(&mut self, sequence: u64, is_behind: bool) {
        let missing = sequence.saturating_sub(self.end.records);
        if is_behind {
            self.overwritten += missing;
        } else {
            self.damaged += missing;
        }
        self.end.records = self.end.records.max(sequence);
    }
}

/// A damaged file may say anything.
fn sum(counts: &[u64]) -> u64 {
    counts.iter().copied().fold(0, u64::saturating_add)
}

enum Step {
    Record(Record, u64),
    Skip(u64),
    Lost,
}

/// What the writer counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records that are or were in the ring, by level.
    pub accepted: [u64; LEVELS],
    /// Records that never were, by reason and level.
    pub refused: [[u64; LEVELS]; REASONS],
}

impl Counts {
    /// Records that are or were in the ring.
    pub fn records(&self) -> u64 {
        sum(&self.accepted)
    }

    /// Records that were refused for a reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        sum(&self.refused[reason as usize])
    }

    /// Records of a level, whatever became of them.
    pub fn lines(&self, level: Level) -> u64 {
        let refused = self.refused.iter().map(|by_level| by_level[level as usize]);
        refused.fold(self.accepted[level as usize], u64::saturating_add)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::cursors::Cursor;
    use crate::layout::{CURSORS, HEADER};
    use crate::writer::Writer;
    use crate::Outcome;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), Just(u64::MAX), Just(u64::from(FILLER)), 0..5000u64, any::<u64>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { ProptestConfig::default().cases.max(500) },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Whatever lies in a ring: no panic, no endless loop, nothing beyond the ring.
        #[test]
        fn a_damaged_ring_harms_nobody(
            damage in prop::collection::vec((prop_oneof![HEAD..=TAIL, CURSORS..CURSORS + 64, HEADER..HEADER + 512], word()), 1..40),
            from in (word(), word()),
        ) {
            let region = Arc::new(Region::private(4096));
            let mut writer = Writer::new(region.clone());
            for number in 0..30u8 {
                let _: Outcome = writer.append(&Head::default(), &[&vec![number; usize::from(number)]]);
            }
            let slot = region.slot(7, &[]).unwrap();
            region.set_cursor(slot, &Cursor::default());
            for (index, value) in damage {
                if index < HEADER {
                    region.header(index).store(value, Relaxed);
                } else {
                    region.area()[index - HEADER].store(value, Relaxed);
                }
            }
            let from = Place { position: from.0 & !7, records: from.1 };
            for place in [Place::default(), from, region.cursor(slot).place] {
                let place = Place { position: place.position & !7, records: place.records };
                let batch = region.read(place, usize::MAX);
                prop_assert!(batch.records.len() <= 4096 / 56);
                prop_assert!(region.recall(place, usize::MAX).records.len() <= 2 * 4096 / 56);
                region.missing_at_end(place);
            }
            let counts = region.counts();
            counts.records();
            let _ = Level::ALL.map(|level| counts.lines(level));
        }
    }
}
