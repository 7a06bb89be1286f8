//! All jobs of an application: the entries of those that run, and the counts of every type.
//!
//! Ids come back: a job may be queued again under its old id, or every night under the same one. So nothing is
//! remembered of a job that has ended. A start opens an entry; the first end closes it; an end without an open entry is
//! a repeat; and a start over an entry whose process is dead makes that one lost.

use super::entry::{Entry, Word, WORDS as ENTRY};
use super::kind::{cut, Kind, Outcome, WORDS as KIND};
use crate::name::hash;
use crate::process::{is_alive, owner, Owner};
use crate::region::Region;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// Types that a table has room for; further ones are counted as `other`.
pub const KINDS: usize = 256;
/// Entries of running jobs.
pub const ENTRIES: usize = 16_384;
/// A job's entry is one of so many, from where the hash of its id points to.
const REACH: usize = 32;
const OTHER: usize = KINDS - 1;
const HEAD: usize = 8;
const FIRST_ENTRY: usize = HEAD + KINDS * KIND;
const BODY: usize = (FIRST_ENTRY + ENTRIES * ENTRY) * 8;
const FILE: &str = "jobs";
const VERSION: u32 = 1;

/// The jobs of all processes of a directory, or of this one.
pub struct Table {
    /// Its memory.
    pub region: Region,
}

/// A job that this process runs.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Where its entry is, and the word of it; nothing for a job that found no room.
    place: Option<(usize, Word)>,
    kind: usize,
    start: u64,
    /// The hash of its id.
    pub key: u64,
}

/// The jobs of a type that are running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Running {
    /// How many run.
    pub jobs: u64,
    /// How many of them have run for longer than they should.
    pub stuck: u64,
    /// How long the oldest has run, in nanoseconds.
    pub oldest: u64,
}

/// The hash that stands for the id of a job of a type.
pub fn key_of(kind: &str, id: &str) -> u64 {
    (hash(kind).rotate_left(32) ^ hash(id)).max(1)
}

/// The key of a job without an id, far from its neighbours' in the table.
fn unnamed(owner: Option<Owner>) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Relaxed) ^ u64::from(owner.map_or(0, Owner::bits)) << 32;
    next.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1)
}

impl Table {
    /// That of a directory; without one, of this process.
    ///
    /// # Errors
    /// When the directory cannot be written or has no room.
    pub fn open(directory: Option<&Path>) -> io::Result<Self> {
        let region = match directory {
            Some(directory) => Region::open(directory, FILE, VERSION, BODY)?,
            None => Region::private(BODY)?,
        };
        Ok(Table { region })
    }

