//! The errors among the records that a receiver was passed over for, kept for it as the ring keeps a reserve for them.
//!
//! They lie in the shipper's memory and count as lost (`full`) until they have arrived: should the shipper die before,
//! nothing has to be corrected.

use ferrometer_ring::layout::SINKS;
use ferrometer_ring::reader::Record;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The errors of one ring, by the slot of the receiver that was passed over for them.
#[derive(Default)]
pub struct Reserve([Mutex<Kept>; SINKS]);

#[derive(Default)]
struct Kept {
    /// Overwritten, or about to be. Some of them may be in a batch that is under way.
    passed: VecDeque<Record>,
    /// The receiver has found them missing: they are to be sent.
    due: VecDeque<Record>,
    bytes: usize,
    /// All records before this number have been looked at.
    next: u64,
}

impl Kept {
    fn keep(&mut self, record: Record, most: usize) {
        self.bytes += record.payload.len();
        self.passed.push_back(record);
        while self.bytes > most {
            let Some(oldest) = self.due.pop_front().or_else(|| self.passed.pop_front()) else { return };
            self.bytes -= oldest.payload.len();
        }
    }
}

impl Reserve {
    fn with<T>(&self, slot: usize, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.0[slot].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a record for a receiver that has settled all before `settled`, and at most so many bytes for it: the oldest
    /// give way.
    pub fn keep(&self, slot: usize, settled: u64, record: &Record, most: usize) {
        self.with(slot, |kept| {
            if record.sequence >= kept.next.max(settled) {
                kept.next = record.sequence + 1;
                kept.keep(record.clone(), most);
            }
        });
    }

    /// Tells that a receiver, which has settled all records before the gap, found those in the gap missing.
    pub fn found_missing(&self, slot: usize, gap: Range<u64>) {
        self.with(slot, |kept| {
            while let Some(record) = kept.passed.front().filter(|record| record.sequence < gap.end) {
                let is_missing = record.sequence >= gap.start;
                let Some(record) = kept.passed.pop_front() else { return };
                if is_missing {
                    kept.due.push_back(record);
                } else {
                    kept.bytes -= record.payload.len();
                }
            }
        });
    }

    /// What is to be sent to a receiver before everything else, up to about so many bytes.
    pub fn due(&self, slot: usize, bytes: usize) -> Vec<Record> {
        let mut taken = 0;
        let fits = |record: &&Record| {
            let is_first = taken == 0;
            taken += record.payload.len();
            is_first || taken <= bytes
        };
        self.with(slot, |kept| kept.due.iter().take_while(fits).cloned().collect())
    }

    /// The record has been dealt with.
    pub fn settle(&self, slot: usize, sequence: u64) {
        self.with(slot, |kept| {
            if kept.due.front().is_some_and(|record| record.sequence == sequence) {
                if let Some(record) = kept.due.pop_front() {
                    kept.bytes -= record.payload.len();
                }
            }
        });
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self, slot: usize) -> bool {
        self.with(slot, |kept| kept.due.is_empty())
    }

    /// Gives up what is to be sent.
    pub fn forget(&self, slot: usize) {
        self.with(slot, |kept| *kept = Kept { next: kept.next, ..Kept::default() });
    }
}
