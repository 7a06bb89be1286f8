//! One running job: a word that says whose it is, the hash of its id, and when it started.
//!
//! The word goes from free to claimed, to running, and back to free. Every step is one compare-and-swap, so exactly one
//! of many closes an entry, and a process that dies between two steps leaves its name in the word.

use crate::process::Owner;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Words of an entry.
pub const WORDS: usize = 4;

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const RUNNING: u64 = 2;

/// An entry's word: the owner above, then the type of job, how often the entry was used, and its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    fn new(owner: u32, kind: u8, uses: u16, state: u64) -> Self {
        Word(u64::from(owner) << 32 | u64::from(kind) << 24 | u64::from(uses) << 8 | state)
    }

    fn uses(self) -> u16 {
        (self.0 >> 8) as u16
    }

    fn state(self) -> u64 {
        self.0 & 0xff
    }

    /// The process that runs the job; nothing for a free entry.
    pub fn owner(self) -> Option<Owner> {
        if self.state() == FREE {
            return None;
        }
        Owner::of_bits((self.0 >> 32) as u32)
    }

    /// The type of the job, by its number in the table.
    pub fn kind(self) -> usize {
        (self.0 >> 24) as usize & 0xff
    }

    /// Whether the job is running; a claimed entry is not yet written.
    pub fn is_running(self) -> bool {
        self.state() == RUNNING
    }
}

/// The words of one entry.
#[derive(Clone, Copy)]
pub struct Entry<'a>(pub &'a [AtomicU64]);

impl Entry<'_> {
    /// Its word now.
    #[inline]
    pub fn word(self) -> Word {
        Word(self.0[0].load(Acquire))
    }

    /// The hash of the job's id, and the nanosecond of its start. Of a running entry, and true only while its word
    /// stays the same.
    #[inline]
    pub fn key_and_start(self) -> (u64, u64) {
        (self.0[1].load(Acquire), self.0[2].load(Acquire))
    }

    /// Takes a free entry for a job that starts now; nothing when it is not free.
    #[inline]
    pub fn open(self, owner: Owner, kind: u8, key: u64, start: u64) -> Option<Word> {
        let before = self.word();
        if before.state() != FREE {
            return None;
        }
        let uses = before.uses().wrapping_add(1);
        let claimed = Word::new(owner.bits(), kind, uses, CLAIMED);
        self.0[0].compare_exchange(before.0, claimed.0, AcqRel, Relaxed).ok()?;
        self.0[1].store(key, Relaxed);
        self.0[2].store(start, Relaxed);
        let running = Word::new(owner.bits(), kind, uses, RUNNING);
        self.0[0].store(running.0, Release);
        Some(running)
    }

    /// Frees the entry, if its word is still that one: true for one caller only.
    #[inline]
    pub fn close(self, word: Word) -> bool {
        let free = Word::new(0, 0, word.uses(), FREE);
        self.0[0].compare_exchange(word.0, free.0, AcqRel, Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_opened_and_closed_by_one_each() {
        let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let entry = Entry(&words);
        let (one, other) = (Owner::of_bits(7).unwrap(), Owner::of_bits(u32::MAX).unwrap());
        let word = entry.open(one, 255, 11, 22).unwrap();
        assert_eq!((word.owner(), word.kind(), word.is_running()), (Some(one), 255, true));
        assert_eq!((entry.word(), entry.key_and_start()), (word, (11, 22)));
        assert!(entry.open(other, 1, 1, 1).is_none());
        assert!(entry.close(word) && !entry.close(word));
        assert_eq!(entry.word().owner(), None);
        let again = entry.open(one, 255, 11, 22).unwrap();
        assert!(again != word && !entry.close(word) && entry.close(again));
        let last = entry.open(other, 0, 0, 0).unwrap();
        assert_eq!((last.owner(), last.kind()), (Some(other), 0));
    }
}
