//! The cells of one histogram series.

use super::buckets::Buckets;
use super::cells::{Far, Slot, Totals};
use super::filled::Filled;
use super::octave::{Octave, REPLACED};
use super::snapshot::{Snapshot, Tail};
use super::{grid, Layout};
use crate::cell::{bump, load_f64, own_f64, store_f64};
use crate::head::Head;
use crate::prefetch::prefetch;
use crate::seqlock::{self, undisturbed};
use crate::slab::{place_of, Block};
use crate::sync::{
    lock, AtomicU64, Mutex,
    Ordering::{Acquire, Relaxed, Release},
    Own,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// One writer at a time (the GIL); any number of readers beside it.
pub struct Histogram {
    layout: Arc<Layout>,
    slot: Block<Slot>,
    /// As many as the layout has bounds.
    buckets: Block<[AtomicU64]>,
    octaves: [Octave; grid::OCTAVES],
    /// Octaves outside the fast range, by biased exponent.
    far: Mutex<BTreeMap<u64, Block<Far>>>,
}

impl Histogram {
    /// An empty histogram with these classic buckets.
    pub fn new(layout: Arc<Layout>) -> Self {
        let buckets = Block::run(layout.bounds().len());
        let octaves = std::array::from_fn(|_| Octave::empty());
        let histogram = Histogram { layout, slot: Block::new(), buckets, octaves, far: Mutex::default() };
        histogram.begin();
        histogram
    }

    /// Writes the words that are not zero while nothing is recorded.
    pub(crate) fn begin(&self) {
        let Totals { min, max, latest, .. } = self.totals();
        store_f64(min, f64::INFINITY);
        store_f64(max, f64::NEG_INFINITY);
        store_f64(latest, f64::NAN);
    }

    #[inline(always)]
    fn totals(&self) -> &Totals {
        &self.slot.totals
    }

    pub(crate) fn head(&self) -> &Head {
        &self.slot.head
    }

    /// Has what a scrape reads first brought nearer.
    #[inline]
    pub(crate) fn fetch(&self) {
        prefetch::<Slot>(&raw const *self.slot, size_of::<Head>() + size_of::<Totals>());
        prefetch(self.buckets.as_ptr(), size_of_val(&*self.buckets).min(256));
    }

    /// Where its block and its buckets lie in the file.
    pub(crate) fn places(&self) -> (u32, u32) {
        (place_of(&*self.slot), place_of(&*self.buckets))
    }

    /// Writes where everything lies, for other processes.
    pub(crate) fn show(&self) {
        for (octave, place) in self.octaves.iter().zip(&self.slot.octaves) {
            place.store(octave.place(), Release);
        }
        self.link(&lock(&self.far));
    }

    /// Chains the far octaves for other processes.
    fn link(&self, far: &BTreeMap<u64, Block<Far>>) {
        let mut next = 0;
        for (&exponent, octave) in far {
            octave.exponent.store(exponent as u32, Relaxed);
            // Whoever comes by one from another finds it whole.
            octave.next.store(next, Release);
            next = place_of(&**octave);
        }
        self.totals().far.store(next, Release);
    }

    /// The classic buckets.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Records a value: seconds, bytes, tokens, dollars. NaN is refused by returning `false`.
    #[inline]
    pub fn record(&self, value: f64) -> bool {
        self.record_near(value) || self.record_many(value, 1)
    }

    /// Records a value of the fast range whose bin has room, as nearly all are; otherwise does nothing and
    /// returns `false`. It calls nothing, so what it is inlined into saves no registers.
    #[inline(always)]
    pub fn record_near(&self, value: f64) -> bool {
        let key = grid::key(value);
        let octave = grid::exponent(key).wrapping_sub(grid::FIRST);
        if octave >= grid::OCTAVES as u64 {
            return false;
        }
        let octave = octave as usize;
        let bin = grid::bin(key);
        if !self.octaves[octave].inc(bin) {
            return false;
        }
        let bucket = self.layout.bucket_from_bin(octave * grid::BINS + bin, value);
        bump(&self.buckets[bucket], 1);
        self.add_to_sum(value, 1);
        true
    }

    /// Records a value that stands for `count` equal ones.
    pub fn record_many(&self, value: f64, count: u64) -> bool {
        self.record_around(value, count, || {})
    }

    /// Records a value that stands for `count` equal ones, doing something once its bucket has them.
    #[cold]
    #[inline(never)]
    fn record_around(&self, value: f64, count: u64, counted: impl FnOnce()) -> bool {
        let key = grid::key(value);
        let octave = grid::exponent(key).wrapping_sub(grid::FIRST);
        if octave >= grid::OCTAVES as u64 {
            return self.record_far(value, count, counted);
        }
        let octave = octave as usize;
        let bin = grid::bin(key);
        let bucket = self.layout.bucket_from_bin(octave * grid::BINS + bin, value);
        bump(&self.buckets[bucket], count);
        counted();
        if !self.octaves[octave].add(bin, count) {
            self.widen(octave, bin, count);
        }
        self.add_to_sum(value, count);
        true
    }

    /// Adds to an octave whose cells must be wider first. A change, because other processes know of no
    /// [`REPLACED`]: whoever read a bin of the old block, which may be in other use by then, reads again.
    #[cold]
    #[inline(never)]
    fn widen(&self, octave: usize, bin: usize, count: u64) {
        let place = &self.slot.octaves[octave];
        let widen = || {
            self.octaves[octave].widen(bin, count, |wider| place.store(wider, Release));
        };
        if self.totals().sequence.own().is_multiple_of(2) {
            self.change(widen);
        } else {
            widen();
        }
    }

    #[inline(always)]
    fn add_to_sum(&self, value: f64, count: u64) {
        let Totals { sum, min, max, .. } = self.totals();
        store_f64(sum, own_f64(sum) + value * count as f64);
        if value < own_f64(min) {
            store_f64(min, value);
        }
        if value > own_f64(max) {
            store_f64(max, value);
        }
    }

    /// Zero, negatives, infinities, and magnitudes outside the fast range: rare, so a lock is fine.
    #[cold]
    #[inline(never)]
    fn record_far(&self, value: f64, count: u64, counted: impl FnOnce()) -> bool {
        if value.is_nan() {
            return false;
        }
        bump(&self.buckets[self.layout.bucket(value)], count);
        counted();
        let exponent = grid::exponent(grid::key(value));
        if value < 0.0 {
            bump(&self.totals().below, count);
        } else if value == f64::INFINITY {
            bump(&self.totals().above, count);
        } else if exponent == 0 || value == 0.0 {
            // Subnormals count as zero: no unit makes 2e-308 of anything interesting.
            bump(&self.totals().zero, count);
        } else {
            let mut far = lock(&self.far);
            let fresh = !far.contains_key(&exponent);
            let octave = far.entry(exponent).or_insert_with(Block::new);
            bump(&octave.bins[grid::bin(grid::key(value))], count);
            if fresh {
                self.link(&far);
            }
        }
        self.add_to_sum(value, count);
        true
    }

    /// Records a sampled value, which stands for itself and for every [`hold`](Self::hold) until the
    /// next one; the first, for those before it too. A series that is sampled uses these two and never
    /// `record`. NaN is refused by returning `false`.
    #[inline]
    pub fn record_sample(&self, value: f64) -> bool {
        if value.is_nan() {
            return false;
        }
        let Totals { held, latest, .. } = self.totals();
        let count = held.own();
        if count == 0 {
            store_f64(latest, value);
            return self.record(value);
        }
        // Readers add the held events to the latest sample themselves, so they must not see them on
        // their way from there into the buckets.
        self.change(|| {
            let before = own_f64(latest);
            // Killed before the bucket has them, they are held; after that they are not, and whoever finds more
            // in the buckets than in the bins knows it, should the next line not have come about.
            self.record_around(if before.is_nan() { value } else { before }, count, || held.store(0, Release));
            store_f64(latest, value);
            self.record_many(value, 1)
        })
    }

    /// Counts an event whose value nobody looked at.
    #[inline(always)]
    pub fn hold(&self) {
        // A reader that sees this event held sees the sample that it is held for: that was stored before.
        let held = &self.totals().held;
        held.store(held.own().wrapping_add(1), Release);
    }

    /// Forgets everything recorded.
    pub fn reset(&self) {
        let Totals { sum, held, below, zero, above, .. } = self.totals();
        self.change(|| {
            for word in self.buckets.iter().chain([sum, held, below, zero, above]) {
                word.store(0, Relaxed);
            }
            self.begin();
            self.slot.octaves.iter().for_each(|place| place.store(0, Relaxed));
            self.octaves.iter().for_each(Octave::clear);
            self.totals().far.store(0, Relaxed);
            lock(&self.far).clear();
        });
    }

    /// Makes a change that readers see wholly or not at all.
    fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        seqlock::change(&self.totals().sequence, change)
    }

    /// Runs a read again while a change is going on: a few nanoseconds, or a time slice when the writer
    /// was interrupted in the middle. After ten milliseconds it is dead, and the loss is that one change.
    fn consistent<T>(&self, mut read: impl FnMut() -> T) -> T {
        undisturbed(&self.totals().sequence, || true, &mut read).unwrap_or_else(read)
    }

    /// The value and number of the events that the latest sample stands for and no bucket holds yet.
    fn held(&self) -> Option<(f64, u64)> {
        let count = self.totals().held.load(Acquire);
        let latest = load_f64(&self.totals().latest);
        (count > 0 && !latest.is_nan()).then_some((latest, count))
    }

    fn copy_buckets(&self, out: &mut Buckets) {
        out.counts.clear();
        out.counts.extend(self.buckets.iter().map(|cell| cell.load(Relaxed)));
        out.sum = load_f64(&self.totals().sum);
    }

    /// The classic buckets, into a buffer that is used again for the next series.
    pub fn read_buckets(&self, out: &mut Buckets) {
        self.consistent(|| {
            self.copy_buckets(out);
            if let Some((value, count)) = self.held() {
                out.counts[self.layout.bucket(value)] += count;
                out.sum += value * count as f64;
            }
        });
    }

    /// The classic buckets and the bins that hold something, into a buffer that is used again for the next series.
    pub fn read_filled(&self, out: &mut Filled) {
        let _reading = REPLACED.read();
        let Totals { below, zero, above, .. } = self.totals();
        self.consistent(|| {
            out.clear();
            self.copy_buckets(&mut out.buckets);
            out.tail = Tail { below: below.load(Relaxed), zero: zero.load(Relaxed), above: above.load(Relaxed) };
            let far = lock(&self.far);
            let far_bins = |range: Range<u64>, out: &mut Filled| {
                for (&exponent, far) in far.range(range) {
                    out.push(exponent, far.bins.iter().map(|cell| cell.load(Relaxed)));
                }
            };
            far_bins(0..grid::FIRST, out);
            for (octave, exponent) in self.octaves.iter().zip(grid::FIRST..) {
                octave.read_filled(exponent, out);
            }
            far_bins(grid::FIRST..u64::MAX, out);
            if let Some((value, count)) = self.held() {
                out.buckets.counts[self.layout.bucket(value)] += count;
                out.buckets.sum += value * count as f64;
                out.add(value, count);
            }
        });
    }

    /// A copy for quantiles and merging.
    pub fn snapshot(&self) -> Snapshot {
        let _reading = REPLACED.read();
        let Totals { min, max, below, zero, above, .. } = self.totals();
        let mut snapshot = self.consistent(|| {
            let mut snapshot = Snapshot::empty(self.layout.clone());
            self.copy_buckets(&mut snapshot.buckets);
            snapshot.tail = Tail { below: below.load(Relaxed), zero: zero.load(Relaxed), above: above.load(Relaxed) };
            for (&exponent, far) in &*lock(&self.far) {
                snapshot.bins.insert(exponent, Box::new(std::array::from_fn(|bin| far.bins[bin].load(Relaxed))));
            }
            for (octave, exponent) in self.octaves.iter().zip(grid::FIRST..) {
                // Most octaves are vacant, and zeros for them would be most of what a snapshot takes.
                if octave.is_vacant() {
                    continue;
                }
                let mut bins = [0; grid::BINS];
                if octave.read(&mut bins) {
                    snapshot.bins.insert(exponent, Box::new(bins));
                }
            }
            (snapshot.min, snapshot.max) = (load_f64(min), load_f64(max));
            if let Some((value, count)) = self.held() {
                snapshot.add(value, count);
            }
            snapshot
        });
        snapshot.settle();
        snapshot
    }
}
