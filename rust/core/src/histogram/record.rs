//! The cells of one histogram series.

use super::octave::{Octave, REPLACED};
use super::snapshot::{Snapshot, Tail};
use super::{grid, Layout};
use crate::cell::{bump, load_f64, store_f64};
use crate::slab::Block;
use crate::sync::{fence, lock, AtomicU64, Mutex, Ordering};
use std::collections::BTreeMap;
use std::sync::Arc;

use Ordering::{Acquire, Relaxed, Release};

/// Words before the bucket counts.
mod word {
    pub const SUM: usize = 0;
    pub const MIN: usize = 1;
    pub const MAX: usize = 2;
    /// Events since the latest sample, which stands for them.
    pub const HELD: usize = 3;
    /// That sample's value.
    pub const LATEST: usize = 4;
    /// Odd while held events are being moved into the buckets.
    pub const SEQUENCE: usize = 5;
    pub const BELOW: usize = 6;
    pub const ZERO: usize = 7;
    pub const ABOVE: usize = 8;
    pub const BUCKETS: usize = 10;
}

/// One writer at a time (the GIL); any number of readers beside it.
pub struct Histogram {
    layout: Arc<Layout>,
    cells: Block,
    octaves: [Octave; grid::OCTAVES],
    /// Octaves outside the fast range, by biased exponent.
    far: Mutex<BTreeMap<u64, Box<[u64; grid::BINS]>>>,
}

/// What the classic exposition of a series needs.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Buckets {
    /// Values per bucket, not cumulative; the last is that of `+Inf`.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

impl Histogram {
    /// An empty histogram with these classic buckets.
    pub fn new(layout: Arc<Layout>) -> Self {
        let cells = Block::new(word::BUCKETS + layout.bounds().len());
        let histogram =
            Histogram { layout, cells, octaves: [const { Octave::empty() }; grid::OCTAVES], far: Mutex::default() };
        histogram.reset();
        histogram
    }

    /// The classic buckets.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    #[inline(always)]
    fn word(&self, index: usize) -> &AtomicU64 {
        &self.cells.slice()[index]
    }

    /// Records a value: seconds, bytes, tokens, dollars. NaN is refused by returning `false`.
    #[inline]
    pub fn record(&self, value: f64) -> bool {
        self.record_many(value, 1)
    }

    /// Records a value that stands for `count` equal ones.
    #[inline]
    pub fn record_many(&self, value: f64, count: u64) -> bool {
        let key = grid::key(value);
        let octave = grid::exponent(key).wrapping_sub(grid::FIRST);
        if octave >= grid::OCTAVES as u64 {
            return self.record_far(value, count);
        }
        let octave = octave as usize;
        let bin = grid::bin(key);
        let bucket = self.layout.bucket_from_bin(octave * grid::BINS + bin, value);
        bump(self.word(word::BUCKETS + bucket), count);
        self.octaves[octave].add(bin, count);
        self.add_to_sum(value, count);
        true
    }

    #[inline(always)]
    fn add_to_sum(&self, value: f64, count: u64) {
        let sum = self.word(word::SUM);
        store_f64(sum, load_f64(sum) + value * count as f64);
        if value < load_f64(self.word(word::MIN)) {
            store_f64(self.word(word::MIN), value);
        }
        if value > load_f64(self.word(word::MAX)) {
            store_f64(self.word(word::MAX), value);
        }
    }

    /// Zero, negatives, infinities, and magnitudes outside the fast range: rare, so a lock is fine.
    #[cold]
    #[inline(never)]
    fn record_far(&self, value: f64, count: u64) -> bool {
        if value.is_nan() {
            return false;
        }
        bump(self.word(word::BUCKETS + self.layout.bucket(value)), count);
        let exponent = grid::exponent(grid::key(value));
        if value < 0.0 {
            bump(self.word(word::BELOW), count);
        } else if value == f64::INFINITY {
            bump(self.word(word::ABOVE), count);
        } else if exponent == 0 || value == 0.0 {
            // Subnormals count as zero: no unit makes 2e-308 of anything interesting.
            bump(self.word(word::ZERO), count);
        } else {
            lock(&self.far).entry(exponent).or_insert_with(|| Box::new([0; grid::BINS]))
                [grid::bin(grid::key(value))] += count;
        }
        self.add_to_sum(value, count);
        true
    }