    /// That of a directory, if there is one.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn existing(directory: &Path) -> io::Result<Option<Self>> {
        let is_there = Region::path(directory, FILE, VERSION).exists();
        is_there.then(|| Self::open(Some(directory))).transpose()
    }

    /// How many running jobs found no entry.
    pub fn without_room(&self) -> &AtomicU64 {
        &self.region.body()[0]
    }

    /// How many types there were beyond the table's room.
    pub fn kinds_without_room(&self) -> &AtomicU64 {
        &self.region.body()[1]
    }

    /// The type of that number.
    #[inline]
    pub fn kind(&self, number: usize) -> Kind<'_> {
        Kind(&self.region.body()[HEAD + number * KIND..][..KIND])
    }

    fn entry(&self, index: usize) -> Entry<'_> {
        Entry(&self.region.body()[FIRST_ENTRY + index * ENTRY..][..ENTRY])
    }

    fn reach(key: u64) -> impl Iterator<Item = usize> {
        // FNV's low bits are good enough for a table, its high ones are mixed in for counted ids.
        let first = (key ^ key >> 29) as usize;
        (0..REACH).map(move |step| first.wrapping_add(step) % ENTRIES)
    }

    /// The number of a type, made when it is not there.
    pub fn find_or_add(&self, name: &str) -> usize {
        let name = cut(name);
        let key = hash(name);
        for step in 0..OTHER {
            let number = (key as usize).wrapping_add(step) % OTHER;
            let kind = self.kind(number);
            let found = kind.key().compare_exchange(0, key, AcqRel, Acquire);
            if found.is_err_and(|other| other != key) {
                continue;
            }
            match kind.name() {
                Some(other) if other != name => continue, // the same hash
                Some(_) => {}
                None => kind.set_name(name),
            }
            return number;
        }
        self.kinds_without_room().fetch_add(1, Relaxed);
        let other = self.kind(OTHER);
        other.key().store(hash("other"), Relaxed);
        other.set_name("other");
        OTHER
    }

    /// Every type, in the order of the table.
    pub fn kinds(&self) -> impl Iterator<Item = (usize, Kind<'_>)> {
        (0..KINDS).map(|number| (number, self.kind(number))).filter(|(_, kind)| kind.key().load(Acquire) != 0)
    }

    /// A job of a type starts in this process. `wait` is how long it was queued, in nanoseconds, where that is known.
    /// Without a `key` it gets one that no other job has.
    pub fn start(&self, kind: usize, key: Option<u64>, wait: Option<u64>, now: u64) -> Run {
        let owner = owner(&self.region).ok();
        let key = key.unwrap_or_else(|| unnamed(owner));
        let place = owner.and_then(|owner| self.open_entry(owner, kind, key, now));
        if place.is_none() {
            self.without_room().fetch_add(1, Relaxed);
        }
        let counts = self.kind(kind);
        counts.started().fetch_add(1, Relaxed);
        if let Some(wait) = wait {
            counts.wait().record(wait);
        }
        Run { place, kind, start: now, key }
    }

    fn open_entry(&self, owner: Owner, kind: usize, key: u64, now: u64) -> Option<(usize, Word)> {
        let mut free = None;
        for index in Self::reach(key) {
            let entry = self.entry(index);
            let word = entry.word();
            match word.owner() {
                None => free = free.or(Some(index)),
                Some(other) if word.is_running() && entry.key_and_start().0 == key => {
                    if other != owner && !is_alive(&self.region, other) {
                        self.lose(entry, word);
                        free = free.or(Some(index));
                    }
                }
                Some(_) => {}
            }
        }
        let first = free?;
        // Somebody may take it first; then there is perhaps another one.
        [first].into_iter().chain(Self::reach(key)).find_map(|index| {
            let word = self.entry(index).open(owner, kind as u8, key, now)?;
            Some((index, word))
        })
    }

    /// Whether the process that asks is the one that started the job; a child of it is not.
    pub fn is_own(&self, run: Run) -> bool {
        let Some((_, word)) = run.place else { return true };
        owner(&self.region).ok() == word.owner()
    }

    /// A job that this process runs has ended. False when somebody has said so before.
    pub fn end(&self, run: Run, outcome: Outcome, now: u64) -> bool {
        if let Some((index, word)) = run.place {
            if !self.entry(index).close(word) {
                return false;
            }
        }
        self.kind(run.kind).end(outcome, now.saturating_sub(run.start));
        true
    }

    /// A job has ended that perhaps another process runs: how long it ran, in nanoseconds. Nothing when no such job is
    /// running.
    pub fn end_by_key(&self, key: u64, outcome: Outcome, now: u64) -> Option<u64> {
        let own = owner(&self.region).ok();
        let find = |is_own: bool| {
            Self::reach(key).find_map(|index| {
                let entry = self.entry(index);
                let word = entry.word();
                let (found, start) = entry.key_and_start();
                let fits = word.is_running() && found == key && (word.owner() == own) == is_own;
                (fits && entry.close(word)).then_some((word, start))
            })
        };
        // The same id may run in two processes; each ends its own.
        let (word, start) = find(true).or_else(|| find(false))?;
        let took = now.saturating_sub(start);
        self.kind(word.kind()).end(outcome, took);
        Some(took)
    }

    /// Frees the entry of a dead process. In private memory it is one of the parent's, which the parent ends.
    fn lose(&self, entry: Entry<'_>, word: Word) {
        if entry.close(word) && word.is_running() && self.region.file().is_some() {
            self.kind(word.kind()).lost().fetch_add(1, Relaxed);
        }
    }

    /// What is running, by the number of its type. Jobs of dead processes become lost.
    pub fn look(&self, stuck_after: u64, now: u64) -> HashMap<usize, Running> {
        let (mut found, mut alive) = (HashMap::<usize, Running>::new(), HashMap::new());
        for index in 0..ENTRIES {
            let entry = self.entry(index);
            let word = entry.word();
            let Some(owner) = word.owner() else { continue };
            if !*alive.entry(owner).or_insert_with(|| is_alive(&self.region, owner)) {
                self.lose(entry, word);
                continue;
            }
            let age = now.saturating_sub(entry.key_and_start().1);
            if word.is_running() && entry.word() == word {
                let running = found.entry(word.kind()).or_default();
                running.jobs += 1;
                running.stuck += u64::from(age > stuck_after);
                running.oldest = running.oldest.max(age);
            }
        }
        found
    }

    /// Takes over the counts and running jobs of another table of this process, which shares this one from now on.
    pub fn take_over(&self, before: &Table) {
        let mut numbers = HashMap::new();
        for (number, kind) in before.kinds() {
            if let Some(name) = kind.name() {
                let here = self.find_or_add(&name);
                numbers.insert(number, here);
                self.kind(here).add(kind);
            }
        }
        let Ok(me) = owner(&before.region) else { return };
        for index in 0..ENTRIES {
            let entry = before.entry(index);
            let word = entry.word();
            let (key, start) = entry.key_and_start();
            let is_mine = word.owner() == Some(me) && word.is_running();
            if let (true, Some(&kind), Ok(owner)) = (is_mine, numbers.get(&word.kind()), owner(&self.region)) {
                self.open_entry(owner, kind, key, start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(table: &Table, number: usize) -> [u64; 6] {
        let kind = table.kind(number);
        let ended = Outcome::ALL.map(|outcome| kind.duration(outcome).unwrap().count());
        [kind.started().load(Relaxed), ended[0], ended[1], ended[2], ended[3], kind.lost().load(Relaxed)]
    }

    proptest! {
        /// Starts and ends of a few ids, by hand and by id, as often as they come, beside lists of what runs.
        #[test]
        fn the_first_end_of_a_start_counts(steps in proptest::collection::vec((0..4_u64, 0..3_u8, 0..4_usize), 0..80)) {
            let table = Table::open(None).unwrap();
            let number = table.find_or_add("resize");
            let mut running: Vec<Vec<Run>> = vec![Vec::new(); 4];
            let mut expected = [0_u64; 6];
            let mut now = 1_000;
            for (id, what, outcome) in steps {
                now += 7;
                let key = key_of("resize", &id.to_string());
                let mine = &mut running[id as usize];
                match what {
                    0 => {
                        mine.push(table.start(number, Some(key), None, now));
                        expected[0] += 1;
                    }
                    1 => {
                        // Which of several of one id it ends is not said; one is enough here.
                        if mine.len() <= 1 {
                            let ended = table.end_by_key(key, Outcome::ALL[outcome], now);
                            prop_assert_eq!(ended.is_some(), mine.pop().is_some());
                            expected[1 + outcome] += u64::from(ended.is_some());
                        }
                    }
                    _ => {
                        if let Some(run) = mine.pop() {
                            prop_assert!(table.end(run, Outcome::ALL[outcome], now));
                            prop_assert!(!table.end(run, Outcome::Failed, now));
                            expected[1 + outcome] += 1;
                        }
                    }
                }
                prop_assert_eq!(counts(&table, number), expected);
                let look = table.look(u64::MAX, now);
                let jobs: usize = running.iter().map(Vec::len).sum();
                prop_assert_eq!(look.get(&number).map_or(0, |found| found.jobs), jobs as u64);
            }
        }
    }

    #[test]
    fn a_job_that_runs_too_long_is_stuck() {
        let table = Table::open(None).unwrap();
        let number = table.find_or_add("train");
        let old = table.start(number, Some(1), Some(5), 1_000);
        table.start(number, None, None, 9_000);
        assert_eq!(table.look(7_999, 9_000)[&number], Running { jobs: 2, stuck: 1, oldest: 8_000 });
        assert_eq!(table.look(8_000, 9_000)[&number], Running { jobs: 2, stuck: 0, oldest: 8_000 });
        assert!(table.end(old, Outcome::Completed, 9_000));
        assert_eq!(table.look(7_999, 9_000)[&number], Running { jobs: 1, stuck: 0, oldest: 0 });
        assert_eq!((table.kind(number).wait().count(), table.kind(number).wait().sum()), (1, 5));
    }

    #[test]
    fn beyond_its_room_jobs_are_counted_all_the_same() {
        let table = Table::open(None).unwrap();
        let number = table.find_or_add("small");
        let runs: Vec<Run> = (0..2 * ENTRIES as u64).map(|id| table.start(number, Some(id + 1), None, 0)).collect();
        let running = table.look(1, 0)[&number].jobs;
        let refused = table.without_room().load(Relaxed);
        assert_eq!((running, refused), (ENTRIES as u64, ENTRIES as u64));
        assert!(runs.iter().all(|&run| table.end(run, Outcome::Completed, 3)));
        assert_eq!(counts(&table, number), [2 * ENTRIES as u64, 2 * ENTRIES as u64, 0, 0, 0, 0]);
        assert!(table.look(1, 0).is_empty());
        for kind in 0..KINDS + 10 {
            table.find_or_add(&format!("kind {kind}"));
        }
        assert_eq!(table.kinds().count(), KINDS);
        assert_eq!(table.kind(table.find_or_add("one more")).name().as_deref(), Some("other"));
        assert_eq!(table.kind(table.find_or_add("small")).name().as_deref(), Some("small"));
    }

    #[test]
    fn a_table_that_begins_to_be_shared_takes_over_what_was_there() {
        let (before, after) = (Table::open(None).unwrap(), Table::open(None).unwrap());
        after.find_or_add("another");
        let number = before.find_or_add("resize");
        let run = before.start(number, Some(77), None, 100);
        let other = before.start(number, None, None, 100);
        before.end(other, Outcome::Failed, 200);
        after.take_over(&before);
        let here = after.find_or_add("resize");
        assert_eq!(counts(&after, here), [2, 0, 1, 0, 0, 0]);
        assert_eq!(after.look(50, 200)[&here], Running { jobs: 1, stuck: 1, oldest: 100 });
        assert_eq!(after.end_by_key(run.key, Outcome::Completed, 250), Some(150));
        assert_eq!(after.end_by_key(run.key, Outcome::Completed, 250), None);
        assert_eq!(counts(&after, here), [2, 1, 1, 0, 0, 0]);
    }
}
