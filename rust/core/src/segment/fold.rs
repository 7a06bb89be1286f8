//! Dead processes' totals, put into one file, so that what a scrape costs and what the directory holds do
//! not grow with every process that ever was.
//!
//! The one moment that counts is the rename of the new graveyard: before it the old one and the segments of
//! the dead are the truth, after it the new one, which names those whose totals it has. Killed anywhere, the
//! next one to look finds either.

use super::format::{hex, Content, Header, FOLD_LOCK, GRAVEYARD, SUFFIX, TEMPORARY};
use super::image::{Image, GENERATION};
use super::lock;
use super::loss_counters::LossCounters;
use super::merged::{MergedFamily, MergedSeries};
use super::record::{Detail, FamilyRecord, Record, SeriesRecord};
use super::view::View;
use crate::clock::now;
use crate::reading::{Reading, Series};
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// How many folded segments the graveyard goes on naming, for those who still have an older list of files.
const NAMED: usize = 256;

/// How many dead processes' own series of a gauge are kept.
const KEPT: usize = 32;

/// How old a file under construction is before its maker must have died, in seconds.
const ABANDONED: f64 = 60.0;

/// What folding came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// There was nothing to do.
    Nothing,
    /// Somebody else is at it.
    Busy,
    /// The totals of so many dead processes are in the graveyard now.
    Done(usize),
}

/// The moments between which a fold can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It holds the lock.
    Locked,
    /// The new graveyard is written, half of it, under another name.
    Half,
    /// It is written wholly.
    Written,
    /// It has its name.
    Renamed,
    /// A dead process's segment is gone.
    Unlinked,
}

/// Folds the segments of dead processes into the graveyard of a directory.
///
/// # Errors
/// When the directory cannot be read or written, or has no room; then everything is as it was.
pub fn fold(directory: &Path) -> io::Result<Folded> {
    fold_by_steps(directory, &mut |_| true)
}

impl View {
    /// Folds, if that is due, so that the next look costs less. A directory that cannot be written, or that
    /// somebody else is at, is for another time.
    pub fn fold(&mut self) {
        if self.is_fold_due() && matches!(fold(self.directory()), Ok(Folded::Done(_))) {
            self.refresh();
        }
    }
}

/// [`fold`], asking after each step whether to go on: what a harness kills it with.
///
/// # Errors
/// As `fold`; `Interrupted` when told not to go on.
pub fn fold_by_steps(directory: &Path, go_on: &mut dyn FnMut(Step) -> bool) -> io::Result<Folded> {
    let mut step = |step| if go_on(step) { Ok(()) } else { Err(io::Error::from(io::ErrorKind::Interrupted)) };
    let mut view = View::open_for_fold(directory)?;
    let Some(_lock) = take_lock(directory)? else { return Ok(Folded::Busy) };
    step(Step::Locked)?;
    let acted = view.look_again();
    remove_abandoned(directory);
    if view.is_graveyard_unknown() {
        return Err(io::Error::other("the graveyard cannot be read now, and is not to be overwritten"));
    }
    // What a fold before this one did not get round to; the new graveyard may not name them any longer.
    unlink(directory, view.folded(), &mut step)?;
    let dead = view.index().members.dead();
    if dead.is_empty() && !view.is_fold_due() {
        return Ok(Folded::Nothing);
    }
    let fold = Fold::new(&view, dead, acted);
    let bytes = fold.image().ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    write(directory, &bytes, &mut step)?;
    let dead: Vec<[u8; 16]> = fold.dead.iter().map(|&(_, uuid)| uuid).collect();
    unlink(directory, &dead, &mut step)?;
    Ok(Folded::Done(dead.len()))
}

struct Fold<'a> {
    view: &'a View,
    /// Positions and uuids, the oldest first.
    dead: Vec<(u32, [u8; 16])>,
    /// The epoch up to which all removals are known.
    acted: u64,
    uuid: [u8; 16],
}

