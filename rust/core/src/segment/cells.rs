//! The cells of one series in one segment, read beside their writer.
//!
//! Nothing that they say is believed further than it can do harm: offsets are checked, counts that no
//! process could reach are taken for none.

use super::damage::Damage;
use super::format::{counter, exemplar, far, gauge, histogram, info, series, GRAIN};
use super::map::{Map, Word};
use super::reader::Segment;
use crate::cell::is_untouched;
use crate::exemplar::Exemplar;
use crate::histogram::{grid, Buckets, Layout, Snapshot};
use crate::labels::is_rendered;
use crate::seqlock::{undisturbed, while_current, TRIES};
use crate::sync::{
    fence, AtomicU16, AtomicU32, AtomicU64, AtomicU8,
    Ordering::{Acquire, Relaxed},
};
use std::sync::Arc;

/// More events than a process sees in its life: a hundred millions a second for twenty years.
const MOST: u64 = 1 << 56;

/// Where one process keeps a series.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// The segment's position.
    pub(super) segment: u32,
    /// The grain of the block.
    pub(super) block: u32,
    /// The grain of the buckets; in the graveyard's gauges, the turn in which the process died.
    pub(super) buckets: u32,
    /// What the block must say.
    pub(super) generation: u32,
    /// The family's number in that segment's log.
    pub(super) family: u32,
    /// The removal epoch when it was made.
    pub(super) stamp: u64,
}

/// A series in a segment.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    segment: &'a Segment,
    source: &'a Source,
    at: usize,
}

impl<'a> Cells<'a> {
    #[inline]
    pub(super) fn new(segment: &'a Segment, source: &'a Source) -> Self {
        Cells { segment, source, at: source.block as usize * GRAIN }
    }

