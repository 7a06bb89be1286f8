//! A reader in another process beside a writer: every interleaving under the C++ memory model, by
//! `RUSTFLAGS="--cfg loom" cargo test -p ferrometer-core --release model`. The protocols are the real ones; the
//! file is a few words.

use super::log;
use crate::head::Head;
use crate::seqlock::{change, undisturbed, while_current};
use crate::slab::Zeroed;
use crate::sync::{
    fence, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use loom::{sync::Arc, thread};

/// Runs two sides in every way with up to three interruptions; all would take hours.
fn check<T: Send + Sync + 'static>(make: fn() -> T, write: fn(&T), read: fn(&T)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.max_branches = 20_000;
    model.check(move || {
        let shared = Arc::new(make());
        let writer = {
            let shared = shared.clone();
            thread::spawn(move || write(&shared))
        };
        read(&shared);
        writer.join().unwrap();
    });
}

fn words<const N: usize>(values: [u64; N]) -> [AtomicU64; N] {
    values.map(AtomicU64::new)
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Relaxed)
}

/// A block of two words that belong together, and where a log would say which use of it is whose.
struct Block {
    head: Head,
    cells: [AtomicU64; 2],
    /// The generations of its first use and its second.
    told: [AtomicU32; 2],
}

impl Block {
    fn tell(&self, turn: usize) {
        self.told[turn].store(self.head.generation(), Release);
    }
}

/// A series is removed, and its block becomes another one's.
#[test]
fn a_block_in_other_use_is_not_believed() {
    check(
        || {
            let block = Block { head: Head::zeroed(), cells: words([1, 1]), told: Zeroed::zeroed() };
            block.head.begin(1.0);
            block.tell(0);
            block
        },
        |block| {
            block.head.end();
            // The slab zeroes it, and hands it out.
            block.cells.iter().for_each(|cell| cell.store(0, Relaxed));
            block.head.begin(2.0);
            block.tell(1);
            block.cells.iter().for_each(|cell| cell.store(2, Relaxed));
        },
        |block| {
            for (turn, told) in block.told.iter().enumerate() {
                let generation = told.load(Acquire);
                let read = || (block.head.created(), block.cells.each_ref().map(load));
                match (turn, while_current(block.generation(), generation, read)) {
                    (_, None) => {}
                    (0, Some(seen)) => assert_eq!(seen, (1.0, [1, 1])),
                    (_, Some(_)) if generation == 0 => {}
                    (_, Some((created, cells))) => {
                        assert!(created == 2.0 && cells.iter().all(|&cell| cell == 0 || cell == 2), "{cells:?}");
                    }
                }
            }
        },
    );
}

impl Block {
    fn generation(&self) -> &AtomicU32 {
        self.head.generation_word()
    }
}

/// Two places for the bins of an octave, and the words that say which one is theirs.
struct Octave {
    sequence: AtomicU64,
    place: AtomicU64,
    blocks: [[AtomicU64; 2]; 2],
}

/// An octave widens into another block, and the old one is used for something else at once.
#[test]
fn a_widened_octave_is_read_in_one_of_its_blocks() {
    check(
        || Octave {
            sequence: AtomicU64::new(0),
            place: AtomicU64::new(0),
            blocks: [words([65_535, 7]), words([0, 0])],
        },
        |octave| {
            change(&octave.sequence, || {
                octave.blocks[1][0].store(65_536, Relaxed);
                octave.blocks[1][1].store(7, Relaxed);
                octave.place.store(1, Release);
            });
            octave.blocks[0].iter().for_each(|cell| cell.store(99, Relaxed));
        },
        |octave| {
            let read = || octave.blocks[octave.place.load(Acquire) as usize].each_ref().map(load);
            let seen = undisturbed(&octave.sequence, || true, read);
            assert!(matches!(seen, None | Some([65_535 | 65_536, 7])), "{seen:?}");
        },
    );
}

/// A header's word about the log, and two extents of two records of one word each.
struct Log {
    first: AtomicU64,
    extents: [[AtomicU64; 4]; 2],
}

impl Log {
    fn append(&self, extent: usize, used: usize, record: u64) -> usize {
        log::append(&self.extents[extent], used, &record.to_le_bytes())
    }

    /// All records from an extent on.
    fn read(&self, mut extent: usize) -> Vec<u64> {
        let mut records = Vec::new();
        for _ in 0..2 {
            let (next, used) = log::look(&self.extents[extent][0]);
            records.extend(self.extents[extent][2..][..(used / 8).min(2)].iter().map(load));
            if next == 0 {
                break;
            }
            extent = next as usize % 2;
        }
        records
    }
}

fn empty_log() -> Log {
    Log { first: AtomicU64::new(0), extents: [words([0; 4]), words([0; 4])] }
}

/// Records are appended, and a second extent is begun when the first is full.
#[test]
fn records_are_whole_and_in_order() {
    check(
        empty_log,
        |log| {
            let used = log.append(0, 0, 11);
            let used = log.append(0, used, 12);
            log::link(&log.extents[0][0], used, 1);
            log.append(1, 0, 13);
        },
        |log| {
            let mut known = 0;
            for _ in 0..2 {
                let seen = log.read(0);
                assert!([11, 12, 13].starts_with(&seen) && seen.len() >= known, "{seen:?} after {known}");
                known = seen.len();
            }
        },
    );
}

/// The log is begun anew elsewhere, and where it was comes something else.
#[test]
fn a_log_that_was_rewritten_is_not_believed() {
    check(
        || {
            let log = empty_log();
            log.append(0, 0, 11);
            log
        },
        |log| {
            log.append(1, 0, 12);
            log.first.store(1 << 32 | 1, Release);
            fence(SeqCst);
            log.extents[0].iter().for_each(|word| word.store(8 << 32, Relaxed));
        },
        |log| {
            let first = log.first.load(Acquire);
            let seen = log.read(first as u32 as usize);
            fence(Acquire);
            if log.first.load(Acquire) == first {
                assert_eq!(seen, [if first == 0 { 11 } else { 12 }]);
            }
        },
    );
}

/// An info's text changes until the first place is used again, by a text that is as long.
#[test]
fn a_text_is_that_of_one_moment() {
    /// Where the text is, when it was set, and two places.
    type Info = ([AtomicU64; 2], [[AtomicU64; 2]; 2]);
    fn set(info: &Info, place: usize, value: u64) {
        info.1[place].iter().for_each(|word| word.store(value, Relaxed));
        info.0[1].store(value, Release);
        info.0[0].store(place as u64, Release);
        fence(Release);
    }
    check(
        || (words([0, 1]), [words([1, 1]), words([0, 0])]),
        |info| {
            set(info, 1, 2);
            set(info, 0, 3);
        },
        |info| {
            let before = info.0[0].load(Acquire);
            let since = info.0[1].load(Acquire);
            let seen = info.1[before as usize].each_ref().map(load);
            fence(Acquire);
            if info.0[0].load(Acquire) == before && load(&info.0[1]) == since {
                assert_eq!(seen[0], seen[1]);
            }
        },
    );
}
