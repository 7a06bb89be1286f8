//! How an extent of a log is filled beside its readers: a word says how much of it they may read, and where
//! the next one is.

use super::format::extent;
use crate::cell::store_bytes;
use crate::sync::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

/// The first word of an extent: the next one's grain, and how many bytes are used.
fn first_word(next: u32, used: usize) -> u64 {
    u64::from(next) | (used as u64) << 32
}

/// Appends a record, whose length is a multiple of 8, behind those that are there; how many bytes are used.
pub(super) fn append(extent: &[AtomicU64], used: usize, record: &[u8]) -> usize {
    store_bytes(&extent[(extent::RECORDS + used) / 8..], record);
    // Whoever sees that it is there sees all of it.
    extent[0].store(first_word(0, used + record.len()), Release);
    used + record.len()
}

/// Tells where the next extent is; this one grows no more.
pub(super) fn link(extent: &AtomicU64, used: usize, next: u32) {
    extent.store(first_word(next, used), Release);
}

/// The next extent's grain, 0 for none, and how many bytes of this one are used. One word, so that they belong
/// together: an extent that has a next one grows no more.
pub(super) fn look(extent: &AtomicU64) -> (u32, usize) {
    let word = extent.load(Acquire);
    (word as u32, (word >> 32) as usize)
}
