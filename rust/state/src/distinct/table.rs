//! Windows of time: each is a ring of slices, and each slice a sketch.

use super::sketch::{add, Union, WORDS};
use crate::name::hash;
use crate::process::in_turn;
use crate::region::Region;
use std::io;
use std::path::Path;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// A window: its name, milliseconds of a slice, and how many slices it has besides the one that is filled.
pub struct WindowKind {
    /// As its label says it.
    pub name: &'static str,
    slice_ms: u64,
    slices: usize,
}

/// All windows. One looks back for its whole length, and for up to a slice more.
pub const WINDOWS: [WindowKind; 3] = [
    WindowKind { name: "5m", slice_ms: 30_000, slices: 10 },
    WindowKind { name: "1h", slice_ms: 300_000, slices: 12 },
    WindowKind { name: "1d", slice_ms: 3_600_000, slices: 24 },
];
/// Kinds of subjects that a table has room for.
pub const KINDS: usize = 4;
/// The longest name of a kind, in bytes.
pub const MAX_KIND: usize = 48;

/// Slices of all windows of a kind.
const SLICES: usize = 11 + 13 + 25;
const TAGS: usize = 64;
const NAME: usize = 8;
/// The words of a kind: its hash, length and name, a tag for each slice, the sketches.
const KIND: usize = NAME + TAGS + SLICES * WORDS;
const HEAD: usize = 8;
const BODY: usize = (HEAD + KINDS * KIND) * 8;
const FILE: &str = "distinct";
const VERSION: u32 = 1;
const _: () = assert!(SLICES <= TAGS && MAX_KIND <= (NAME - 2) * 8);

/// The sketches of all processes of a directory, or of this one.
pub struct Table {
    /// Its memory.
    pub region: Region,
}

/// One kind of subjects.
#[derive(Clone, Copy)]
pub struct Subjects<'a> {
    table: &'a Table,
    words: &'a [AtomicU64],
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

    /// The key of the hash, the same in all workers: `given`, where an application has a secret, or one that the first
    /// worker made at random. Nothing when another worker was given another one.
    ///
    /// # Errors
    /// Without a source of randomness.
    pub fn key(&self, given: Option<[u64; 2]>) -> io::Result<Option<[u64; 2]>> {
        let words = &self.region.body()[..3];
        if words[0].load(Acquire) == 0 {
            let key = given.map_or_else(random, Ok)?;
            in_turn(&self.region, || {
                if words[0].load(Acquire) == 0 {
                    words[1].store(key[0], Relaxed);
                    words[2].store(key[1], Relaxed);
                    words[0].store(if given.is_some() { 2 } else { 1 }, Release);
                }
            });
        }
        let key = [words[1].load(Relaxed), words[2].load(Relaxed)];
        Ok(given.is_none_or(|given| given == key).then_some(key))
    }

    fn kind(&self, index: usize) -> Subjects<'_> {
        Subjects { table: self, words: &self.region.body()[HEAD + index * KIND..][..KIND] }
    }

    /// A kind of subjects, made when it is not there; nothing when there is no room.
    pub fn find_or_add(&self, name: &str) -> Option<Subjects<'_>> {
        let key = hash(name);
        (0..KINDS).map(|index| self.kind(index)).find(|kind| {
            let found = kind.words[0].compare_exchange(0, key, AcqRel, Acquire);
            if found.is_err_and(|other| other != key) {
                return false;
            }
            if kind.name().is_none() {
                for (word, bytes) in kind.words[2..NAME].iter().zip(name.as_bytes().chunks(8)) {
                    let mut padded = [0; 8];
                    padded[..bytes.len()].copy_from_slice(bytes);
                    word.store(u64::from_le_bytes(padded), Relaxed);
                }
                kind.words[1].store(name.len() as u64, Release);
            }
            true
        })
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = Subjects<'_>> {
        (0..KINDS).map(|index| self.kind(index)).filter(|kind| kind.words[0].load(Acquire) != 0)
    }
}

