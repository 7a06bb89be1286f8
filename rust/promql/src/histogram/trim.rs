//! The operators `</` and `>/`: a histogram without the observations above or below a number.

use super::{Bucket, Histogram};

/// Which observations stay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those up to the number: `</`.
    Below,
    /// Those above it: `>/`.
    Above,
}

/// What is kept of a bin: how many, and the value they are counted at in the sum.
struct Kept {
    count: f64,
    middle: f64,
}

impl Histogram {
    pub(crate) fn trim(&mut self, number: f64, keep: Keep) {
        let linear = self.is_custom();
        let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
        let (mut has_positive, mut has_negative) = (false, false);
        for positive in [true, false] {
            let mut bins = std::mem::take(if positive { &mut self.positive } else { &mut self.negative });
            for bin in &mut bins {
                if bin.count == 0.0 {
                    continue;
                }
                if positive {
                    has_positive = true;
                } else {
                    has_negative = true;
                }
                let bucket = if positive { self.positive_bucket(bin) } else { self.negative_bucket(bin) };
                let kept = match keep {
                    Keep::Below if bucket.upper <= number => whole(&bucket, positive, linear),
                    Keep::Above if bucket.lower >= number => whole(&bucket, positive, linear),
                    Keep::Below if bucket.lower < number => part(&bucket, number, keep, positive, linear),
                    Keep::Above if bucket.upper > number => part(&bucket, number, keep, positive, linear),
                    _ => Kept { count: 0.0, middle: 0.0 },
                };
                count += kept.count;
                sum += kept.middle * kept.count;
                changed |= bin.count != kept.count;
                bin.count = kept.count;
            }
            *(if positive { &mut self.positive } else { &mut self.negative }) = bins;
        }
        if self.zero_count > 0.0 {
            let kept = zero(&self.zero_bucket(), number, has_negative, has_positive, keep);
            changed |= self.zero_count != kept.count;
            self.zero_count = kept.count;
            count += kept.count;
            sum += kept.middle * kept.count;
        }
        if changed {
            self.count = count;
            self.sum = sum;
            self.compact();
        }
    }
}

fn whole(bucket: &Bucket, positive: bool, linear: bool) -> Kept {
    Kept { count: bucket.count, middle: middle(bucket.lower, bucket.upper, positive, linear) }
}

fn part(bucket: &Bucket, number: f64, keep: Keep, positive: bool, linear: bool) -> Kept {
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return infinite(bucket, number, keep);
    }
    let below = if number <= bucket.lower {
        0.0
    } else if number >= bucket.upper {
        bucket.count
    } else {
        bucket.count * bucket.fraction_below(number, linear)
    };
    match keep {
        Keep::Below => Kept { count: below, middle: middle(bucket.lower, number, positive, linear) },
        Keep::Above => Kept { count: bucket.count - below, middle: middle(number, bucket.upper, positive, linear) },
    }
}

/// A bin without an end: how its observations lie is not known, so it is kept whole or not at all, but for a lowest
/// custom bin of positive values, which starts at 0.
fn infinite(bucket: &Bucket, number: f64, keep: Keep) -> Kept {
    let finite = |value: f64| if value.is_infinite() { 0.0 } else { value };
    let kept = |count, middle| Kept { count, middle };
    let (lower, upper, count) = (bucket.lower, bucket.upper, bucket.count);
    if lower == f64::NEG_INFINITY {
        let from_zero = upper != f64::INFINITY;
        return match keep {
            Keep::Below if number >= upper => kept(count, 0.0),
            Keep::Below if number > 0.0 && upper > 0.0 && from_zero => kept(count * number / upper, number / 2.0),
            Keep::Below if upper <= 0.0 => kept(count, number),
            Keep::Above if number <= lower => kept(count, 0.0),
            Keep::Above if number >= 0.0 && upper > number && from_zero => {
                kept(count * (1.0 - number / upper), (number + upper) / 2.0)
            }
            _ => kept(0.0, finite(upper)),
        };
    }
    match keep {
        Keep::Above if number >= lower => kept(count, number),
        _ => kept(0.0, finite(lower)),
    }
}

fn zero(bucket: &Bucket, number: f64, has_negative: bool, has_positive: bool, keep: Keep) -> Kept {
    let lower = if has_positive && !has_negative { 0.0 } else { bucket.lower };
    let upper = if has_negative && !has_positive { 0.0 } else { bucket.upper };
    let width = upper - lower;
    let all = Kept { count: bucket.count, middle: (lower + upper) / 2.0 };
    let none = Kept { count: 0.0, middle: 0.0 };
    match keep {
        Keep::Below if number <= lower => none,
        Keep::Below if number >= upper => all,
        Keep::Below => Kept { count: bucket.count * (number - lower) / width, middle: (lower + number) / 2.0 },
        Keep::Above if number <= lower => all,
        Keep::Above if number >= upper => none,
        Keep::Above => Kept { count: bucket.count * (upper - number) / width, middle: (number + upper) / 2.0 },
    }
}

fn middle(lower: f64, upper: f64, positive: bool, linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if linear => (lower + upper) / 2.0,
        (false, false) => (lower * upper).abs().sqrt() * if positive { 1.0 } else { -1.0 },
    }
}
