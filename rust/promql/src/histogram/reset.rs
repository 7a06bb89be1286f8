//! Whether a counter was reset between two histograms.

use super::arithmetic::shared_bounds;
use super::{Bin, CounterReset, Histogram};

impl Histogram {
    /// Whether the counter was reset between `previous` and this one.
    pub fn is_reset_after(&self, previous: &Self) -> bool {
        match self.reset {
            CounterReset::Reset => return true,
            CounterReset::NotReset => return false,
            CounterReset::Unknown | CounterReset::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.is_custom() {
            return !previous.is_custom() || self.custom_bins_shrank(previous);
        }
        if previous.is_custom() || self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = previous.zero_count_within(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let merged;
        let previous = if previous.schema > self.schema {
            merged = previous.merged(self.schema);
            &merged
        } else {
            previous
        };
        let outside = |bin: &&Bin| self.upper_bound(bin.index) > self.zero_threshold;
        shrank(&self.positive, previous.positive.iter().filter(outside))
            || shrank(&self.negative, previous.negative.iter().filter(outside))
    }

    fn custom_bins_shrank(&self, previous: &Self) -> bool {
        if self.bounds == previous.bounds {
            return shrank(&self.positive, previous.positive.iter());
        }
        let bounds = shared_bounds(&self.bounds, &previous.bounds);
        let (mut current, mut previous) = (self.clone(), previous.clone());
        current.rebound(&bounds);
        previous.rebound(&bounds);
        shrank(&current.positive, previous.positive.iter())
    }

    /// Equality of data: bit by bit, the hint left out.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let numbers = |histogram: &Self| [histogram.count, histogram.sum, histogram.zero_count].map(f64::to_bits);
        let bins = |left: &[Bin], right: &[Bin]| {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.index == right.index && left.count.to_bits() == right.count.to_bits())
        };
        self.schema == other.schema
            && numbers(self) == numbers(other)
            && self.zero_threshold == other.zero_threshold
            && (!self.is_custom() || self.bounds == other.bounds)
            && bins(&self.positive, &other.positive)
            && bins(&self.negative, &other.negative)
    }
}

/// Whether a bin of the previous histogram is smaller or missing in the current one.
fn shrank<'b>(current: &[Bin], previous: impl Iterator<Item = &'b Bin>) -> bool {
    let mut at = 0;
    for bin in previous {
        while current.get(at).is_some_and(|now| now.index < bin.index) {
            at += 1;
        }
        let shrunk = match current.get(at) {
            Some(now) if now.index == bin.index => now.count < bin.count,
            _ => bin.count != 0.0,
        };
        if shrunk {
            return true;
        }
    }
    false
}
