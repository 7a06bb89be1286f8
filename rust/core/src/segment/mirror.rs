//! What ties this process's families to its segment: each that appears or goes is written down.

use super::remote_removals;
use super::removal_epoch;
use super::share_error::ShareError;
use super::writer::{begin, FAILURE, SERIES, WASTE, WASTED, WRITER};
use crate::family::{self, Audience, Family};
use crate::fork;
use crate::series::SeriesRef;
use crate::slab;
use crate::sync::{lock, Ordering::Relaxed};
use std::path::Path;

/// Writes down what families tell.
struct Mirror;

impl Audience for Mirror {
    fn sought(&self) {
        remote_removals::apply();
    }

    fn family(&self, family: &Family) {
        if let Some(writer) = &mut *lock(&WRITER) {
            writer.family(family);
            family.for_each(|series| writer.series(family, series));
        }
    }

    fn series(&self, family: &Family, series: &SeriesRef) {
        let mut writer = lock(&WRITER);
        let Some(writer) = &mut *writer else { return };
        if family.generation() == 0 {
            return;
        }
        let wasted = WASTED.load(Relaxed);
        let is_due = wasted >= WASTE && wasted * 2 >= writer.log.written();
        if !(is_due && writer.rewrite()) {
            writer.series(family, series);
        }
    }

    fn removed(&self, family: &Family, text: Option<&[u8]>) {
        if let Some(writer) = &mut *lock(&WRITER) {
            writer.bury(family, text);
        }
    }

    fn gone(&self, series: &SeriesRef) {
        // Whoever removes holds the family's lock, and whoever writes waits for that: no lock here.
        WASTED.fetch_add(series.text().len() + SERIES, Relaxed);
    }
}

/// Records all metrics of this process, those made before too, into a file of its own in this directory,
/// made when it is not there; every child that it forks, likewise. Only with the GIL held. A second call
/// for the same directory changes nothing.
///
/// # Errors
/// When the directory is not one that only this user can write, when it has no room, or when the process
/// shares with another one already. Recording goes on in private memory then.
pub fn share(directory: &Path) -> Result<(), ShareError> {
    fork::in_child(forked);
    family::tell(&Mirror);
    let mut writer = lock(&WRITER);
    if let Some(writer) = &*writer {
        return writer.own.check_directory(directory);
    }
    *writer = Some(begin(directory, 0)?);
    Ok(())
}

/// After a fork, in the child: the file is the parent's. This process begins at zero, in one of its own;
/// without room for that, in private memory.
fn forked() {
    let mut writer = lock(&WRITER);
    let Some(parents) = writer.take() else { return };
    let (directory, families) = (parents.own.directory().to_owned(), parents.families);
    removal_epoch::watch(None, 0);
    // The log's blocks are zeroed with the rest; that they are given back makes room for the new ones.
    drop(parents);
    slab::leave_file();
    for family in family::all() {
        family.begin_again();
    }
    match begin(&directory, families) {
        Ok(own) => *writer = Some(own),
        Err(error) => *lock(&FAILURE) = Some(error),
    }
}
