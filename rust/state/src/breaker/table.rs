//! All breakers of an application.

use super::slot::{Slot, WORDS};
use super::word::State;
use crate::name::hash;
use crate::process::in_turn;
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

    /// Takes over the breakers of another table of this process, which shares this one from now on: what they counted,
    /// and that they are open or forced, where no worker has changed their state here. A half-open one is open until its
    /// next call; the last of a group that is not open stays so, unless it is forced.
    pub fn take_over(&self, before: &Table) {
        let both = before.slots().filter_map(|old| Some((old, self.find_or_add(&old.name()?, "")?)));
        let both: Vec<_> = both.collect();
        for (old, slot) in &both {
            let group = old.group().load(Relaxed);
            if group != 0 {
                slot.group().store(group, Relaxed);
            }
            let counts = old.changes().iter().chain([old.rejected(), old.kept_closed()]);
            for (count, more) in slot.changes().iter().chain([slot.rejected(), slot.kept_closed()]).zip(counts) {
                count.fetch_add(more.load(Relaxed), Relaxed);
            }
        }
        in_turn(&self.region, || {
            for (old, slot) in both {
                let mut word = old.state();
                if word.state() == State::HalfOpen {
                    word = word.changed(State::Open, false, 0);
                }
                let stays = word.is_forced() || word.state() == State::Open && self.is_not_last(slot);
                if stays && slot.word().compare_exchange(0, word.0, AcqRel, Relaxed).is_ok() {
                    slot.failed_trials().store(old.failed_trials().load(Relaxed), Relaxed);
                }
            }
        });
    }

    /// Whether a breaker has no group, or another one of it is not open. In turn with others that would open.
    pub fn is_not_last(&self, slot: Slot<'_>) -> bool {
        let group = slot.group().load(Relaxed);
        let mut others = self.slots().filter(|other| other.group().load(Relaxed) == group);
        group == 0 || others.any(|other| !std::ptr::eq(other.0, slot.0) && other.state().state() != State::Open)
    }

    /// How often a breaker found no room.
    pub fn without_room(&self) -> &AtomicU64 {
        &self.region.body()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::super::circuit::{force, reset};
    use super::super::word::Word;
    use super::*;

    fn open(table: &Table, name: &str, group: &str) -> Word {
        let slot = table.find_or_add(name, group).unwrap();
        let word = slot.state().changed(State::Open, false, 5_000);
        slot.word().store(word.0, Relaxed);
        word
    }

    #[test]
    fn a_table_that_begins_to_be_shared_takes_over_what_is_open_or_forced() {
        let (before, after) = (Table::open(None).unwrap(), Table::open(None).unwrap());
        let word = open(&before, "open", "");
        let slot = before.find("open").unwrap();
        slot.rejected().store(7, Relaxed);
        slot.failed_trials().store(2, Relaxed);
        before.find_or_add("closed", "");
        force(before.find_or_add("forced", "").unwrap(), State::Closed);
        open(&before, "known", "");
        let half = before.find_or_add("half", "").unwrap();
        half.word().store(half.state().changed(State::HalfOpen, false, 0).0, Relaxed);
        for name in ["a", "b"] {
            open(&before, name, "group");
        }
        after.find_or_add("open", "").unwrap().rejected().store(1, Relaxed);
        reset(after.find_or_add("known", "").unwrap()); // by another worker
        after.take_over(&before);
        let state = |name: &str| after.find(name).unwrap().state();
        assert_eq!(state("open"), word);
        let slot = after.find("open").unwrap();
        assert_eq!((slot.rejected().load(Relaxed), slot.failed_trials().load(Relaxed)), (8, 2));
        assert_eq!(state("closed"), Word(0));
        assert_eq!((state("forced").state(), state("forced").is_forced()), (State::Closed, true));
        assert_eq!(after.find("forced").unwrap().changes()[0].load(Relaxed), 0);
        assert_eq!(state("known").state(), State::Closed);
        assert_eq!((state("half").state(), state("half").until()), (State::Open, 0));
        // One of a group lets calls through, whatever its workers had opened.
        let of_group = ["a", "b"].map(|name| state(name).state());
        assert_eq!(of_group.iter().filter(|&&state| state == State::Open).count(), 1);
    }
}
