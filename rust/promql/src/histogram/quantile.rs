//! Quantiles, fractions and the variance of native histograms.

use super::{Bucket, Histogram};
use crate::kahan::Kahan;

/// What a quantile or fraction met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NanObservations {
    /// Nothing.
    #[default]
    None,
    /// The quantile lies among observations of NaN.
    Result,
    /// Observations of NaN shift the quantile upwards, or are in no fraction.
    Skew,
}

impl Histogram {
    fn one_sided(&self, bucket: &mut Bucket) {
        // A zero bin beside bins of one sign only holds observations of that sign.
        if self.negative.is_empty() && !self.positive.is_empty() {
            bucket.lower = 0.0;
        } else if self.positive.is_empty() && !self.negative.is_empty() {
            bucket.upper = 0.0;
        }
    }

    /// The quantile `0 <= q <= 1`, by exponential interpolation in exponential bins.
    pub(crate) fn quantile(&self, q: f64) -> (f64, NanObservations) {
        use NanObservations::{None, Result, Skew};
        if q < 0.0 {
            return (f64::NEG_INFINITY, None);
        }
        if q > 1.0 {
            return (f64::INFINITY, None);
        }
        if self.count == 0.0 || q.is_nan() {
            return (f64::NAN, None);
        }
        let forward = self.sum.is_nan() || q < 0.5;
        let mut walk: Box<dyn Iterator<Item = Bucket> + '_> =
            if forward { Box::new(self.buckets()) } else { Box::new(self.buckets().rev()) };
        let mut rank = if forward { q * self.count } else { (1.0 - q) * self.count };
        let mut bucket = Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0 };
        let mut count = 0.0;
        for next in walk.by_ref() {
            bucket = next;
            if bucket.count == 0.0 {
                continue;
            }
            count += bucket.count;
            if count >= rank {
                break;
            }
        }
        if !self.is_custom() && bucket.lower < 0.0 && bucket.upper > 0.0 {
            self.one_sided(&mut bucket);
        } else if self.is_custom() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return (bucket.upper, None);
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return (bucket.lower, None);
            }
        }
        count = count.min(self.count);
        if count < rank {
            return if self.sum.is_nan() { (f64::NAN, Result) } else { (bucket.upper, None) };
        }
        rank = if forward { rank - (count - bucket.count) } else { count - rank };
        let mut met = None;
        if self.sum.is_nan() && count + walk.map(|bucket| bucket.count).sum::<f64>() < self.count {
            met = Skew;
        }
        let fraction = rank / bucket.count;
        let width = bucket.upper - bucket.lower;
        if self.is_custom() || bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            return (bucket.lower + width * fraction, met);
        }
        let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
        let value = if bucket.lower > 0.0 {
            (lower + (upper - lower) * fraction).exp2()
        } else {
            -(upper + (lower - upper) * (1.0 - fraction)).exp2()
        };
        (value, met)
    }

    /// The fraction of observations between two values.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> (f64, NanObservations) {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return (f64::NAN, NanObservations::None);
        }
        if lower >= upper {
            return (0.0, NanObservations::None);
        }
        let (mut count, mut rank) = (0.0, 0.0);
        let (mut lower_rank, mut upper_rank) = (None, None);
        let mut walk = self.buckets();
        for mut bucket in walk.by_ref() {
            count += bucket.count;
            let zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if zero {
                self.one_sided(&mut bucket);
            }
            for (bound, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
                if found.is_some() {
                    continue;
                }
                if bucket.lower >= bound {
                    *found = Some(rank);
                } else if bucket.lower < bound && bucket.upper > bound {
                    let linear = self.is_custom() || zero;
                    *found = Some(if linear && bucket.lower == f64::NEG_INFINITY {
                        bucket.count
                    } else {
                        rank + bucket.count * bucket.fraction_below(bound, linear)
                    });
                }
            }
            if lower_rank.is_some() && upper_rank.is_some() {
                break;
            }
            rank += bucket.count;
        }
        let mut met = NanObservations::None;
        if self.sum.is_nan() {
            count += walk.map(|bucket| bucket.count).sum::<f64>();
            if count < self.count {
                met = NanObservations::Skew;
            }
        } else {
            count = self.count;
        }
        let capped = |rank: Option<f64>| rank.filter(|rank| !(*rank > count)).unwrap_or(count);
        ((capped(upper_rank) - capped(lower_rank)) / self.count, met)
    }

    /// The variance, each bin at its middle: geometric in exponential bins, arithmetic in custom ones.
    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let mut sum = Kahan::default();
        for bucket in self.buckets().filter(|bucket| bucket.count != 0.0) {
            let value = if self.is_custom() {
                (bucket.upper + bucket.lower) / 2.0
            } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                0.0
            } else {
                (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
            };
            let delta = value - mean;
            sum.add(bucket.count * delta * delta);
        }
        (sum.sum + sum.lost) / self.count
    }
}
