//! Sums, differences and multiples of histograms.

use std::sync::Arc;

use super::{Bin, CounterReset, Histogram};

/// Exponential bins cannot be combined with custom ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incompatible;

/// What was met when two histograms were combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// One tells of a counter reset where the other tells of none.
    pub reset_collision: bool,
    /// Custom bounds differed; the bounds in both were kept.
    pub reconciled: bool,
}

impl Histogram {
    /// Adds another histogram.
    ///
    /// # Errors
    /// One of them, not both, has custom bins.
    pub fn add(&mut self, other: &Self) -> Result<Notes, Incompatible> {
        self.combine(other, 1.0)
    }

    /// Subtracts another histogram.
    ///
    /// # Errors
    /// One of them, not both, has custom bins.
    pub fn subtract(&mut self, other: &Self) -> Result<Notes, Incompatible> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Self, sign: f64) -> Result<Notes, Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        let reset_collision = self.combine_hint(other.reset);
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        if self.is_custom() {
            let reconciled = self.bounds != other.bounds;
            if reconciled {
                let bounds = shared_bounds(&self.bounds, &other.bounds);
                self.rebound(&bounds);
                let mut other = other.clone();
                other.rebound(&bounds);
                self.positive = sum_bins(&self.positive, &other.positive, sign);
                self.compact();
            } else {
                self.positive = sum_bins(&self.positive, &other.positive, sign);
            }
            return Ok(Notes { reset_collision, reconciled });
        }
        self.zero_count += sign * self.reconcile_zero(other);
        self.merge(other.schema);
        let merged;
        let aligned = if other.schema > self.schema {
            merged = other.merged(self.schema);
            &merged
        } else {
            other
        };
        let (schema, threshold) = (self.schema, self.zero_threshold);
        // What lies in the zero bin was counted there.
        let outside =
            |bins: &[Bin]| bins.partition_point(|bin| super::bucket::exponential_bound(bin.index, schema) <= threshold);
        self.positive = sum_bins(&self.positive, &aligned.positive[outside(&aligned.positive)..], sign);
        self.negative = sum_bins(&self.negative, &aligned.negative[outside(&aligned.negative)..], sign);
        Ok(Notes { reset_collision, reconciled: false })
    }

    /// The hint of a sum; true where one tells of a reset and the other of none.
    pub(crate) fn combine_hint(&mut self, other: CounterReset) -> bool {
        use CounterReset::{Gauge, Unknown};
        match (self.reset, other) {
            (mine, other) if mine == other => false,
            (Gauge, _) => false,
            (_, Gauge) => {
                self.reset = Gauge;
                false
            }
            (mine, other) => {
                self.reset = Unknown;
                mine != Unknown && other != Unknown
            }
        }
    }

    /// Multiplies by a factor.
    pub fn multiply(&mut self, factor: f64) {
        self.each(|value| value * factor);
        if factor < 0.0 {
            self.reset = CounterReset::Gauge;
        }
    }

    /// Divides by a number; 0 removes all bins.
    pub fn divide(&mut self, by: f64) {
        self.each(|value| value / by);
        if by == 0.0 {
            self.positive.clear();
            self.negative.clear();
        } else if by < 0.0 {
            self.reset = CounterReset::Gauge;
        }
    }

    fn each(&mut self, change: impl Fn(f64) -> f64) {
        for value in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *value = change(*value);
        }
        for bin in self.positive.iter_mut().chain(&mut self.negative) {
            bin.count = change(bin.count);
        }
    }

    /// Whether a value is infinite.
    pub(crate) fn overflows(&self) -> bool {
        let values = [self.zero_count, self.count, self.sum];
        values.iter().any(|value| value.is_infinite())
            || self.positive.iter().chain(&self.negative).any(|bin| bin.count.is_infinite())
            || self.bounds.iter().any(|bound| bound.is_infinite())
    }

    /// Moves custom bins to a subset of their bounds.
    pub(crate) fn rebound(&mut self, bounds: &Arc<[f64]>) {
        let mut moved: Vec<Bin> = Vec::with_capacity(self.positive.len());
        for bin in &self.positive {
            let upper = self.upper_bound(bin.index);
            let index = bounds.partition_point(|bound| *bound < upper) as i32;
            match moved.last_mut() {
                Some(last) if last.index == index => last.count += bin.count,
                _ => moved.push(Bin { index, count: bin.count }),
            }
        }
        self.positive = moved;
        self.bounds = Arc::clone(bounds);
    }
}

/// The bounds that both have.
pub(crate) fn shared_bounds(left: &[f64], right: &[f64]) -> Arc<[f64]> {
    left.iter().copied().filter(|bound| right.binary_search_by(|other| other.total_cmp(bound)).is_ok()).collect()
}

fn sum_bins(left: &[Bin], right: &[Bin], sign: f64) -> Vec<Bin> {
    let mut sum = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return sum,
            (Some(left), Some(right)) => left.index.cmp(&right.index),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
        };
        let mine = if order.is_le() { left.next() } else { None };
        let other = if order.is_ge() { right.next() } else { None };
        let index = mine.or(other).map_or(0, |bin| bin.index);
        let count = mine.map_or(0.0, |bin| bin.count) + other.map_or(0.0, |bin| sign * bin.count);
        sum.push(Bin { index, count });
    }
}
