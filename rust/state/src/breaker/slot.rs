//! Where everything of one breaker lies, in words of its table.

use super::config::MAX_NAME;
use super::window::{Window, COUNTS, SLICES};
use super::word::Word;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Words of a slot.
pub const WORDS: usize = 96;
/// Trial leases of a slot.
pub const LEASES: usize = super::config::MAX_TRIALS as usize;

const KEY: usize = 0;
const STATE: usize = 1;
const CONSECUTIVE: usize = 2;
const FAILED_TRIALS: usize = 3;
const GOOD_TRIALS: usize = 4;
const LOOKED: usize = 5;
const GROUP: usize = 6;
const REJECTED: usize = 7;
const CHANGES: usize = 8; // one for each state
const KEPT_CLOSED: usize = 11;
const LENGTH: usize = 12;
const LEASE: usize = 16;
const WINDOW: usize = LEASE + LEASES;
const NAME: usize = WINDOW + SLICES * COUNTS;
const NAME_WORDS: usize = MAX_NAME.div_ceil(8);
const _: () = assert!(NAME + NAME_WORDS <= WORDS);

/// One breaker's words.
#[derive(Clone, Copy)]
pub struct Slot<'a>(pub &'a [AtomicU64]);

impl<'a> Slot<'a> {
    /// The hash of its name; 0: nobody's.
    pub fn key(self) -> &'a AtomicU64 {
        &self.0[KEY]
    }

    /// The word that is its state.
    #[inline]
    pub fn word(self) -> &'a AtomicU64 {
        &self.0[STATE]
    }

    /// The state now.
    #[inline]
    pub fn state(self) -> Word {
        Word(self.word().load(Acquire))
    }

    /// Failures in a row.
    #[inline]
    pub fn consecutive(self) -> &'a AtomicU64 {
        &self.0[CONSECUTIVE]
    }

    /// Trials in a row that failed.
    pub fn failed_trials(self) -> &'a AtomicU64 {
        &self.0[FAILED_TRIALS]
    }

    /// Trials that succeeded in the epoch of the upper half.
    pub fn good_trials(self) -> &'a AtomicU64 {
        &self.0[GOOD_TRIALS]
    }

    /// The millisecond of the latest look for dead owners of leases.
    pub fn looked(self) -> &'a AtomicU64 {
        &self.0[LOOKED]
    }

    /// The hash of its group; 0: none.
    pub fn group(self) -> &'a AtomicU64 {
        &self.0[GROUP]
    }

    /// Calls that were not let through.
    pub fn rejected(self) -> &'a AtomicU64 {
        &self.0[REJECTED]
    }

    /// Changes to each state, in the order of `State::ALL`.
    pub fn changes(self) -> &'a [AtomicU64] {
        &self.0[CHANGES..CHANGES + 3]
    }

    /// How often it should have opened, and stayed closed as the last of its group.
    pub fn kept_closed(self) -> &'a AtomicU64 {
        &self.0[KEPT_CLOSED]
    }

    /// The leases of trial calls.
    pub fn leases(self) -> &'a [AtomicU64] {
        &self.0[LEASE..LEASE + LEASES]
    }

    /// What became of the latest calls.
    #[inline]
    pub fn window(self) -> Window<'a> {
        Window(&self.0[WINDOW..WINDOW + SLICES * COUNTS])
    }

    /// Its name; nothing before it has been written down.
    pub fn name(self) -> Option<String> {
        let length = self.0[LENGTH].load(Acquire) as usize;
        if length == 0 || length > MAX_NAME {
            return None;
        }
        let words = &self.0[NAME..NAME + NAME_WORDS];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        bytes.truncate(length);
        String::from_utf8(bytes).ok()
    }

    /// Writes its name down. Several may do so at once: they write the same.
    pub fn set_name(self, name: &str) {
        for (word, bytes) in self.0[NAME..NAME + NAME_WORDS].iter().zip(name.as_bytes().chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        self.0[LENGTH].store(name.len() as u64, Release);
    }
}