impl<'a> Fold<'a> {
    fn new(view: &'a View, dead: Vec<(u32, [u8; 16])>, acted: u64) -> Self {
        let mut uuid = [0; 16];
        // SAFETY: the buffer is that long. Should it stay zero, nothing is lost: graveyards have one name.
        unsafe { libc::getrandom(uuid.as_mut_ptr().cast(), uuid.len(), 0) };
        Fold { view, dead, acted, uuid }
    }

    /// The new graveyard.
    fn image(&self) -> Option<Vec<u8>> {
        let index = self.view.index();
        let mut image = Image::new();
        let turns = self.turns();
        // Those that are shown come first, and of several definitions of a name the first is: it stays so.
        let mut entries: Vec<_> = index.entries().collect();
        entries.sort_by_key(|entry| !entry.is_shown);
        for (id, entry) in (1u32..).zip(entries) {
            // What only the living show, nobody will miss.
            let is_live = matches!(&entry.detail, Detail::Gauge(mode) if mode.is_live());
            let family = MergedFamily::even_hidden(&index.members, entry).filter(|_| !is_live);
            if let Some(family) = family {
                write_family(id, &family, &turns, &mut image);
            }
        }
        for tombstone in index.tombstones.after(self.acted) {
            image.record(&Record::Tombstone(tombstone));
        }
        let before = self.view.folded();
        let forgotten = before.len().saturating_sub(NAMED.saturating_sub(self.dead.len()));
        for &uuid in before[forgotten..].iter().chain(self.dead.iter().map(|(_, uuid)| uuid)) {
            image.record(&Record::Folded(uuid));
        }
        let head = Header {
            uuid: self.uuid,
            pid: u64::from(std::process::id()),
            start: 0,
            namespace: 0,
            boot: [0; 16],
            created: now(),
            content: Content::Graveyard,
        };
        let mut bytes = image.finish(&head, self.acted)?;
        let dead: Vec<u32> = self.dead.iter().map(|&(position, _)| position).collect();
        LossCounters::after(self.view, &dead).put(&mut bytes);
        Some(bytes)
    }

    /// In which turn the process of each segment died; the graveyard's series have theirs written by them.
    fn turns(&self) -> HashMap<u32, u32> {
        let index = self.view.index();
        let mut last = 0;
        for entry in index.entries().filter(|entry| entry.is_per_process()) {
            let graves = entry.slots.iter().flat_map(|slot| &slot.sources);
            let graves = graves.filter(|s| index.members.get(s.segment).is_some_and(|m| m.segment.is_graveyard()));
            last = graves.map(|source| source.buckets).fold(last, u32::max);
        }
        self.dead.iter().map(|&(position, _)| position).zip(last.saturating_add(1)..).collect()
    }
}

/// Writes a family and its series.
fn write_family(id: u32, family: &MergedFamily, turns: &HashMap<u32, u32>, image: &mut Image) {
    let entry = family.entry();
    let block = image.family(family.faults());
    image.record(&Record::Family(FamilyRecord {
        id,
        block,
        generation: GENERATION,
        max_series: u32::try_from(entry.definition.max_series).unwrap_or(u32::MAX),
        ordinal: entry.ordinal,
        scope: entry.scope.to_string(),
        name: entry.definition.name.clone(),
        help: entry.definition.help.clone(),
        unit: entry.definition.unit.clone(),
        labels: entry.declared.names().iter().map(ToString::to_string).collect(),
        detail: entry.detail.clone(),
    }));
    let turn = |series: &MergedSeries| {
        let turns = series.sources().iter().map(|source| turns.get(&source.segment).copied().unwrap_or(source.buckets));
        turns.max().unwrap_or_default()
    };
    let oldest = if entry.is_per_process() { oldest_kept(family, turn) } else { 0 };
    family.visit(|series| {
        let turn = if entry.is_per_process() { turn(series) } else { 0 };
        if turn >= oldest {
            write_series(id, &entry.detail, series, turn, image);
        }
    });
}