    /// The segment.
    pub(super) fn segment(&self) -> &'a Segment {
        self.segment
    }

    fn map(&self) -> &'a Map {
        self.segment.map()
    }

    /// Has what the classic exposition needs brought nearer: of a histogram, so many buckets.
    #[inline]
    pub(super) fn fetch(&self, buckets: Option<usize>) {
        let Some(buckets) = buckets else { return self.map().fetch(self.at, gauge::SIZE) };
        self.map().fetch(self.at, histogram::BELOW);
        self.map().fetch(self.source.buckets as usize * GRAIN, buckets * size_of::<u64>());
    }

    /// Whether the block is still this series'.
    #[inline]
    pub(super) fn is_current(&self) -> bool {
        let generation = self.map().word::<AtomicU32>(self.at + series::GENERATION);
        generation.is_some_and(|word| word.load(Acquire) == self.source.generation)
    }

    /// Whether the file is so long that the block is in it, and the buckets of a histogram.
    pub(super) fn is_inside(&self, layout: Option<&Layout>) -> bool {
        let size = if layout.is_some() { histogram::SIZE } else { counter::SIZE };
        let buckets = layout.map_or(Some(()), |layout| {
            self.map().run::<AtomicU64>(self.source.buckets as usize * GRAIN, layout.bounds().len()).map(drop)
        });
        buckets.is_some() && self.map().run::<AtomicU64>(self.at, size / 8).is_some()
    }

    /// What was read, if the block was this series' before and after. That there is nothing to read in a block
    /// that is this series' all the while is noted: something in it leads out of the file, or cannot be.
    #[inline]
    fn current<T>(&self, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let generation = self.map().word::<AtomicU32>(self.at + series::GENERATION)?;
        let result = while_current(generation, self.source.generation, read)?;
        if result.is_none() {
            self.segment.note(Damage::Offset);
        }
        result
    }

    #[inline]
    fn u64(&self, offset: usize) -> Option<u64> {
        Some(self.map().word::<AtomicU64>(self.at + offset)?.load(Relaxed))
    }

    #[inline]
    fn f64(&self, offset: usize) -> Option<f64> {
        self.u64(offset).map(f64::from_bits)
    }

    /// When counting began.
    pub(super) fn created(&self) -> Option<f64> {
        self.current(|| self.f64(series::CREATED))
    }

    /// A counter's whole part, and the rest.
    pub(super) fn counter(&self) -> Option<(u64, f64)> {
        self.current(|| Some((self.u64(counter::WHOLE)?, self.f64(counter::FRACTION)?)))
    }

    /// A gauge's value, and when it was set; zero for what was not touched.
    pub(super) fn gauge(&self) -> Option<(f64, f64)> {
        self.value_and_set()
            .map(|(value, set)| if is_untouched(value, set) { (0.0, 0.0) } else { (value, set.max(0.0)) })
    }

    /// The same, unless its process is the child of a fork and has not touched it.
    pub(super) fn touched(&self) -> Option<(f64, f64)> {
        let (value, set) = self.value_and_set().filter(|&(value, set)| !is_untouched(value, set))?;
        // What was set without a time has none.
        Some((value, set.max(0.0)))
    }

    fn value_and_set(&self) -> Option<(f64, f64)> {
        self.current(|| Some((self.f64(gauge::VALUE)?, self.f64(gauge::SET)?)))
    }

    /// An info's text, and when it was set.
    pub(super) fn info(&self) -> Option<(String, f64)> {
        self.current(|| {
            let mut bytes = Vec::new();
            for _ in 0..TRIES {
                // One word, so that place and length belong together.
                let word = self.map().word::<AtomicU64>(self.at + info::TEXT)?;
                let before = word.load(Acquire);
                let (place, length) = ((before as u32) as usize * GRAIN, (before >> 32) as usize);
                if place == 0 {
                    return Some(None);
                }
                let set_at = self.map().word::<AtomicU64>(self.at + info::SET)?;
                let set = set_at.load(Acquire);
                let copied = self.map().copy(place, length, &mut bytes);
                fence(Acquire);
                // Both: the place may have been given up, and be in its third use by now.
                if word.load(Acquire) == before && set_at.load(Relaxed) == set {
                    copied?;
                    let text = String::from_utf8(bytes).ok()?;
                    return is_rendered(text.as_bytes()).then_some(Some((text, f64::from_bits(set))));
                }
            }
            Some(None)
        })
        .flatten()
    }

    /// Runs a read again while a change of more than one value is going on. The owner finishes it in
    /// nanoseconds, unless it was interrupted, or died.
    #[inline]
    fn consistent<T>(&self, mut read: impl FnMut() -> Option<T>) -> Option<T> {
        let sequence = self.map().word::<AtomicU64>(self.at + histogram::SEQUENCE)?;
        if let Some(result) = undisturbed(sequence, || self.segment.is_worth_waiting(), &mut read) {
            return result;
        }
        self.segment.waited_in_vain();
        read()
    }

    /// The value of the latest sample, and how many events it stands for that no bucket holds.
    #[inline]
    fn held(&self, layout: &Layout) -> Option<(f64, u64)> {
        let count = self.map().word::<AtomicU64>(self.at + histogram::HELD)?.load(Acquire);
        let latest = self.f64(histogram::LATEST)?;
        let is_none = count == 0 || count > MOST || latest.is_nan() || self.died_holding(layout);
        Some((latest, if is_none { 0 } else { count }))
    }

    /// Whether the owner died when the held events were in their bucket, and not yet in a bin, nor held no more.
    #[inline]
    fn died_holding(&self, layout: &Layout) -> bool {
        let is_odd = || Some(!self.u64(histogram::SEQUENCE)?.is_multiple_of(2));
        !self.segment.is_alive() && is_odd() == Some(true) && self.has_more_in_buckets(layout) == Some(true)
    }

    #[cold]
    fn has_more_in_buckets(&self, layout: &Layout) -> Option<bool> {
        let mut buckets = Buckets::default();
        self.copy_buckets(layout, &mut buckets)?;
        let mut bins = 0u64;
        for tail in [histogram::BELOW, histogram::ZERO, histogram::ABOVE] {
            bins = bins.saturating_add(self.u64(tail)?);
        }
        // The layout matters to the buckets alone.
        let mut snapshot = Snapshot::empty(Layout::new(&[]).ok()?);
        self.near(&mut snapshot, &mut bins)?;
        self.far(&mut snapshot, &mut bins)?;
        Some(buckets.counts.iter().sum::<u64>() > bins)
    }

    /// Copies the buckets, as many as the layout has.
    #[inline]
    fn copy_buckets(&self, layout: &Layout, out: &mut Buckets) -> Option<()> {
        let cells = self.map().run::<AtomicU64>(self.source.buckets as usize * GRAIN, layout.bounds().len())?;
        let mut total = 0u64;
        out.counts.clear();
        out.counts.extend(cells.iter().map(|cell| {
            let count = cell.load(Relaxed);
            total = total.saturating_add(count);
            count
        }));
        out.sum = self.f64(histogram::SUM)?;
        (total <= MOST).then_some(())
    }

    /// The classic buckets, with held events, into a buffer. False when the series is gone.
    #[inline]
    pub(super) fn buckets(&self, layout: &Layout, out: &mut Buckets) -> bool {
        let read = || {
            self.consistent(|| {
                self.copy_buckets(layout, out)?;
                let (value, count) = self.held(layout)?;
                if count > 0 {
                    out.counts[layout.bucket(value)] += count;
                    out.sum += value * count as f64;
                }
                Some(())
            })
        };
        self.current(read).is_some()
    }

    /// A copy of everything.
    pub(super) fn snapshot(&self, layout: &Arc<Layout>) -> Option<Snapshot> {
        self.current(|| {
            let mut snapshot = self.consistent(|| {
                let mut snapshot = Snapshot::empty(layout.clone());
                self.copy_buckets(layout, &mut snapshot.buckets)?;
                let tail = &mut snapshot.tail;
                tail.below = self.u64(histogram::BELOW)?;
                tail.zero = self.u64(histogram::ZERO)?;
                tail.above = self.u64(histogram::ABOVE)?;
                let mut total = tail.below.saturating_add(tail.zero).saturating_add(tail.above);
                self.near(&mut snapshot, &mut total)?;
                self.far(&mut snapshot, &mut total)?;
                (snapshot.min, snapshot.max) = (self.f64(histogram::MIN)?, self.f64(histogram::MAX)?);
                if total > MOST {
                    return None;
                }
                let (value, count) = self.held(layout)?;
                if count > 0 {
                    snapshot.add(value, count);
                }
                Some(snapshot)
            })?;
            snapshot.settle();
            Some(snapshot)
        })
    }

    /// The octaves of the fast range.
    fn near(&self, snapshot: &mut Snapshot, total: &mut u64) -> Option<()> {
        let octaves = self.map().run::<AtomicU32>(self.at + histogram::OCTAVES, grid::OCTAVES)?;
        for (octave, exponent) in octaves.iter().zip(grid::FIRST..) {
            let octave = octave.load(Acquire);
            let place = (octave >> 2) as usize * GRAIN;
            let bins = match octave & 3 {
                _ if place == 0 => continue,
                0 => self.bins::<AtomicU8>(place, total, |cell| u64::from(cell.load(Relaxed)))?,
                1 => self.bins::<AtomicU16>(place, total, |cell| u64::from(cell.load(Relaxed)))?,
                2 => self.bins::<AtomicU32>(place, total, |cell| u64::from(cell.load(Relaxed)))?,
                _ => self.bins::<AtomicU64>(place, total, |cell| cell.load(Relaxed))?,
            };
            snapshot.bins.insert(exponent, bins);
        }
        Some(())
    }

    fn bins<T: Word>(&self, at: usize, total: &mut u64, get: impl Fn(&T) -> u64) -> Option<Box<[u64; grid::BINS]>> {
        let mut bins = Box::new([0; grid::BINS]);
        for (bin, cell) in bins.iter_mut().zip(self.map().run::<T>(at, grid::BINS)?) {
            *bin = get(cell);
            *total = total.saturating_add(*bin);
        }
        Some(bins)
    }

    /// The octaves outside the fast range.
    fn far(&self, snapshot: &mut Snapshot, total: &mut u64) -> Option<()> {
        let mut at = self.map().word::<AtomicU32>(self.at + histogram::FAR)?.load(Acquire) as usize * GRAIN;
        // There are no more octaves than exponents, and a chain of more bites its tail.
        for _ in 0..2048 {
            if at == 0 {
                break;
            }
            let exponent = u64::from(self.map().word::<AtomicU32>(at + far::EXPONENT)?.load(Relaxed));
            let bins = self.bins::<AtomicU64>(at + far::BINS, total, |cell| cell.load(Relaxed))?;
            if (1..=2046).contains(&exponent) {
                snapshot.bins.entry(exponent).or_insert(bins);
            }
            at = self.map().word::<AtomicU32>(at + far::NEXT)?.load(Acquire) as usize * GRAIN;
        }
        Some(())
    }

    /// The latest exemplar of each of `buckets` buckets, put in the place of older ones.
    pub(super) fn exemplars(&self, buckets: usize, out: &mut Vec<Option<Exemplar>>) {
        let word = self.map().word::<AtomicU32>(self.at + series::EXEMPLARS);
        let place = word.map_or(0, |word| word.load(Acquire)) as usize * GRAIN;
        if place == 0 || !self.is_current() {
            return;
        }
        let all: Vec<Option<Exemplar>> =
            (0..buckets).map(|bucket| self.exemplar(place + bucket * exemplar::SIZE)).collect();
        fence(Acquire);
        // The slots of a series that is gone are another one's by now.
        if !self.is_current() {
            return;
        }
        if self.map().run::<AtomicU64>(place, buckets * exemplar::SIZE / 8).is_none() {
            return self.segment.note(Damage::Offset);
        }
        out.resize(out.len().max(buckets), None);
        for (ours, theirs) in out.iter_mut().zip(all) {
            let since = ours.as_ref().map_or(f64::NEG_INFINITY, |ours| ours.timestamp);
            if theirs.as_ref().is_some_and(|theirs| theirs.timestamp > since) {
                *ours = theirs;
            }
        }
    }

    fn exemplar(&self, at: usize) -> Option<Exemplar> {
        let map = self.map();
        let f64 = |offset| Some(f64::from_bits(map.word::<AtomicU64>(at + offset)?.load(Relaxed)));
        let sequence = map.word::<AtomicU64>(at + exemplar::SEQUENCE)?;
        let mut bytes = Vec::new();
        let read = || {
            let (value, timestamp) = (f64(exemplar::VALUE)?, f64(exemplar::TIMESTAMP)?);
            let length = map.word::<AtomicU32>(at + exemplar::LENGTH)?.load(Relaxed) as usize;
            map.copy(at + exemplar::TEXT, length.min(exemplar::ROOM), &mut bytes)?;
            Some((value, timestamp))
        };
        let Some(seen) = undisturbed(sequence, || self.segment.is_worth_waiting(), read) else {
            // Half an exemplar is worse than none.
            self.segment.waited_in_vain();
            return None;
        };
        let (value, timestamp) = seen?;
        let labels = String::from_utf8(bytes).ok()?;
        // An empty slot, or one that makes no sense.
        let is_good = timestamp > 0.0 && timestamp.is_finite() && is_rendered(labels.as_bytes());
        is_good.then(|| Exemplar { labels: labels.into(), value, timestamp })
    }
}
