//! A copy of a histogram's cells: quantiles, and exact merging over series, workers and time.

use super::buckets::Buckets;
use super::grid;
use super::layout::Layout;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts of values that no bin holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Below zero.
    pub below: u64,
    /// Zero and subnormal.
    pub zero: u64,
    /// `+Inf`.
    pub above: u64,
}

/// What a histogram held at one moment.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) layout: Arc<Layout>,
    /// The classic view.
    pub buckets: Buckets,
    /// The smallest value, `+Inf` when empty.
    pub min: f64,
    /// The largest value, `-Inf` when empty.
    pub max: f64,
    /// Values outside the grid.
    pub tail: Tail,
    /// Values per bin, by the biased exponent of their octave.
    pub bins: BTreeMap<u64, Box<[u64; grid::BINS]>>,
}

impl Snapshot {
    /// A snapshot of nothing.
    pub fn empty(layout: Arc<Layout>) -> Self {
        let counts = vec![0; layout.bounds().len()];
        Snapshot {
            layout,
            buckets: Buckets { counts, sum: 0.0 },
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            tail: Tail::default(),
            bins: BTreeMap::new(),
        }
    }

    /// The bounds of the classic view.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.buckets.counts.iter().sum()
    }

    /// Adds `count` equal values.
    pub(crate) fn add(&mut self, value: f64, count: u64) {
        self.buckets.counts[self.layout.bucket(value)] += count;
        self.buckets.sum += value * count as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let exponent = grid::exponent(grid::key(value));
        if value < 0.0 {
            self.tail.below += count;
        } else if value == f64::INFINITY {
            self.tail.above += count;
        } else if exponent == 0 || value == 0.0 {
            self.tail.zero += count;
        } else {
            self.bins.entry(exponent).or_insert_with(|| Box::new([0; grid::BINS]))[grid::bin(grid::key(value))] +=
                count;
        }
    }

    /// Widens minimum and maximum to what the bins say: a value recorded during the copy may be in its
    /// bin and not yet in them. Nothing changes when they are those of the values in the bins.
    pub(crate) fn settle(&mut self) {
        let Tail { below, zero, above } = self.tail;
        let bins = self.bins.iter().flat_map(|(&exponent, bins)| {
            let filled = bins.iter().enumerate().filter(|(_, &count)| count > 0);
            filled.map(move |(bin, &count)| (count, grid::lower(exponent, bin), grid::upper(exponent, bin)))
        });
        let ranges = [(below, self.min.min(-0.0), -0.0), (zero, -0.0, f64::MIN_POSITIVE)].into_iter().chain(bins);
        let mut filled = ranges.chain([(above, f64::INFINITY, f64::INFINITY)]).filter(|&(count, ..)| count > 0);
        if let Some(lowest @ (_, _, upper)) = filled.next() {
            let (_, lower, _) = filled.next_back().unwrap_or(lowest);
            self.min = self.min.min(upper);
            self.max = self.max.max(lower);
        }
    }

    /// Adds another snapshot's counts: exactly what one histogram of all the values would hold.
    ///
    /// # Panics
    /// When the classic buckets differ.
    pub fn merge(&mut self, other: &Snapshot) {
        assert!(self.layout.bounds() == other.layout.bounds(), "only histograms of one layout merge");
        for (ours, theirs) in self.buckets.counts.iter_mut().zip(&other.buckets.counts) {
            *ours += theirs;
        }
        self.buckets.sum += other.buckets.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.tail.below += other.tail.below;
        self.tail.zero += other.tail.zero;
        self.tail.above += other.tail.above;
        for (&exponent, theirs) in &other.bins {
            let ours = self.bins.entry(exponent).or_insert_with(|| Box::new([0; grid::BINS]));
            for (ours, theirs) in ours.iter_mut().zip(theirs.iter()) {
                *ours += theirs;
            }
        }
    }

    /// The value below or at which a fraction `q` of the values lies (nearest rank), within 0.28 %;
    /// exact at 0 and 1. NaN when empty, or when `q` is not in `[0, 1]`.
    ///
    /// Negative values share one bin: a quantile that falls among them is reported as the minimum.
    pub fn quantile(&self, q: f64) -> f64 {
        // The bins are summed, not the buckets: both were copied while a writer went on.
        let in_bins: u64 = self.bins.values().flat_map(|bins| bins.iter()).sum();
        let total = self.tail.below + self.tail.zero + in_bins + self.tail.above;
        if total == 0 || !(0.0..=1.0).contains(&q) {
            return f64::NAN;
        }
        #[expect(clippy::cast_sign_loss, reason = "q and the total are not negative")]
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total);
        if rank == 1 {
            return self.min;
        }
        if rank == total {
            return self.max;
        }
        let mut seen = self.tail.below;
        if seen >= rank {
            return self.min;
        }
        seen += self.tail.zero;
        if seen >= rank {
            // Subnormals are in here, too, so zero may be below all values.
            // No `clamp`: a half-recorded first value leaves the two crossed, and that would panic.
            return 0f64.max(self.min).min(self.max);
        }
        for (&exponent, bins) in &self.bins {
            for (bin, &count) in bins.iter().enumerate() {
                seen += count;
                if seen >= rank {
                    return grid::middle(exponent, bin).max(self.min).min(self.max);
                }
            }
        }
        self.max
    }
}

