//! A receiver that is away must not hold up the others: it is passed over when it keeps back too much of a ring. The
//! errors among the records that it is passed over for are kept for it, as the ring keeps a reserve for them.
//!
//! They lie in the shipper's memory and count as lost (`full`) until they have arrived: should the shipper die before,
//! nothing has to be corrected.

use crate::rings::Known;
use ferrometer_ring::layout::SINKS;
use ferrometer_ring::reader::{Place, Record};
use ferrometer_ring::Level;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Mutex, PoisonError};

/// Of the ring's bytes, what is kept for one receiver at most: one part in so many. The oldest give way.
const PART: usize = 8;
/// Bytes of records that are looked at in one go.
const STEP: usize = 64 * 1024;

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

/// Allows the writer to overwrite what all receivers have. One that holds back too much is passed over, unless all do.
pub fn release(known: &Known, receivers: &[u64]) {
    let region = &known.region;
    let places: Vec<(usize, Place)> = receivers
        .iter()
        .filter_map(|&name| region.slots().find(|slot| slot.1 == name))
        .map(|(slot, _)| (slot, region.cursor(slot).place))
        .collect();
    if places.len() < receivers.len() {
        // One has not come by yet.
        return;
    }
    let Some(slowest) = places.iter().map(|place| place.1).min_by_key(|place| place.position) else { return };
    let fastest = places.iter().map(|place| place.1.position).max().unwrap_or_default();
    let (head, capacity) = (region.head(), region.capacity());
    // What it was passed over for it does not hold back any more.
    let mut position = slowest.position.max(region.tail());
    // Nobody writes into the ring of a dead process: there is no hurry.
    if head.saturating_sub(position) > capacity / 8 * 5 && !known.is_dead.load(Acquire) {
        position = pass_over(known, &places, slowest, (head - capacity / 2).min(fastest)).min(fastest).max(position);
    }
    region.release(position);
}

/// Goes on to the first end of a record at a position or behind it, and keeps the errors on the way for the receivers
/// that have not had them.
fn pass_over(known: &Known, places: &[(usize, Place)], from: Place, to: u64) -> u64 {
    let most = usize::try_from(known.region.capacity()).unwrap_or(usize::MAX) / PART;
    let mut place = from;
    while place.position < to {
        let batch = known.region.read(place, STEP);
        for record in batch.records {
            if place.position >= to {
                return place.position;
            }
            place = Place { position: record.end, records: record.sequence + 1 };
            if record.head.level >= Level::Error {
                for (slot, behind) in places {
                    known.reserve.with(*slot, |kept| {
                        if record.sequence >= kept.next.max(behind.records) {
                            kept.next = record.sequence + 1;
                            kept.keep(record.clone(), most);
                        }
                    });
                }
            }
        }
        if batch.end.position <= place.position {
            break;
        }
        // Behind what was skipped there are no records yet, or none that can be read.
        place.position = batch.end.position;
    }
    place.position
}
