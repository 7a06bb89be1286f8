//! This process's own segment: a mirror of its families and series for other processes to read.
//!
//! The cells need no mirror: the slab's chunks *are* the file. What is written here is where they lie and
//! what they are called, when a family or series appears; nothing per event.

use super::chain::Chain;
use super::control::Control;
use super::own_file::OwnFile;
use super::record::{Detail, FamilyRecord, Record, SeriesRecord, Tombstone};
use super::removal_epoch;
use super::share_error::ShareError;
use super::unwritten;
use super::view::View;
use crate::definition::Kind;
use crate::family::{self, Family};
use crate::head;
use crate::series::SeriesRef;
use crate::slab;
use crate::sync::{lock, AtomicUsize, Mutex, Ordering::Relaxed};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) static WRITER: Mutex<Option<Writer>> = Mutex::new(None);

/// Bytes of the log, about, that tell of what is gone.
pub(super) static WASTED: AtomicUsize = AtomicUsize::new(0);

/// Why the child of a fork records into private memory, when it does.
pub(super) static FAILURE: Mutex<Option<ShareError>> = Mutex::new(None);

/// The log is written anew when so much of it is about what is gone, and at least half.
pub(super) const WASTE: usize = 64 * 1024;

/// What the record of a series takes besides its text, about.
pub(super) const SERIES: usize = 40;

pub(super) struct Writer {
    pub(super) own: OwnFile,
    control: Control,
    pub(super) log: Chain,
    pub(super) families: u32,
    /// Removals of this process that not everyone has acted upon yet.
    tombstones: Vec<Tombstone>,
}

impl Writer {
    /// Whether there was room for the record.
    fn append(&mut self, record: &Record) -> bool {
        let written = self.log.append(record, &self.own);
        if !written {
            self.own.count_fault();
        }
        written
    }

    /// Tells of a family, by a new number.
    pub(super) fn family(&mut self, family: &Family) {
        self.families += 1;
        family.id.store(self.families, Relaxed);
        self.family_again(family);
    }

    /// Tells of a family that has a number already.
    fn family_again(&mut self, family: &Family) {
        if !self.append(&Record::Family(record_of(family))) {
            unwritten::note_family(family.id.load(Relaxed));
        }
    }

    /// Tells of a series that is made now.
    pub(super) fn series(&mut self, family: &Family, series: &SeriesRef) {
        self.series_since(family, series, self.control.epoch());
    }

    /// Tells of a series that was made at this removal epoch.
    fn series_since(&mut self, family: &Family, series: &SeriesRef, stamp: u64) {
        series.show();
        family.exemplars().show(series);
        let (block, buckets) = series.places();
        let histogram = matches!(family.definition().kind, Kind::Histogram(_) | Kind::Summary(..));
        let id = family.id.load(Relaxed);
        if block == 0 || (histogram && buckets == 0) {
            unwritten::note_series(id, series, false);
            return self.own.count_fault();
        }
        let written = self.append(&Record::Series(SeriesRecord {
            family: id,
            generation: series.head().generation(),
            block,
            buckets,
            stamp,
            text: series.text().to_vec(),
        }));
        unwritten::note_series(id, series, written);
    }

    /// Removes series in all processes that have them.
    pub(super) fn bury(&mut self, family: &Family, text: Option<&[u8]>) {
        self.own.set_removing(self.control.epoch() + 1);
        let tombstone = Tombstone {
            stamp: self.control.next_epoch(),
            scope: family.scope().into(),
            name: family.definition().name.clone(),
            text: text.map(<[u8]>::to_vec),
        };
        let before = self.tombstones.len();
        self.tombstones.retain(|older| !tombstone.covers(older));
        WASTED.fetch_add((before - self.tombstones.len()) * SERIES, Relaxed);
        self.append(&Record::Tombstone(tombstone.clone()));
        self.own.set_removing(0);
        self.tombstones.push(tombstone);
    }

    /// The series of this process that somebody has removed, and that are still here.
    fn doomed(&self, view: &View) -> Vec<(Arc<Family>, SeriesRecord)> {
        let families = family::all();
        let by_id: HashMap<u32, &Arc<Family>> =
            families.iter().map(|family| (family.id.load(Relaxed), family)).collect();
        let mut doomed = Vec::new();
        self.log.for_each(|record| {
            let Record::Series(series) = record else { return };
            let Some(&family) = by_id.get(&series.family) else { return };
            let removals = view.removals(family.scope(), &family.definition().name);
            if removals.hides(&series.text, series.stamp) && family.generation_of(&series.text) == series.generation {
                doomed.push((family.clone(), series));
            }
        });
        doomed
    }

