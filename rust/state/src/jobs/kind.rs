//! One type of job: its name, and how many jobs of it were submitted, started, ended, and how.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// The longest name of a type, in bytes; a longer one is cut.
pub const MAX_NAME: usize = 128;
/// Upper bounds of durations and waits, in milliseconds.
pub const BOUNDS_MS: [u64; 20] = [
    5, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    1_800_000, 3_600_000, 7_200_000, 14_400_000,
];
/// Buckets of a histogram; the last one is without a bound.
pub const BUCKETS: usize = BOUNDS_MS.len() + 1;

const NAME_WORDS: usize = MAX_NAME / 8;
const COUNTS: usize = 2 + NAME_WORDS;
const HISTOGRAM: usize = BUCKETS + 1;
const WAIT: usize = COUNTS + 4;
const DURATIONS: usize = WAIT + HISTOGRAM;
/// Words of a type.
pub const WORDS: usize = DURATIONS + Outcome::ALL.len() * HISTOGRAM;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Completed,
    /// It raised, or ran out of time.
    Failed,
    /// It raised, and will be run again.
    Retried,
    /// Somebody ended it.
    Cancelled,
    /// Its process died. How long it ran is not known.
    Lost,
}

impl Outcome {
    /// Those with a duration.
    pub const ALL: [Outcome; 4] = [Outcome::Completed, Outcome::Failed, Outcome::Retried, Outcome::Cancelled];

    /// As the label `status` says it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::Retried => "retried",
            Outcome::Cancelled => "cancelled",
            Outcome::Lost => "lost",
        }
    }

    /// The outcome of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Outcome::Lost]).find(|outcome| outcome.name() == name)
    }
}

/// Counts by bucket, and a sum in nanoseconds.
#[derive(Clone, Copy)]
pub struct Times<'a>(&'a [AtomicU64]);

impl Times<'_> {
    /// Records a time.
    #[inline]
    pub fn record(self, nanoseconds: u64) {
        let bucket = BOUNDS_MS.partition_point(|&bound| bound * 1_000_000 < nanoseconds);
        self.0[bucket].fetch_add(1, Relaxed);
        self.0[BUCKETS].fetch_add(nanoseconds, Relaxed);
    }

    /// How many times were recorded in each bucket.
    pub fn buckets(self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.0[bucket].load(Relaxed))
    }

    /// How many times were recorded.
    pub fn count(self) -> u64 {
        self.buckets().iter().sum()
    }

    /// Their sum, in nanoseconds.
    pub fn sum(self) -> u64 {
        self.0[BUCKETS].load(Relaxed)
    }
}

/// The words of one type.
#[derive(Clone, Copy)]
pub struct Kind<'a>(pub &'a [AtomicU64]);

impl<'a> Kind<'a> {
    /// The hash of its name; 0: nobody's.
    pub fn key(self) -> &'a AtomicU64 {
        &self.0[0]
    }

    /// Its name; nothing before it has been written down.
    pub fn name(self) -> Option<String> {
        let length = self.0[1].load(Acquire) as usize;
        let words = &self.0[2..COUNTS];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
        bytes.truncate(length);
        (1..=MAX_NAME).contains(&length).then(|| String::from_utf8(bytes).ok())?
    }

    /// Writes its name down, of at most `MAX_NAME` bytes. Several may do so at once: they write the same.
    pub fn set_name(self, name: &str) {
        for (word, bytes) in self.0[2..COUNTS].iter().zip(name.as_bytes().chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        self.0[1].store(name.len() as u64, Release);
    }

    /// How many were put into a queue.
    pub fn submitted(self) -> &'a AtomicU64 {
        &self.0[COUNTS]
    }

    /// How often one was started.
    pub fn started(self) -> &'a AtomicU64 {
        &self.0[COUNTS + 1]
    }

    /// How many ended with their process.
    pub fn lost(self) -> &'a AtomicU64 {
        &self.0[COUNTS + 2]
    }

    /// How long they waited in a queue.
    pub fn wait(self) -> Times<'a> {
        Times(&self.0[WAIT..WAIT + HISTOGRAM])
    }

    /// How long those ran that ended so; nothing for lost ones.
    pub fn duration(self, outcome: Outcome) -> Option<Times<'a>> {
        let place = Outcome::ALL.iter().position(|other| *other == outcome)?;
        let first = DURATIONS + place * HISTOGRAM;
        Some(Times(&self.0[first..first + HISTOGRAM]))
    }

    /// Records an end.
    #[inline]
    pub fn end(self, outcome: Outcome, nanoseconds: u64) {
        match self.duration(outcome) {
            Some(times) => times.record(nanoseconds),
            None => {
                self.lost().fetch_add(1, Relaxed);
            }
        }
    }

    /// Adds all counts of another.
    pub fn add(self, other: Kind<'_>) {
        for (mine, its) in self.0[COUNTS..].iter().zip(&other.0[COUNTS..]) {
            mine.fetch_add(its.load(Relaxed), Relaxed);
        }
    }
}

/// The part of a name that a table keeps.
pub fn cut(name: &str) -> &str {
    let most = name.len().min(MAX_NAME);
    &name[..(0..=most).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn buckets_are_those_of_a_naive_twin(times in proptest::collection::vec(0..20_000_000_000_000_u64, 0..50)) {
            let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
            let kind = Kind(&words);
            for &time in &times {
                kind.end(Outcome::Failed, time);
            }
            let failed = kind.duration(Outcome::Failed).unwrap();
            let mut sum = 0;
            for (bucket, count) in failed.buckets().into_iter().enumerate() {
                sum += count;
                let at_most = BOUNDS_MS.get(bucket).map_or(u64::MAX, |bound| bound * 1_000_000);
                prop_assert_eq!(sum, times.iter().filter(|&&time| time <= at_most).count() as u64);
            }
            prop_assert_eq!(failed.sum(), times.iter().sum::<u64>());
            prop_assert_eq!(kind.duration(Outcome::Completed).unwrap().count() + kind.lost().load(Relaxed), 0);
        }

        #[test]
        fn names_come_back(name in "\\PC{1,60}") {
            let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
            let (kind, name) = (Kind(&words), cut(&name));
            kind.set_name(name);
            let found = kind.name();
            prop_assert_eq!(found.as_deref(), Some(name));
        }
    }

    #[test]
    fn outcomes_have_names() {
        for outcome in [Outcome::Completed, Outcome::Failed, Outcome::Retried, Outcome::Cancelled, Outcome::Lost] {
            assert_eq!(Outcome::of_name(outcome.name()), Some(outcome));
        }
        assert_eq!(Outcome::of_name("done"), None);
    }
}
