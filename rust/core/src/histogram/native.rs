//! The native (exponential) view: Prometheus native histograms of schema 7 down, OTLP scales likewise.
//!
//! The grid's bins *are* schema 7, so a view is a renumbering, and every lower schema merges whole
//! neighbours: no count is moved across a boundary that it does not lie on.

use super::filled::{Filled, BINS, FINEST};

/// The lowest schema that Prometheus knows: 16 octaves in one bucket.
const COARSEST: i8 = -4;

/// Populated buckets at one schema. Bucket `i` holds values in `(2^((i-1)/2^schema), 2^(i/2^schema)]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Native {
    /// The resolution: `2^schema` buckets an octave.
    pub schema: i8,
    /// Values at or below this (and above zero's other side) are in `zero`.
    pub zero_threshold: f64,
    /// How many of those.
    pub zero: u64,
    /// Index and count of each populated bucket, ascending.
    pub buckets: Vec<(i32, u64)>,
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Native {
    /// The native view at the finest schema that needs at most `limit` buckets, or at the coarsest.
    ///
    /// Populated buckets only ever become more, so a series' schema only ever falls: it cannot flap.
    /// None when there are negative values, of which the grid keeps no bins.
    pub fn new(filled: &Filled, limit: usize) -> Option<Self> {
        if filled.tail.below > 0 {
            return None;
        }
        let mut buckets = filled.bins.clone();
        if filled.tail.above > 0 {
            // +Inf goes behind the bucket of the largest double, as client_golang has it.
            buckets.push(((2046 - 1023 + 1) * BINS + 1, filled.tail.above));
        }
        let mut schema = FINEST;
        while buckets.len() > limit && schema > COARSEST {
            schema -= 1;
            buckets = halve(&buckets);
        }
        let zero = filled.tail.zero;
        let count = zero + buckets.iter().map(|(_, count)| count).sum::<u64>();
        Some(Native { schema, zero_threshold: f64::MIN_POSITIVE, zero, buckets, count, sum: filled.buckets.sum })
    }

    /// Runs of neighbouring buckets as Prometheus wants them: the gap before each run (from index 0 for
    /// the first), its length, and the differences of its counts to the bucket before.
    pub fn spans(&self) -> (Vec<(i32, u32)>, Vec<i64>) {
        let mut spans: Vec<(i32, u32)> = Vec::new();
        let mut deltas = Vec::with_capacity(self.buckets.len());
        let (mut next, mut before) = (0, 0);
        for &(index, count) in &self.buckets {
            match spans.last_mut() {
                Some((_, length)) if index == next => *length += 1,
                _ => spans.push((index - next, 1)),
            }
            next = index + 1;
            deltas.push(count.wrapping_sub(before).cast_signed());
            before = count;
        }
        (spans, deltas)
    }
}

/// The same counts at the next lower schema: buckets `2i - 1` and `2i` become bucket `i`.
fn halve(buckets: &[(i32, u64)]) -> Vec<(i32, u64)> {
    let mut half: Vec<(i32, u64)> = Vec::with_capacity(buckets.len());
    for &(index, count) in buckets {
        let index = (index + 1) >> 1;
        match half.last_mut() {
            Some((last, total)) if *last == index => *total += count,
            _ => half.push((index, count)),
        }
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{Histogram, Layout};
    use proptest::prelude::*;

    fn native(histogram: &Histogram, limit: usize) -> Option<Native> {
        let (mut filled, mut copied) = (Filled::default(), Filled::default());
        histogram.read_filled(&mut filled);
        copied.set(&histogram.snapshot());
        assert_eq!(filled, copied);
        Native::new(&filled, limit)
    }

    fn view(values: &[f64], limit: usize) -> Native {
        let histogram = Histogram::new(Layout::new(&[1.0]).unwrap());
        for &value in values {
            histogram.record(value);
        }
        native(&histogram, limit).expect("no negative values")
    }

    /// The boundary of bucket `index`, from the definition.
    fn bound(schema: i8, index: i32) -> f64 {
        (f64::from(index) / f64::from(schema).exp2()).exp2()
    }

    #[test]
    fn powers_of_two_close_their_bucket_at_every_schema() {
        for limit in [1, 2, 4, 8, 16, 160] {
            let native = view(&[1.0, 2.0, 4.0, 1024.0, 0.25], limit);
            for &(index, _) in &native.buckets {
                let upper = bound(native.schema, index);
                assert!(native.schema < 0 || [1.0, 2.0, 4.0, 1024.0, 0.25].contains(&upper), "{upper}");
            }
        }
    }

    #[test]
    fn negative_values_have_no_native_form() {
        let histogram = Histogram::new(Layout::new(&[1.0]).unwrap());
        histogram.record(-1.0);
        assert_eq!(native(&histogram, 160), None);
    }

    proptest! {
        /// The oracle: every raw value between the boundaries of the bucket that counts it.
        #[test]
        fn counts_equal_the_raw_values(
            values in proptest::collection::vec(prop_oneof![1e-6f64..1e6, Just(0.0), Just(1.0), Just(f64::INFINITY)], 1..200),
            limit in prop::sample::select(vec![1usize, 3, 10, 40, 160]),
        ) {
            let native = view(&values, limit);
            // Neighbours on both sides of 1 never merge, so even the coarsest schema may need more.
            prop_assert!(native.buckets.len() <= limit || native.schema == COARSEST);
            prop_assert_eq!(native.count, values.len() as u64);
            prop_assert_eq!(native.zero, values.iter().filter(|v| **v == 0.0).count() as u64);
            for &(index, count) in native.buckets.iter().filter(|(_, count)| *count > 0) {
                let (low, high) = (bound(native.schema, index - 1), bound(native.schema, index));
                // The boundary itself is rounded here and in the table, so a hair on either side.
                let inside = |margin: f64| values.iter().filter(|v| **v > low * (1.0 + margin) && **v <= high * (1.0 - margin) || high.is_infinite() && v.is_infinite()).count() as u64;
                prop_assert!(inside(1e-13) <= count && count <= inside(-1e-13), "bucket {} at schema {}", index, native.schema);
            }
        }

        #[test]
        fn spans_say_the_same_as_the_buckets(values in proptest::collection::vec(1e-3f64..1e3, 0..100)) {
            let native = view(&values, 160);
            let (spans, deltas) = native.spans();
            let (mut index, mut count, mut rest) = (0, 0i64, deltas.into_iter());
            let mut decoded = Vec::new();
            for (gap, length) in spans {
                index += gap;
                for _ in 0..length {
                    count += rest.next().unwrap();
                    decoded.push((index, count.cast_unsigned()));
                    index += 1;
                }
            }
            prop_assert_eq!(decoded, native.buckets);
        }

        #[test]
        fn the_schema_only_falls(values in proptest::collection::vec(1e-6f64..1e6, 1..200)) {
            let histogram = Histogram::new(Layout::new(&[1.0]).unwrap());
            let mut last = FINEST;
            for value in values {
                histogram.record(value);
                let native = native(&histogram, 20).unwrap();
                prop_assert!(native.schema <= last);
                last = native.schema;
            }
        }
    }
}