#[cfg(all(test, not(loom)))]
#[expect(clippy::float_cmp, reason = "the very values recorded, not computed ones")]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use proptest::prelude::*;

    fn layout() -> Arc<Layout> {
        Layout::new(&[-1.0, 0.0, 0.005, 0.01, 0.25, 1.0, 2.5, 10.0, 1e6]).unwrap()
    }

    fn filled(values: &[f64]) -> Histogram {
        let histogram = Histogram::new(layout());
        for &value in values {
            assert!(histogram.record(value));
        }
        histogram
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => 1e-9f64..1e5,
            1 => any::<f64>().prop_filter("a number", |v| !v.is_nan()),
            1 => prop::sample::select(vec![0.0, -0.0, 0.005, 0.01, 1.0, 2.0, f64::INFINITY, 5e-324, f64::MAX]),
        ]
    }

    proptest! {
        /// The oracle: a sorted list of the raw values.
        #[test]
        fn every_view_equals_the_raw_values(values in proptest::collection::vec(any_value(), 1..300)) {
            let snapshot = filled(&values).snapshot();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let mut cumulative = 0;
            for (bound, count) in layout().bounds().iter().zip(&snapshot.buckets.counts) {
                cumulative += count;
                let naive = values.iter().filter(|v| *v <= bound).count() as u64;
                prop_assert_eq!(cumulative, naive, "le {}", bound);
            }
            prop_assert_eq!(snapshot.count(), values.len() as u64);
            prop_assert_eq!(snapshot.min, sorted[0]);
            prop_assert_eq!(snapshot.max, sorted[sorted.len() - 1]);
            for q in [0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0] {
                let exact = sorted.iter().enumerate().find(|&(below, _)| (below + 1) as f64 >= q * values.len() as f64);
                let exact = *exact.unwrap().1;
                let ours = snapshot.quantile(q);
                if exact > 2.3e-308 && exact.is_finite() {
                    prop_assert!((ours - exact).abs() <= exact * 0.0028, "q {} ours {} exact {}", q, ours, exact);
                } else if exact >= 0.0 && exact.is_finite() {
                    prop_assert!(ours.abs() <= 2.3e-308 || ours == snapshot.max);
                }
            }
        }

        #[test]
        fn merging_equals_recording_together(
            left in proptest::collection::vec(any_value(), 0..100),
            right in proptest::collection::vec(any_value(), 0..100),
        ) {
            let mut merged = filled(&left).snapshot();
            merged.merge(&filled(&right).snapshot());
            let both: Vec<f64> = left.iter().chain(&right).copied().collect();
            let together = filled(&both).snapshot();
            prop_assert_eq!(&merged.buckets.counts, &together.buckets.counts);
            prop_assert_eq!(&merged.bins, &together.bins);
            prop_assert_eq!(merged.tail, together.tail);
            prop_assert_eq!(merged.quantile(0.9).to_bits(), together.quantile(0.9).to_bits());
        }

        /// Whatever is sampled, the count is exact at every moment after the first sample, and no
        /// bucket ever goes backwards.
        #[test]
        fn held_events_are_counted_exactly(script in proptest::collection::vec(prop::option::weighted(0.2, 0.001f64..20.0), 1..200)) {
            let histogram = Histogram::new(layout());
            let (mut events, mut sampled) = (0, false);
            let mut previous = vec![0; layout().bounds().len()];
            for step in script {
                events += 1;
                match step {
                    Some(value) => { histogram.record_sample(value); sampled = true; }
                    None => histogram.hold(),
                }
                let mut now = Buckets::default();
                histogram.read_buckets(&mut now);
                prop_assert_eq!(now.counts.iter().sum::<u64>(), if sampled { events } else { 0 });
                prop_assert!(now.counts.iter().zip(&previous).all(|(now, before)| now >= before));
                let snapshot = histogram.snapshot();
                prop_assert_eq!(&snapshot.buckets.counts, &now.counts);
                prop_assert_eq!(snapshot.bins.values().flat_map(|b| b.iter()).sum::<u64>(), now.counts.iter().sum::<u64>());
                previous = now.counts;
            }
        }
    }

    /// A reader can meet a value in its bin before the minimum and the maximum know of it, also one
    /// that stands for many.
    #[test]
    fn quantiles_of_a_half_recorded_value_are_near_it() {
        for (value, near) in [(0.3, 0.3), (1e-20, 1e-20), (1e300, 1e300), (0.0, 0.0), (f64::INFINITY, f64::INFINITY)] {
            let mut snapshot = filled(&[value; 3]).snapshot();
            for (min, max) in [(f64::INFINITY, f64::NEG_INFINITY), (value, f64::NEG_INFINITY), (f64::INFINITY, value)] {
                (snapshot.min, snapshot.max) = (min, max);
                snapshot.settle();
                for q in [0.0, 0.5, 1.0] {
                    let ours = snapshot.quantile(q);
                    assert!(ours == near || (ours - near).abs() <= near * 0.0055 + 1e-300, "{value} q {q}: {ours}");
                }
            }
        }
        let mut negative = filled(&[-4.0, -3.0]).snapshot();
        (negative.min, negative.max) = (f64::INFINITY, f64::NEG_INFINITY);
        negative.settle();
        assert!(negative.quantile(0.0) <= 0.0 && negative.quantile(1.0) <= 0.0 && negative.max > f64::NEG_INFINITY);
    }

    #[test]
    fn quantiles_of_subnormals_do_not_cross() {
        let snapshot = filled(&[1.0, 1.2e-308, 1.2e-308]).snapshot();
        assert!(snapshot.quantile(0.0) <= snapshot.quantile(0.5), "{}", snapshot.quantile(0.5));
    }

    #[test]
    fn nothing_recorded_has_no_quantile() {
        let histogram = Histogram::new(layout());
        assert!(histogram.snapshot().quantile(0.5).is_nan());
        assert!(!histogram.record(f64::NAN));
        assert!(!histogram.record_sample(f64::NAN));
        assert_eq!(histogram.snapshot().count(), 0);
        histogram.record(1.0);
        assert!(histogram.snapshot().quantile(1.5).is_nan());
        histogram.reset();
        assert_eq!(histogram.snapshot().count(), 0);
    }

    /// A scrape beside a writer never sees a count go backwards, nor a freed octave.
    #[test]
    fn readers_beside_a_writer_see_monotone_counts() {
        let histogram = filled(&[]);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for i in 0..400_000u32 {
                    histogram.record(f64::from(i % 1000 + 1) * 1e-3);
                }
            });
            let mut last = 0;
            while !writer.is_finished() {
                let in_bins: u64 = histogram.snapshot().bins.values().flat_map(|b| b.iter()).sum();
                assert!(in_bins >= last);
                last = in_bins;
            }
        });
        assert_eq!(histogram.snapshot().count(), 400_000);
    }
}
