//! The classic buckets of one histogram and its sum, as differences.
//!
//! A sum is kept in units of 2^-24 (60 ns, if it is one of seconds), rounded down: always to the same number, so that
//! no level and no chunk shows less than another one showed before.

use crate::bits::{unzigzag, zigzag, BitReader, Bits, Golomb};

/// Units of a sum in one.
const UNITS: f64 = (1u64 << 24) as f64;
/// Sums beyond this are kept as they are.
const LIMIT: f64 = (1u64 << 38) as f64;

/// A histogram's buckets at a tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classic {
    /// The count of each bucket, not cumulative; the last is that of `+Inf`.
    pub counts: Vec<u64>,
    /// The sum, as [`kept`] keeps it.
    pub sum: f64,
}

/// A sum as it is kept.
pub fn kept(sum: f64) -> f64 {
    if sum.abs() < LIMIT {
        (sum * UNITS).floor() / UNITS
    } else {
        sum
    }
}

impl Classic {
    /// Whether a counter of it has become less: then it counts anew.
    pub fn is_reset(&self, before: &Classic) -> bool {
        self.counts.len() != before.counts.len() || self.counts.iter().zip(&before.counts).any(|(now, was)| now < was)
    }
}

/// What writer and reader of one chunk both know.
#[derive(Clone, Debug, Default)]
pub struct Coder {
    /// The sample.
    pub now: Classic,
    /// How much each bucket grows.
    steps: Vec<Golomb>,
    sums: Golomb,
    /// The buckets that have grown in this chunk lie between these.
    range: (usize, usize),
}

fn units(sum: f64) -> Option<i64> {
    (sum.abs() < LIMIT).then_some((sum * UNITS) as i64)
}

impl Coder {
    /// A coder of so many buckets.
    pub fn new(buckets: usize) -> Self {
        Coder {
            now: Classic { counts: vec![0; buckets], sum: 0.0 },
            steps: vec![Golomb::default(); buckets],
            sums: Golomb::expecting(1 << 20),
            range: (0, 0),
        }
    }

    fn restart(&mut self) {
        *self = Coder::new(self.now.counts.len());
    }

    /// Appends a sample that does not depend on those before.
    pub fn push_absolute(&mut self, new: &Classic, bits: &mut Bits) {
        self.restart();
        self.push(new, bits);
        self.forget_sizes();
    }

    /// Reads what [`push_absolute`](Self::push_absolute) wrote.
    pub fn read_absolute(&mut self, bits: &mut BitReader<'_>) {
        self.restart();
        self.read(bits);
        self.forget_sizes();
    }

    /// Totals say nothing about the steps that follow.
    fn forget_sizes(&mut self) {
        self.steps.fill(Golomb::default());
        self.sums = Golomb::expecting(1 << 20);
    }

    /// Appends the differences to the sample before.
    ///
    /// # Panics
    /// When the new one has other buckets, or fewer counts.
    pub fn push(&mut self, new: &Classic, bits: &mut Bits) {
        assert_eq!(new.counts.len(), self.now.counts.len(), "a chunk has the buckets it began with");
        if let (Some(before), Some(now)) = (units(self.now.sum), units(new.sum)) {
            bits.push(0, 1);
            self.sums.push(zigzag(now.wrapping_sub(before)), bits);
            self.now.sum = new.sum;
        } else {
            bits.push(1, 1);
            bits.push(new.sum.to_bits(), 64);
            self.now.sum = new.sum;
        }
        let changed = |index: &usize| new.counts[*index] != self.now.counts[*index];
        let first = (0..new.counts.len()).find(changed);
        let last = (0..new.counts.len()).rfind(changed);
        let (low, high) = self.range;
        let wider = match (first, last) {
            (Some(first), Some(last)) if low == high => (first, last + 1),
            (Some(first), Some(last)) => (low.min(first), high.max(last + 1)),
            _ => self.range,
        };
        bits.push(u64::from(wider != self.range), 1);
        if wider != self.range {
            bits.push_gamma(wider.0 as u64 + 1);
            bits.push_gamma((wider.1 - wider.0) as u64);
            self.range = wider;
        }
        for index in wider.0..wider.1 {
            let step = new.counts[index] - self.now.counts[index];
            self.steps[index].push(step, bits);
            self.now.counts[index] = new.counts[index];
        }
    }

    /// Reads what [`push`](Self::push) wrote.
    #[inline]
    pub fn read(&mut self, bits: &mut BitReader<'_>) {
        if bits.bit() {
            self.now.sum = f64::from_bits(bits.read(64));
        } else {
            let step = unzigzag(self.sums.read(bits));
            self.now.sum = units(self.now.sum).unwrap_or(0).wrapping_add(step) as f64 / UNITS;
        }
        if bits.bit() {
            let low = bits.read_gamma() - 1;
            let high = low.saturating_add(bits.read_gamma());
            let buckets = self.now.counts.len() as u64;
            self.range = (low.min(buckets) as usize, high.min(buckets) as usize);
        }
        let (low, high) = self.range;
        for (count, steps) in self.now.counts[low..high].iter_mut().zip(&mut self.steps[low..high]) {
            *count = count.wrapping_add(steps.read(bits));
        }
    }
}
