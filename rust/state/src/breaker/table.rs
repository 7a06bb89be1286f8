//! All breakers of an application.

use super::slot::{Slot, WORDS};
use crate::name::hash;
use crate::region::Region;
use std::io;
use std::path::Path;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// Breakers that a table has room for.
pub const CAPACITY: usize = 1024;
const NAME: &str = "breakers";
/// The version of its layout.
const VERSION: u32 = 1;
/// The first words of the body: how many breakers found no room, and words to come.
const BODY_HEAD: usize = 8;
const BODY: usize = (BODY_HEAD + CAPACITY * WORDS) * 8;

/// The breakers of all processes of a directory, or of this one.
pub struct Table {
    /// Its memory.
    pub region: Region,
}

impl Table {
    /// That of a directory; without one, of this process.
    ///
    /// # Errors
    /// When the directory cannot be written or has no room.
    pub fn open(directory: Option<&Path>) -> io::Result<Self> {
        let region = match directory {
            Some(directory) => Region::open(directory, NAME, VERSION, BODY)?,
            None => Region::private(BODY)?,
        };
        Ok(Table { region })
    }

    /// That of a directory, if there is one. For a process that has no breakers there itself: opening it twice would
    /// give back the locks of the first.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn existing(directory: &Path) -> io::Result<Option<Self>> {
        let is_there = Region::path(directory, NAME, VERSION).exists();
        is_there.then(|| Self::open(Some(directory))).transpose()
    }

    fn slot(&self, index: usize) -> Slot<'_> {
        Slot(&self.region.body()[BODY_HEAD + index * WORDS..][..WORDS])
    }

    /// The slot of a breaker, made when it is not there; nothing when the table is full.
    pub fn find_or_add(&self, name: &str, group: &str) -> Option<Slot<'_>> {
        let key = hash(name);
        for step in 0..CAPACITY {
            let slot = self.slot((key as usize).wrapping_add(step) % CAPACITY);
            let found = slot.key().compare_exchange(0, key, AcqRel, Acquire);
            if found.is_err_and(|other| other != key) {
                continue;
            }
            match slot.name() {
                Some(other) if other != name => continue, // the same hash
                Some(_) => {}
                None => slot.set_name(name),
            }
            if !group.is_empty() {
                slot.group().store(hash(group), Relaxed);
            }
            return Some(slot);
        }
        self.without_room().fetch_add(1, Relaxed);
        None
    }

    /// Every breaker, in the order of the table.
    pub fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        (0..CAPACITY).map(|index| self.slot(index)).filter(|slot| slot.key().load(Acquire) != 0)
    }

    /// The slot of a breaker that is there.
    pub fn find(&self, name: &str) -> Option<Slot<'_>> {
        self.slots().find(|slot| slot.name().as_deref() == Some(name))
    }

    /// How often a breaker found no room.
    pub fn without_room(&self) -> &AtomicU64 {
        &self.region.body()[0]
    }
}