fn random() -> io::Result<[u64; 2]> {
    let mut key = [0_u64; 2];
    // SAFETY: the buffer is that long.
    match unsafe { libc::getrandom(key.as_mut_ptr().cast(), 16, 0) } {
        16 => Ok(key),
        _ => Err(io::Error::last_os_error()),
    }
}

impl<'a> Subjects<'a> {
    /// Its name; nothing before it has been written down.
    pub fn name(self) -> Option<String> {
        let length = self.words[1].load(Acquire) as usize;
        let mut bytes: Vec<u8> = self.words[2..NAME].iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        bytes.truncate(length);
        (1..=MAX_KIND).contains(&length).then(|| String::from_utf8(bytes).ok())?
    }

    fn slice(self, index: usize) -> (&'a AtomicU64, &'a [AtomicU64]) {
        (&self.words[NAME + index], &self.words[NAME + TAGS + index * WORDS..][..WORDS])
    }

    /// Records the hash of a subject that was seen now.
    #[inline]
    pub fn add(self, hash: u64, now_ms: u64) {
        let mut first = 0;
        for window in &WINDOWS {
            let tick = now_ms / window.slice_ms + 1;
            let (tag, words) = self.slice(first + tick as usize % (window.slices + 1));
            if tag.load(Acquire) != tick {
                self.renew(tag, words, tick);
            }
            add(words, hash);
            first += window.slices + 1;
        }
    }

    /// Empties a slice for a new stretch of time. The tag is set last, so that whoever is killed before leaves it to
    /// the next one.
    #[cold]
    fn renew(self, tag: &AtomicU64, words: &[AtomicU64], tick: u64) {
        in_turn(&self.table.region, || {
            if tag.load(Acquire) != tick {
                for word in words {
                    word.store(0, Relaxed);
                }
                tag.store(tick, Release);
            }
        });
    }

    /// How many distinct subjects each window has seen.
    pub fn estimates(self, now_ms: u64) -> [f64; WINDOWS.len()] {
        let mut first = 0;
        WINDOWS.each_ref().map(|window| {
            let now = now_ms / window.slice_ms + 1;
            let mut union = Union::new();
            for index in 0..=window.slices {
                let (tag, words) = self.slice(first + index);
                let tick = tag.load(Acquire);
                if tick != 0 && tick <= now && now - tick <= window.slices as u64 {
                    union.merge(words);
                }
            }
            first += window.slices + 1;
            union.estimate()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn mixed(number: u64) -> u64 {
        let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn windows_count_what_sets_of_all_subjects_count(
            steps in proptest::collection::vec((0..3_000_000_u64, 0..60_u64), 1..40)
        ) {
            let table = Table::open(None).unwrap();
            let users = table.find_or_add("user").unwrap();
            let (mut now, mut all) = (7_200_000, Vec::new());
            for (wait, user) in steps {
                now += wait;
                users.add(mixed(user), now);
                all.push((now, user));
                for (window, estimate) in WINDOWS.iter().zip(users.estimates(now)) {
                    let within = |at: u64| now / window.slice_ms - at / window.slice_ms <= window.slices as u64;
                    let expected: BTreeSet<_> = all.iter().filter(|one| within(one.0)).map(|one| one.1).collect();
                    prop_assert!((estimate - expected.len() as f64).abs() < 0.5, "{} {estimate}", window.name);
                }
            }
        }
    }

    #[test]
    fn a_table_has_room_for_four_kinds_and_one_key() {
        let table = Table::open(None).unwrap();
        for name in ["user", "key", "team", "tenant"] {
            assert_eq!(table.find_or_add(name).unwrap().name().as_deref(), Some(name));
        }
        assert!(table.find_or_add("one more").is_none() && table.find_or_add("user").is_some());
        assert_eq!(table.kinds().count(), 4);
        let key = table.key(None).unwrap().unwrap();
        assert_ne!(key, [0, 0]);
        assert_eq!(table.key(None).unwrap(), Some(key));
        assert_eq!(table.key(Some([1, 2])).unwrap(), None);
        let told = Table::open(None).unwrap();
        assert_eq!(told.key(Some([1, 2])).unwrap(), Some([1, 2]));
        assert_eq!(told.key(None).unwrap(), Some([1, 2]));
    }
}
