//! How far each receiver has come, and what became of the records before that. Only the shipper writes here, one
//! thread for each receiver; a kill at any instruction leaves either the old state or the new one.

use crate::layout::{CURSOR, CURSORS, SINKS};
use crate::reader::Place;
use crate::region::Region;
use crate::sync::Ordering::{Acquire, Relaxed, Release};

/// The state of one receiver in one ring. Of each count the records that it stands for lie before `place`, so
/// `place.records` is the sum of all but `repeated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Everything before it is settled.
    pub place: Place,
    /// Records that the receiver took.
    pub shipped: u64,
    /// Records that it refused for ever.
    pub rejected: u64,
    /// Records that were overwritten before it came by.
    pub full: u64,
    /// Records that were damaged.
    pub damaged: u64,
    /// Records that waited too long.
    pub expired: u64,
    /// Records that are not for this receiver.
    pub skipped: u64,
    /// Records that were sent again although they may have arrived the first time; they say so.
    pub repeated: u64,
}

/// Words of a receiver: its name's hash, which of the two states counts, how far the batch under way reaches; then
/// the two states.
const NAME: usize = 0;
const TURN: usize = 1;
const INTENT: usize = 2;
const STATES: [usize; 2] = [4, 16];
/// In place of a name: the slot is being given away.
const CLAIMED: u64 = u64::MAX;

impl Region {
    /// The slot of a receiver. One that has none gets a free one, or that of a receiver that is not among `receivers`
    /// any more, and begins with the oldest record that is still there; nothing when all slots are in use.
    pub fn slot(&self, name: u64, receivers: &[u64]) -> Option<usize> {
        let slot = |index: usize| self.header(CURSORS + index * CURSOR + NAME);
        let find = |wanted: &dyn Fn(u64) -> bool| (0..SINKS).find(|&index| wanted(slot(index).load(Acquire)));
        if let Some(known) = find(&|other| other == name) {
            return Some(known);
        }
        // Each receiver has a thread of its own: two may want the same one.
        let free = loop {
            let is_unused = |other: u64| other != CLAIMED && !receivers.contains(&other);
            let free = find(&|other| other == 0).or_else(|| find(&is_unused))?;
            let before = slot(free).load(Acquire);
            if is_unused(before) && slot(free).compare_exchange(before, CLAIMED, Acquire, Relaxed).is_ok() {
                break free;
            }
        };
        let place = self.oldest();
        // What was gone before it came was never meant for it.
        self.set_cursor(free, &Cursor { place, skipped: place.records, ..Cursor::default() });
        self.set_intent(free, 0);
        slot(free).store(name, Release);
        Some(free)
    }

    /// Which receivers have a slot: the hashes of their names.
    pub fn slots(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        (0..SINKS).map(|index| (index, self.header(CURSORS + index * CURSOR + NAME).load(Acquire))).filter(|s| s.1 != 0)
    }

    /// The state of a receiver.
    pub fn cursor(&self, slot: usize) -> Cursor {
        let base = CURSORS + slot * CURSOR;
        loop {
            let turn = self.header(base + TURN).load(Acquire);
            let state = base + STATES[(turn & 1) as usize];
            let word = |index: usize| self.header(state + index).load(Acquire);
            let cursor = Cursor {
                place: Place { position: word(0), records: word(1) },
                shipped: word(2),
                rejected: word(3),
                full: word(4),
                damaged: word(5),
                expired: word(6),
                skipped: word(7),
                repeated: word(8),
            };
            if self.header(base + TURN).load(Acquire) == turn {
                return cursor;
            }
        }
    }

    /// Settles the state of a receiver.
    pub fn set_cursor(&self, slot: usize, cursor: &Cursor) {
        let base = CURSORS + slot * CURSOR;
        let turn = self.header(base + TURN).load(Relaxed) + 1;
        let state = base + STATES[(turn & 1) as usize];
        let words = [
            cursor.place.position,
            cursor.place.records,
            cursor.shipped,
            cursor.rejected,
            cursor.full,
            cursor.damaged,
            cursor.expired,
            cursor.skipped,
            cursor.repeated,
        ];
        for (index, value) in words.into_iter().enumerate() {
            // Release: whoever sees a word of this turn sees that the turn before was over.
            self.header(state + index).store(value, Release);
        }
        self.header(base + TURN).store(turn, Release);
    }

    /// How many records have been handed to the receiver at least in part: what lies before, and is not settled, may
    /// have arrived.
    pub fn intent(&self, slot: usize) -> u64 {
        self.header(CURSORS + slot * CURSOR + INTENT).load(Acquire)
    }

    /// Tells that all records before this number may arrive from now on.
    pub fn set_intent(&self, slot: usize, records: u64) {
        self.header(CURSORS + slot * CURSOR + INTENT).store(records, Release);
    }
}
