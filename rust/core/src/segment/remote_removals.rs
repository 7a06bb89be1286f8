//! Removals by other processes, for those who never scrape: they would count for ever what nobody sees.
//!
//! Whoever looks for a series compares two numbers first. Where they differ, the logs are searched for
//! removals, which takes at most a twentieth of the time. Only with the GIL held.

pub use super::removal_epoch::{counted, is_up_to_date};
use super::view::View;
use super::{removal_epoch, writer};
use crate::sync::{lock, AtomicU64, Mutex, Ordering::Relaxed};
use std::sync::OnceLock;
use std::time::Instant;

/// So many times as long as a look took, nobody looks again: others may remove something all the time.
const SHARE: u64 = 20;

/// Microseconds between two looks, at least and at most.
const PAUSE: (u64, u64) = (1000, 1_000_000);

/// When the next look may be, in microseconds since the first.
static NEXT: AtomicU64 = AtomicU64::new(0);

static VIEW: Mutex<Option<View>> = Mutex::new(None);

/// Acts upon what other processes removed, if they did.
#[inline(always)]
pub fn apply() {
    if removal_epoch::is_behind() {
        look();
    }
}

#[cold]
#[inline(never)]
fn look() {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let now = || start.elapsed().as_micros() as u64;
    let begun = now();
    if begun < NEXT.load(Relaxed) {
        return;
    }
    act();
    let ended = now();
    NEXT.store(ended + ((ended - begun) * SHARE).clamp(PAUSE.0, PAUSE.1), Relaxed);
}

fn act() {
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
