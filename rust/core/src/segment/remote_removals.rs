//! Removals by other processes, for those who never scrape: they would count for ever what nobody sees.
//!
//! Whoever looks for a series compares two numbers first. Where they differ, the logs are searched for
//! removals, at most once a second. Only with the GIL held.

pub use super::removal_epoch::{counted, is_up_to_date};
use super::view::View;
use super::{removal_epoch, writer};
use crate::sync::{lock, AtomicU64, Mutex, Ordering::Relaxed};
use std::sync::OnceLock;
use std::time::Instant;

/// Milliseconds between two looks.
const PAUSE: u64 = 1000;

/// When the next look may be, in milliseconds since the first.
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