    /// Begins the log anew, without what is gone; `false` when the file has no room for that.
    pub(super) fn rewrite(&mut self) -> bool {
        WASTED.store(0, Relaxed);
        let mut stamps = HashMap::new();
        self.log.for_each(|record| {
            if let Record::Series(series) = record {
                stamps.insert(series.generation, series.stamp);
            }
        });
        let fresh = self.log.anew();
        let old = std::mem::replace(&mut self.log, fresh);
        let before = unwritten::take();
        // As old as they were: what others removed meanwhile stays removed.
        self.everything(&stamps);
        for tombstone in self.tombstones.clone() {
            self.append(&Record::Tombstone(tombstone));
        }
        if self.log.is_cut() {
            // The file is full, and the old one has everything.
            self.log = old;
            unwritten::put_back(before);
            return false;
        }
        // Until here the old one was in use.
        self.log.show(&self.own);
        drop(old);
        true
    }

    /// All there is. Only families that are listed; and series made at these removal epochs, by generation.
    fn everything(&mut self, stamps: &HashMap<u32, u64>) {
        for family in family::all() {
            if family.generation() != 0 {
                if family.id.load(Relaxed) == 0 {
                    self.family(&family);
                } else {
                    self.family_again(&family);
                }
                family.for_each(|series| {
                    let known = stamps.get(&series.head().generation()).copied();
                    self.series_since(&family, series, known.unwrap_or_else(|| self.control.epoch()));
                });
            }
        }
    }
}

fn record_of(family: &Family) -> FamilyRecord {
    let definition = family.definition().clone();
    FamilyRecord {
        id: family.id.load(Relaxed),
        block: family.place(),
        generation: family.generation(),
        max_series: definition.max_series.min(u32::MAX as usize) as u32,
        ordinal: family.ordinal(),
        scope: family.scope().into(),
        name: definition.name,
        help: definition.help,
        unit: definition.unit,
        labels: definition.labels,
        detail: match definition.kind {
            Kind::Counter => Detail::Counter,
            Kind::Gauge(mode) => Detail::Gauge(mode),
            Kind::Histogram(layout) => Detail::Histogram(layout.bounds().to_vec()),
            Kind::Summary(_, quantiles) => Detail::Summary(quantiles.to_vec()),
            Kind::Info => Detail::Info,
            Kind::StateSet(states) => Detail::StateSet(states.to_vec()),
        },
    }
}

/// The writer of a new file; so many numbers of families are given out already.
pub(super) fn begin(directory: &Path, families: u32) -> Result<Writer, ShareError> {
    let own = OwnFile::create(directory)?;
    let control = match Control::open(own.directory()) {
        Ok(control) => control,
        Err(error) => return Err(own.refuse(&error)),
    };
    let epoch = control.epoch();
    own.set_acted(epoch);
    slab::move_into(own.file()?, own.path(), super::format::CHUNKS as u64).map_err(|error| own.refuse(&error))?;
    drop(unwritten::take());
    let mut writer = Writer { own, control, log: Chain::default(), families, tombstones: Vec::new() };
    writer.everything(&HashMap::new());
    if let Err(error) = writer.own.publish() {
        // Nobody will read the file, but it is as good a memory as any; only a fork must not share it.
        slab::come_back();
        return Err(error);
    }
    removal_epoch::watch(Some(writer.control.counted()), epoch);
    writer.own.note();
    Ok(writer)
}

/// This process ends in good order. Its totals stay where they are, although from now on everything that
/// records them is given back.
pub fn leave() {
    head::leave();
}

/// The directory that this process shares with others.
pub fn shared_directory() -> Option<PathBuf> {
    lock(&WRITER).as_ref().map(|writer| writer.own.directory().to_owned())
}

/// Acts upon what other processes removed since this was last done, and forgets own removals that everyone
/// has acted upon.
pub(crate) fn catch_up(view: &mut View) {
    let mut writer = lock(&WRITER);
    let Some(writer) = &mut *writer else { return };
    let epoch = view.known();
    if view.has_news() {
        for (family, series) in writer.doomed(view) {
            family.remove_here(&series.text, Some(series.generation));
        }
    }
    writer.own.set_acted(epoch);
    removal_epoch::acted(epoch);
    let settled = view.settled();
    let before = writer.tombstones.len();
    writer.tombstones.retain(|tombstone| tombstone.stamp > settled);
    WASTED.fetch_add((before - writer.tombstones.len()) * SERIES, Relaxed);
}

/// Why this process, the child of one that shares, does not; once.
pub fn take_failure() -> Option<ShareError> {
    lock(&FAILURE).take()
}
