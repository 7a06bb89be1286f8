//! Bins with their bounds: what quantiles, fractions, trims and JSON walk through.

use super::{Bin, Histogram, CUSTOM};

/// A bin with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether the lower bound is in the bin.
    pub lower_inclusive: bool,
    /// Whether the upper bound is in the bin.
    pub upper_inclusive: bool,
    /// How many observations.
    pub count: f64,
}

impl Bucket {
    /// The part of the bin's width at or below a value strictly inside it: linear, or on a logarithmic scale as
    /// exponential bins are divided.
    pub(crate) fn fraction_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let (lower, upper) = (self.lower.abs().log2(), self.upper.abs().log2());
        let value_log = value.abs().log2();
        if value > 0.0 {
            (value_log - lower) / (upper - lower)
        } else {
            1.0 - (value_log - upper) / (lower - upper)
        }
    }
}

/// The upper bound of an exponential bin.
pub fn exponential_bound(index: i32, schema: i8) -> f64 {
    let overflow = 1 << schema.clamp(-4, 8).max(0);
    let (exponent, fraction) = if schema <= 0 {
        (i64::from(index) << (-schema).clamp(0, 4), 0.0)
    } else {
        let within = index.rem_euclid(overflow);
        (i64::from(index.div_euclid(overflow)), f64::from(within) / f64::from(overflow))
    };
    if exponent == 1024 && fraction == 0.0 {
        // The last bin before the one for infinities.
        return f64::MAX;
    }
    if exponent > 1023 {
        return f64::INFINITY;
    }
    if exponent < -1074 {
        return 0.0;
    }
    // In two steps: 2^exponent alone may be subnormal.
    let half = exponent / 2;
    fraction.exp2() * (half as f64).exp2() * ((exponent - half) as f64).exp2()
}

impl Histogram {
    /// Whether the bins have bounds of their own.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM
    }

    pub(crate) fn upper_bound(&self, index: i32) -> f64 {
        if self.is_custom() {
            return usize::try_from(index).ok().and_then(|at| self.bounds.get(at)).copied().unwrap_or(f64::INFINITY);
        }
        exponential_bound(index, self.schema)
    }

    fn lower_bound(&self, index: i32) -> f64 {
        if self.is_custom() && index <= 0 {
            return f64::NEG_INFINITY;
        }
        self.upper_bound(index - 1)
    }

    pub(crate) fn positive_bucket(&self, bin: &Bin) -> Bucket {
        let (lower, upper) = (self.lower_bound(bin.index), self.upper_bound(bin.index));
        let lower_inclusive = lower < 0.0 && !(self.is_custom() && lower.is_finite());
        Bucket { lower, upper, lower_inclusive, upper_inclusive: true, count: bin.count }
    }

    pub(crate) fn negative_bucket(&self, bin: &Bin) -> Bucket {
        let mirrored = self.positive_bucket(bin);
        Bucket {
            lower: -mirrored.upper,
            upper: -mirrored.lower,
            lower_inclusive: true,
            upper_inclusive: false,
            count: bin.count,
        }
    }

    /// The zero bin.
    pub(crate) fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    /// All bins in ascending order, the zero bin where it belongs if it is not empty. A bin that the zero bin overlaps
    /// starts where that ends.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let negative = self.negative.iter().rev().map(|bin| self.negative_bucket(bin));
        let zero = (self.zero_count > 0.0).then(|| self.zero_bucket());
        let positive = self.positive.iter().map(|bin| self.positive_bucket(bin));
        let threshold = self.zero_threshold;
        let exponential = !self.is_custom();
        negative
            .map(move |mut bucket| {
                if exponential && bucket.upper > -threshold {
                    bucket.upper = -threshold;
                }
                bucket
            })
            .chain(zero)
            .chain(positive.map(move |mut bucket| {
                if exponential && bucket.lower < threshold {
                    bucket.lower = threshold;
                }
                bucket
            }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers() {
        assert_eq!(exponential_bound(0, 0), 1.0);
        assert_eq!(exponential_bound(3, 0), 8.0);
        assert_eq!(exponential_bound(-1, 0), 0.5);
        assert_eq!(exponential_bound(1, -2), 16.0);
        assert_eq!(exponential_bound(128, 7), 2.0);
        assert!((exponential_bound(1, 1) - std::f64::consts::SQRT_2).abs() < 1e-15);
        assert_eq!(exponential_bound(1024, 0), f64::MAX);
        assert_eq!(exponential_bound(1025, 0), f64::INFINITY);
        assert_eq!(exponential_bound(i32::MAX, 0), f64::INFINITY);
        assert_eq!(exponential_bound(i32::MIN, -4), 0.0);
    }
}