/// Writes what a series came to.
fn write_series(id: u32, detail: &Detail, series: &MergedSeries, turn: u32, image: &mut Image) {
    let created = series.created();
    let (block, buckets) = match detail {
        Detail::Counter => (image.counter(created, series.counter()), 0),
        Detail::Gauge(_) | Detail::StateSet(_) => {
            let Some(value) = series.gauge_and_set() else { return };
            (image.gauge(created, value), turn)
        }
        Detail::Info => {
            let Some((text, set)) = series.info_and_set() else { return };
            (image.info(created, (&text, set)), 0)
        }
        Detail::Histogram(_) | Detail::Summary(_) => image.histogram(created, &series.snapshot()),
    };
    if matches!(detail, Detail::Counter | Detail::Histogram(_)) {
        let slots = if let Detail::Histogram(bounds) = detail { bounds.len() } else { 1 };
        image.exemplars(block, slots, &series.exemplars());
    }
    let stamp = series.sources().iter().map(|source| source.stamp).max().unwrap_or_default();
    let text = series.text().to_vec();
    image.record(&Record::Series(SeriesRecord { family: id, generation: GENERATION, block, buckets, stamp, text }));
}

/// The turn before which processes died whose own series are given up.
fn oldest_kept(family: &MergedFamily, turn: impl Fn(&MergedSeries) -> u32) -> u32 {
    let mut turns = BTreeSet::new();
    family.visit(|series| {
        turns.insert(turn(series));
    });
    turns.into_iter().rev().nth(KEPT - 1).unwrap_or_default()
}

/// Takes the lock that only one folder has at a time; nothing when another one has it.
fn take_lock(directory: &Path) -> io::Result<Option<File>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let path = directory.join(FOLD_LOCK);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    Ok(lock::take(&file)?.then_some(file))
}

/// Writes the new graveyard under another name, then gives it its own.
fn write(directory: &Path, bytes: &[u8], step: &mut dyn FnMut(Step) -> io::Result<()>) -> io::Result<()> {
    // Always the same name, for there is one folder at a time; so a killed one leaves one file behind at most.
    let path = directory.join(format!("{TEMPORARY}{GRAVEYARD}"));
    let _ = fs::remove_file(&path);
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&path)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        step(Step::Half)?;
        file.write_all(second)?;
        // The name must not be there before the bytes are, should the machine fail.
        file.sync_data()?;
        step(Step::Written)?;
        fs::rename(&path, directory.join(GRAVEYARD))
    })();
    match written {
        Ok(()) => step(Step::Renamed),
        Err(error) => {
            if error.kind() != io::ErrorKind::Interrupted {
                let _ = fs::remove_file(&path);
            }
            Err(error)
        }
    }
}

/// Removes the files of processes that the graveyard names.
fn unlink(directory: &Path, dead: &[[u8; 16]], step: &mut dyn FnMut(Step) -> io::Result<()>) -> io::Result<()> {
    for uuid in dead {
        match fs::remove_file(directory.join(format!("{}{SUFFIX}", hex(uuid)))) {
            Ok(()) => step(Step::Unlinked)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes files whose makers died before they gave them their names.
fn remove_abandoned(directory: &Path) {
    let Ok(files) = fs::read_dir(directory) else { return };
    for file in files.flatten() {
        let is_ours = file.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
        let Ok(about) = fs::symlink_metadata(file.path()) else { continue };
        if !is_ours || !about.is_file() || now() - (about.mtime() as f64) < ABANDONED {
            continue;
        }
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file.path());
        if opened.is_ok_and(|file| !lock::is_taken(&file)) {
            let _ = fs::remove_file(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_at_a_time() {
        let directory = std::env::temp_dir().join(format!("ferrometer-fold-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        let lock = take_lock(&directory).unwrap();
        assert!(lock.is_some());
        assert_eq!(fold(&directory).unwrap(), Folded::Busy);
        drop(lock);
        assert_eq!(fold(&directory).unwrap(), Folded::Nothing);
        fs::remove_dir_all(directory).unwrap();
    }
}
