//! How many removals all processes have made, and up to which of them this process has acted.

use crate::sync::{
    AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;

/// What stands in for the word below while nothing is shared: no removal was ever made.
static NONE: AtomicU64 = AtomicU64::new(0);

/// The word that counts all removals, and how many of them this process has acted upon.
static COUNTED: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const NONE).cast_mut());
static ACTED: AtomicU64 = AtomicU64::new(0);

/// Whether there is anything to compare.
static SHARES: AtomicBool = AtomicBool::new(false);

/// Tells where removals are counted, for as long as there is something to look at.
pub(super) fn watch(word: Option<NonNull<AtomicU64>>, acted: u64) {
    ACTED.store(acted, Relaxed);
    SHARES.store(word.is_some(), Relaxed);
    COUNTED.store(word.map_or((&raw const NONE).cast_mut(), NonNull::as_ptr), Release);
}

/// Removals up to this one were acted upon.
pub(super) fn acted(epoch: u64) {
    ACTED.fetch_max(epoch, Relaxed);
}

/// How many removals all processes have made. Who holds cells compares it with what it was when they were looked up.
#[inline(always)]
pub fn counted() -> u64 {
    // SAFETY: the word is a static, or is mapped until `watch` tells of none, which takes the GIL, as this does.
    unsafe { (*COUNTED.load(Acquire)).load(Relaxed) }
}

/// Whether other processes have removed something that this one has not acted upon.
#[inline(always)]
pub(super) fn is_behind() -> bool {
    SHARES.load(Relaxed) && counted() != ACTED.load(Relaxed)
}

/// Whether all removals that are [`counted`] have been acted upon. Not so for a while after a look.
pub fn is_up_to_date() -> bool {
    counted() == ACTED.load(Relaxed)
}
