//! The rings of this process: one at a time of each kind, and others in the child of a fork. All of this is called with the
//! GIL held; that is what makes the process a single writer.

use crate::file::{self, OwnRing};
use crate::fork::{close_in_child, generation, install};
use crate::head::{Head, Level, Outcome, Reason, LEVELS};
use crate::kind::{Kind, KINDS};
use crate::reader::Place;
use crate::region::Region;
use crate::writer::Writer;
use std::cell::UnsafeCell;
use std::io;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};

struct Own {
    writer: Writer,
    generation: u64,
    directory: Option<PathBuf>,
    capacity: usize,
    /// Open for as long as the process lives, with the lock.
    file: Option<OwnRing>,
}

struct Slot(UnsafeCell<Option<Own>>);

// SAFETY: used by whoever holds the GIL, one thread at a time; every door below asks for that.
unsafe impl Sync for Slot {}

static OWN: [Slot; KINDS] = [const { Slot(UnsafeCell::new(None)) }; KINDS];

/// The same memory for threads without the GIL, and where it lies. What is replaced is leaked: a few words for each
/// ring that a process ever makes, so that neither a thread nor a fork meets a lock here.
static SHOWN: [AtomicPtr<Shown>; KINDS] = [const { AtomicPtr::new(null_mut()) }; KINDS];

struct Shown {
    generation: u64,
    region: Arc<Region>,
    path: Option<PathBuf>,
}

/// Records that found no ring, by kind and level.
static CLOSED: [[AtomicU64; LEVELS]; KINDS] = [const { [const { AtomicU64::new(0) }; LEVELS] }; KINDS];

/// What to do when a ring has been made after a fork: start whoever ships.
static REOPENED: [OnceLock<fn()>; KINDS] = [const { OnceLock::new() }; KINDS];

/// Makes the ring of this process for a kind of records: in a file of this directory, or in private memory. Where there is one already,
/// in another place, what it holds moves along.
///
/// # Errors
/// When the directory cannot be written, or has no room; what there was stays.
///
/// # Safety
/// The GIL is held.
pub unsafe fn open(kind: Kind, directory: Option<&Path>, capacity: usize) -> io::Result<()> {
    install();
    // SAFETY: the GIL is held, and nothing below runs Python.
    let own = unsafe { &mut *OWN[kind as usize].0.get() };
    if let Some(own) = &*own {
        if own.generation == generation() && own.directory.as_deref() == directory {
            return Ok(());
        }
    }
    let fresh = make(kind, directory, capacity)?;
    if let Some(mut old) = own.replace(fresh) {
        if old.generation == generation() {
            if let Some(own) = own {
                move_along(&old, own);
                if let Some(file) = &old.file {
                    let _ = std::fs::remove_file(&file.path);
                }
            }
        } else {
            // The parent's: its file, its lock.
            std::mem::forget(old.file.take());
        }
    }
    Ok(())
}

fn make(kind: Kind, directory: Option<&Path>, capacity: usize) -> io::Result<Own> {
    let file = directory.map(|directory| file::create(directory, kind, capacity)).transpose()?;
    if let Some(file) = &file {
        close_in_child(file.file.file());
    }
    let region = file.as_ref().map_or_else(|| Arc::new(Region::private(capacity)), |file| file.region.clone());
    let path = file.as_ref().map(|file| file.path.clone());
    let shown = Box::new(Shown { generation: generation(), region: region.clone(), path });
    SHOWN[kind as usize].store(Box::into_raw(shown), Release);
    Ok(Own {
        writer: Writer::new(region),
        generation: generation(),
        directory: directory.map(Path::to_owned),
        capacity,
        file,
    })
}

/// Appends what the first receiver of an old ring has not yet taken to the new one.
fn move_along(old: &Own, new: &mut Own) {
    let region = old.writer.region();
    let mut place = Place { position: region.tail(), records: 0 };
    loop {
        let batch = region.read(place, 1 << 20);
        if batch.records.is_empty() {
            return;
        }
        for record in batch.records {
            let _ = new.writer.append(&record.head, &[&record.payload]);
        }
        place = batch.end;
    }
}

/// Appends a record whose payload is these parts together. Never waits, and runs no Python. The first one after a
/// fork makes a ring for the child.
///
/// # Safety
/// The GIL is held.
#[inline]
pub unsafe fn append(kind: Kind, head: &Head, parts: &[&[u8]]) -> Outcome {
    // SAFETY: the GIL is held, and nothing below runs Python.
    match unsafe { &mut *OWN[kind as usize].0.get() } {
        Some(own) if own.generation == generation() => own.writer.append(head, parts),
        own => append_elsewhere(kind, own, head, parts),
    }
}

/// Counts secrets that were taken out of this process's lines, by rule. Before there is a ring nobody counts.
///
/// # Safety
/// The GIL is held.
pub unsafe fn redacted(rule: usize, count: u64) {
    // SAFETY: the GIL is held, and nothing below runs Python.
    if let Some(own) = unsafe { &*OWN[Kind::Lines as usize].0.get() } {
        if own.generation == generation() {
            own.writer.redacted(rule, count);
        }
    }
}

#[cold]
fn append_elsewhere(kind: Kind, slot: &mut Option<Own>, head: &Head, parts: &[&[u8]]) -> Outcome {
    let Some(parents) = slot else {
        CLOSED[kind as usize][head.level as usize].fetch_add(1, Relaxed);
        return Outcome::Dropped(Reason::Closed);
    };
    let (directory, capacity) = (parents.directory.clone(), parents.capacity);
    // Without room for a file, private memory: this process ships it itself, if it lives.
    let made = make(kind, directory.as_deref(), capacity).or_else(|_| make(kind, None, capacity));
    let Ok(fresh) = made else {
        CLOSED[kind as usize][head.level as usize].fetch_add(1, Relaxed);
        return Outcome::Dropped(Reason::Closed);
    };
    if let Some(mut parents) = slot.replace(fresh) {
        std::mem::forget(parents.file.take());
    }
    if let Some(reopened) = REOPENED[kind as usize].get() {
        reopened();
    }
    match slot {
        Some(own) => own.writer.append(head, parts),
        None => Outcome::Dropped(Reason::Closed),
    }
}

/// Makes every child of a fork do this once it has a ring of a kind; the first such work is the only one.
pub fn when_reopened(kind: Kind, work: fn()) {
    let _ = REOPENED[kind as usize].set(work);
}

/// The memory of this process's ring, and its name if it is a file. Without the GIL.
pub fn shown(kind: Kind) -> Option<(Arc<Region>, Option<PathBuf>)> {
    // SAFETY: null, or leaked above.
    let shown = unsafe { SHOWN[kind as usize].load(Acquire).as_ref()? };
    (shown.generation == generation()).then(|| (shown.region.clone(), shown.path.clone()))
}

/// Whether this process has a ring.
pub fn is_open(kind: Kind) -> bool {
    shown(kind).is_some()
}

/// Whether this process has a ring, or makes one at its first record because its parent had one.
///
/// # Safety
/// The GIL is held.
pub unsafe fn takes(kind: Kind) -> bool {
    // SAFETY: the GIL is held, and nothing below runs Python.
    unsafe { (*OWN[kind as usize].0.get()).is_some() }
}

/// Records of a level that found no ring.
pub fn closed(kind: Kind, level: Level) -> u64 {
    CLOSED[kind as usize][level as usize].load(Relaxed)
}
