//! Removals by other processes, for those who never scrape: they would count for ever what nobody sees.
//!
//! Whoever looks for a series compares two numbers first. Where they differ, the logs are searched for
//! removals, at most once a second. Only with the GIL held.

use super::view::View;
use super::writer;
use crate::sync::{
    lock, AtomicPtr, AtomicU64, Mutex,
    Ordering::{Acquire, Relaxed, Release},
};
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;
use std::sync::OnceLock;
use std::time::Instant;

/// Milliseconds between two looks.
const PAUSE: u64 = 1000;

/// What stands in for the word below while nothing is shared: no removal was ever made.
static NONE: AtomicU64 = AtomicU64::new(0);

/// The word that counts all removals, and how many of them this process has acted upon.
static COUNTED: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const NONE).cast_mut());
static ACTED: AtomicU64 = AtomicU64::new(0);

/// Whether there is anything to compare.
static SHARES: AtomicBool = AtomicBool::new(false);

/// When the next look may be, in milliseconds since the first.
static NEXT: AtomicU64 = AtomicU64::new(0);

static VIEW: Mutex<Option<View>> = Mutex::new(None);

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

/// Acts upon what other processes removed, if they did.
#[inline(always)]
pub fn heed() {
    if SHARES.load(Relaxed) && counted() != ACTED.load(Relaxed) {
        look();
    }
}

/// Whether all removals that are [`counted`] have been acted upon. Not so for a second after a look.
pub fn is_up_to_date() -> bool {
    counted() == ACTED.load(Relaxed)
}

#[cold]
#[inline(never)]
fn look() {
    static START: OnceLock<Instant> = OnceLock::new();
    let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64;
    if now < NEXT.load(Relaxed) {
        return;
    }
    NEXT.store(now + PAUSE, Relaxed);
    let Some(directory) = writer::shared_directory() else { return };
    let mut view = lock(&VIEW);
    if view.as_ref().is_none_or(|view| view.directory() != directory) {
        *view = View::open_for_removals(&directory).ok();
    }
    if let Some(view) = &mut *view {
        view.refresh();
        writer::catch_up(view);
    }
}
