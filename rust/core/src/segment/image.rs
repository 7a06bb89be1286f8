//! The bytes of a segment file, put together in memory: what the graveyard is written from.

use super::format::{counter, exemplar, extent, family, far, gauge, header, histogram, info, series, Header, GRAIN};
use super::record::Record;
use crate::exemplar::Exemplar;
use crate::histogram::{grid, Snapshot};

/// What every block says that nobody ever uses again.
pub(super) const GENERATION: u32 = 1;

/// A file's blocks, and its log.
pub(super) struct Image {
    bytes: Vec<u8>,
    log: Vec<u8>,
}

impl Image {
    /// A file without blocks.
    pub(super) fn new() -> Self {
        Image { bytes: vec![0; header::SIZE], log: Vec::new() }
    }

    fn block(&mut self, size: usize) -> usize {
        let at = self.bytes.len();
        self.bytes.resize(at + size.next_multiple_of(GRAIN), 0);
        at
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn u32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    fn u64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    fn f64(&mut self, at: usize, value: f64) {
        self.put(at, &value.to_le_bytes());
    }

    /// Appends to the log.
    pub(super) fn record(&mut self, record: &Record) {
        record.encode(&mut self.log);
    }

    /// The block of a family; its grain.
    pub(super) fn family(&mut self, (folded, refused): (u64, u64)) -> u32 {
        let at = self.block(family::SIZE);
        self.u32(at + family::GENERATION, GENERATION);
        self.u64(at + family::FOLDED, folded);
        self.u64(at + family::REFUSED, refused);
        grain(at)
    }

    fn series(&mut self, size: usize, created: f64) -> usize {
        let at = self.block(size);
        self.u32(at + series::GENERATION, GENERATION);
        self.f64(at + series::CREATED, created);
        at
    }

    /// The block of a counter.
    pub(super) fn counter(&mut self, created: f64, (whole, fraction): (u64, f64)) -> u32 {
        let at = self.series(counter::SIZE, created);
        self.u64(at + counter::WHOLE, whole);
        self.f64(at + counter::FRACTION, fraction);
        grain(at)
    }

    /// The block of a gauge or state set.
    pub(super) fn gauge(&mut self, created: f64, (value, set): (f64, f64)) -> u32 {
        let at = self.series(gauge::SIZE, created);
        self.f64(at + gauge::VALUE, value);
        self.f64(at + gauge::SET, set);
        grain(at)
    }

    /// The block of an info.
    pub(super) fn info(&mut self, created: f64, (text, set): (&str, f64)) -> u32 {
        let at = self.series(info::SIZE, created);
        let place = self.block(text.len().max(1));
        self.put(place, text.as_bytes());
        self.u32(at + info::TEXT, grain(place));
        self.u32(at + info::LENGTH, text.len() as u32);
        self.f64(at + info::SET, set);
        grain(at)
    }

    /// The block of a histogram or summary, and that of its buckets.
    pub(super) fn histogram(&mut self, created: f64, snapshot: &Snapshot) -> (u32, u32) {
        let at = self.series(histogram::SIZE, created);
        self.f64(at + histogram::SUM, snapshot.buckets.sum);
        self.f64(at + histogram::MIN, snapshot.min);
        self.f64(at + histogram::MAX, snapshot.max);
        self.f64(at + histogram::LATEST, f64::NAN);
        self.u64(at + histogram::BELOW, snapshot.tail.below);
        self.u64(at + histogram::ZERO, snapshot.tail.zero);
        self.u64(at + histogram::ABOVE, snapshot.tail.above);
        let buckets = self.block(8 * snapshot.buckets.counts.len());
        for (index, &count) in snapshot.buckets.counts.iter().enumerate() {
            self.u64(buckets + 8 * index, count);
        }
        let mut last = at + histogram::FAR;
        for (&exponent, bins) in &snapshot.bins {
            let octave = exponent.wrapping_sub(grid::FIRST) as usize;
            if octave < grid::OCTAVES {
                let tagged = self.octave(bins);
                self.u32(at + histogram::OCTAVES + 4 * octave, tagged);
            } else {
                let place = self.block(far::SIZE);
                self.u32(place + far::EXPONENT, exponent as u32);
                for (bin, &count) in bins.iter().enumerate() {
                    self.u64(place + far::BINS + 8 * bin, count);
                }
                self.u32(last, grain(place));
                last = place + far::NEXT;
            }
        }
        (grain(at), grain(buckets))
    }

    /// The bins of an octave, as narrow as they can be; their grain and width.
    fn octave(&mut self, bins: &[u64; grid::BINS]) -> u32 {
        let most = bins.iter().copied().fold(0, u64::max);
        let width = if u8::try_from(most).is_ok() {
            0
        } else if u16::try_from(most).is_ok() {
            1
        } else if u32::try_from(most).is_ok() {
            2
        } else {
            3
        };
        let bytes = 1 << width;
        let place = self.block(bytes * grid::BINS);
        for (bin, count) in bins.iter().enumerate() {
            self.put(place + bytes * bin, &count.to_le_bytes()[..bytes]);
        }
        grain(place) << 2 | width
    }

    /// The exemplars of the series whose block is at this grain, of which there are at most `buckets`.
    pub(super) fn exemplars(&mut self, of: u32, buckets: usize, exemplars: &[Option<Exemplar>]) {
        if exemplars.iter().all(Option::is_none) {
            return;
        }
        let at = self.block(exemplar::SIZE * buckets);
        for (slot, exemplar) in exemplars.iter().enumerate().take(buckets) {
            let Some(exemplar) = exemplar else { continue };
            let slot = at + slot * exemplar::SIZE;
            let text = exemplar.labels.as_bytes();
            self.f64(slot + exemplar::VALUE, exemplar.value);
            self.f64(slot + exemplar::TIMESTAMP, exemplar.timestamp);
            self.u32(slot + exemplar::LENGTH, text.len() as u32);
            self.put(slot + exemplar::TEXT, &text[..text.len().min(exemplar::ROOM)]);
        }
        self.u32(of as usize * GRAIN + series::EXEMPLARS, grain(at));
    }

    /// The whole file. `None` when it would be larger than offsets reach.
    pub(super) fn finish(mut self, head: &Header, acted: u64) -> Option<Vec<u8>> {
        let log = std::mem::take(&mut self.log);
        let at = self.block(extent::RECORDS + log.len());
        let (used, end) = (u32::try_from(log.len()).ok()?, self.bytes.len());
        // An octave's grain leaves two bits for its width.
        if end / GRAIN >= 1 << 30 {
            return None;
        }
        self.u32(at + extent::USED, used);
        self.u32(at + extent::SIZE, used);
        self.put(at + extent::RECORDS, &log);
        self.put(0, &head.encode());
        self.u64(header::LOG, 1 << 32 | u64::from(grain(at)));
        self.u64(header::ACTED, acted);
        Some(self.bytes)
    }
}

fn grain(at: usize) -> u32 {
    (at / GRAIN) as u32
}
