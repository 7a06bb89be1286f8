//! Zero bins of different widths, schemas of different resolution.

use super::{Bin, Histogram};

impl Histogram {
    /// The same observations in bins of a coarser schema; a schema that is not coarser, and custom bins, stay.
    #[must_use]
    pub fn merged(&self, schema: i8) -> Self {
        let mut merged = self.clone();
        merged.merge(schema);
        merged
    }

    pub(crate) fn merge(&mut self, schema: i8) {
        if self.is_custom() || schema >= self.schema {
            return;
        }
        // From 8 to -4 at most.
        let shift = u32::from(self.schema.abs_diff(schema)).min(31);
        for bins in [&mut self.positive, &mut self.negative] {
            let mut merged: Vec<Bin> = Vec::with_capacity(bins.len());
            for bin in bins.iter() {
                let index = (bin.index.wrapping_sub(1) >> shift) + 1;
                match merged.last_mut() {
                    Some(last) if last.index == index => last.count += bin.count,
                    _ => merged.push(Bin { index, count: bin.count }),
                }
            }
            *bins = merged;
        }
        self.schema = schema;
    }

    /// Removes empty bins.
    pub(crate) fn compact(&mut self) {
        self.positive.retain(|bin| bin.count != 0.0);
        self.negative.retain(|bin| bin.count != 0.0);
    }

    /// What the zero bin holds when it is widened, and the width it really gets: one that ends inside a bin that is
    /// not empty takes all of that bin.
    pub(crate) fn zero_count_within(&self, mut threshold: f64) -> (f64, f64) {
        if threshold <= self.zero_threshold {
            return (self.zero_count, self.zero_threshold);
        }
        'again: loop {
            let mut count = self.zero_count;
            for bins in [&self.positive, &self.negative] {
                for bin in bins {
                    // The absolute bounds of negative bins are those of positive ones.
                    let bucket = self.positive_bucket(bin);
                    if bucket.lower >= threshold {
                        break;
                    }
                    count += bin.count;
                    if bucket.upper > threshold && bin.count != 0.0 {
                        threshold = bucket.upper;
                        continue 'again;
                    }
                }
            }
            return (count, threshold);
        }
    }

    /// Widens the zero bin.
    pub(crate) fn widen_zero(&mut self, threshold: f64) {
        let (count, threshold) = self.zero_count_within(threshold);
        self.zero_count = count;
        self.zero_threshold = threshold;
        let schema = self.schema;
        let outside = |bin: &Bin| super::bucket::exponential_bound(bin.index - 1, schema) >= threshold;
        self.positive.retain(|bin| outside(bin) && bin.count != 0.0);
        self.negative.retain(|bin| outside(bin) && bin.count != 0.0);
    }

    /// Widens the zero bin to one that suits both, and returns the other's count in it.
    pub(crate) fn reconcile_zero(&mut self, other: &Self) -> f64 {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = other.zero_count_within(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                self.widen_zero(threshold);
            }
            if threshold.is_nan() || self.zero_threshold.is_nan() {
                break;
            }
        }
        count
    }
}