    /// Records a sampled value, which stands for itself and for every [`hold`](Self::hold) until the
    /// next one. A series that is sampled uses these two and never `record`.
    #[inline]
    pub fn record_sample(&self, value: f64) -> bool {
        let held = self.word(word::HELD);
        let count = held.load(Relaxed);
        if count > 0 && self.is_sampled() {
            // Readers add the held events to the latest sample themselves; the sequence tells them
            // that the events are on their way from there into the buckets.
            let sequence = self.word(word::SEQUENCE);
            sequence.store(sequence.load(Relaxed).wrapping_add(1), Relaxed);
            fence(Release);
            self.record_many(load_f64(self.word(word::LATEST)), count);
            held.store(0, Relaxed);
            sequence.store(sequence.load(Relaxed).wrapping_add(1), Release);
            return self.take_sample(value, 0);
        }
        // The first sample stands for the events before it, too.
        self.take_sample(value, count)
    }

    fn take_sample(&self, value: f64, before: u64) -> bool {
        if value.is_nan() {
            return false;
        }
        self.word(word::LATEST).store(value.to_bits(), Relaxed);
        self.word(word::HELD).store(0, Relaxed);
        self.record_many(value, 1 + before)
    }

    /// Counts an event whose value nobody looked at.
    #[inline(always)]
    pub fn hold(&self) {
        bump(self.word(word::HELD), 1);
    }

    fn is_sampled(&self) -> bool {
        !load_f64(self.word(word::LATEST)).is_nan()
    }

    /// Forgets everything recorded.
    pub fn reset(&self) {
        for word in self.cells.slice() {
            word.store(0, Relaxed);
        }
        store_f64(self.word(word::MIN), f64::INFINITY);
        store_f64(self.word(word::MAX), f64::NEG_INFINITY);
        store_f64(self.word(word::LATEST), f64::NAN);
        self.octaves.iter().for_each(Octave::clear);
        lock(&self.far).clear();
    }

    /// Runs a read again while held events move, a few times at the most: the writer may have died
    /// in the middle, and then the loss is that one move.
    fn consistent<T>(&self, mut read: impl FnMut() -> T) -> T {
        let sequence = self.word(word::SEQUENCE);
        for _ in 0..64 {
            let before = sequence.load(Acquire);
            let result = read();
            fence(Acquire);
            if before % 2 == 0 && sequence.load(Relaxed) == before {
                return result;
            }
            std::hint::spin_loop();
        }
        read()
    }

    /// The value and number of the events that the latest sample stands for and no bucket holds yet.
    fn held(&self) -> Option<(f64, u64)> {
        let count = self.word(word::HELD).load(Relaxed);
        (count > 0 && self.is_sampled()).then(|| (load_f64(self.word(word::LATEST)), count))
    }

    /// The classic buckets, into a buffer that is used again for the next series.
    pub fn read_buckets(&self, out: &mut Buckets) {
        self.consistent(|| {
            out.counts.clear();
            let buckets = &self.cells.slice()[word::BUCKETS..][..self.layout.bounds().len()];
            out.counts.extend(buckets.iter().map(|cell| cell.load(Relaxed)));
            out.sum = load_f64(self.word(word::SUM));
            if let Some((value, count)) = self.held() {
                out.counts[self.layout.bucket(value)] += count;
                out.sum += value * count as f64;
            }
        });
    }

    /// A copy for quantiles and merging.
    pub fn snapshot(&self) -> Snapshot {
        let _reading = REPLACED.read();
        self.consistent(|| {
            let mut buckets = Buckets::default();
            buckets.counts.extend(
                self.cells.slice()[word::BUCKETS..][..self.layout.bounds().len()].iter().map(|c| c.load(Relaxed)),
            );
            buckets.sum = load_f64(self.word(word::SUM));
            let mut snapshot = Snapshot {
                layout: self.layout.clone(),
                buckets,
                min: load_f64(self.word(word::MIN)),
                max: load_f64(self.word(word::MAX)),
                tail: Tail {
                    below: self.word(word::BELOW).load(Relaxed),
                    zero: self.word(word::ZERO).load(Relaxed),
                    above: self.word(word::ABOVE).load(Relaxed),
                },
                bins: lock(&self.far).iter().map(|(&exponent, bins)| (exponent, bins.clone())).collect(),
            };
            for (octave, exponent) in self.octaves.iter().zip(grid::FIRST..) {
                let mut bins = [0; grid::BINS];
                if octave.read(&mut bins) {
                    snapshot.bins.insert(exponent, Box::new(bins));
                }
            }
            if let Some((value, count)) = self.held() {
                snapshot.add(value, count);
            }
            snapshot
        })
    }
}
