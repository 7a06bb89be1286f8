//! Series of this process that found no place in its file: the file system is full. Other processes cannot see them,
//! but this one still holds them, and its own scrapes show them.

use crate::series::SeriesRef;
use crate::sync::{lock, Mutex, Ordering::Relaxed};
use std::sync::atomic::AtomicBool;

/// By the numbers of their families.
#[derive(Default)]
pub(super) struct Unwritten {
    series: Vec<(u32, SeriesRef)>,
    /// Families that no record tells of, so that those of their series mean nothing.
    families: Vec<u32>,
}

static UNWRITTEN: Mutex<Unwritten> = Mutex::new(Unwritten { series: Vec::new(), families: Vec::new() });

/// Whether there are any: nearly never.
static ANY: AtomicBool = AtomicBool::new(false);

/// Takes all out, because they are about to be written anew.
pub(super) fn take() -> Unwritten {
    ANY.store(false, Relaxed);
    std::mem::take(&mut *lock(&UNWRITTEN))
}

/// Puts them back, because that did not succeed.
pub(super) fn put_back(before: Unwritten) {
    ANY.store(!before.series.is_empty() || !before.families.is_empty(), Relaxed);
    *lock(&UNWRITTEN) = before;
}

/// Notes a family that no record tells of.
pub(super) fn note_family(id: u32) {
    lock(&UNWRITTEN).families.push(id);
    ANY.store(true, Relaxed);
}

/// Notes a series; or not, when its record was written and its family's, too.
pub(super) fn note_series(id: u32, series: &SeriesRef, written: bool) {
    if written && !ANY.load(Relaxed) {
        return;
    }
    let mut all = lock(&UNWRITTEN);
    if written && !all.families.contains(&id) {
        return;
    }
    if all.series.len().is_power_of_two() {
        all.series.retain(|(_, known)| !known.is_removed());
    }
    all.series.push((id, series.clone()));
    ANY.store(true, Relaxed);
}

/// Those of a family.
pub(super) fn of(id: u32) -> Vec<SeriesRef> {
    if !ANY.load(Relaxed) {
        return Vec::new();
    }
    let all = lock(&UNWRITTEN);
    let own = all.series.iter().filter(|(of, series)| *of == id && !series.is_removed());
    own.map(|(_, series)| series.clone()).collect()
}
