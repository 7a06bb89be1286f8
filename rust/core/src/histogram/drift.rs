//! How far one distribution is from another, from the bins of the native grid.

use super::filled::Filled;

/// Index of the values below zero, which share one bin.
pub const BELOW: i32 = i32::MIN;
/// Index of zero and what is subnormal.
pub const ZERO: i32 = i32::MIN + 1;
/// Index of `+Inf`.
pub const ABOVE: i32 = i32::MAX;

/// Counts by bin, ascending: bin `i` is `(2^((i-1)/128), 2^(i/128)]`.
pub type Bins = Vec<(i32, u64)>;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// Population stability index over ten groups of bins, each a tenth of the baseline or as near as bins allow.
    pub psi: f64,
    /// The greatest distance of the two distribution functions.
    pub ks: f64,
    /// The mean distance of the values, in standard deviations of the baseline. Nothing where values have no place on
    /// the grid (negative, infinite), or the baseline has one value only.
    pub wasserstein: Option<f64>,
}

/// The bins of a histogram.
pub fn bins(filled: &Filled) -> Bins {
    let tail = filled.tail;
    let low = [(BELOW, tail.below), (ZERO, tail.zero)].into_iter();
    low.chain(filled.bins.iter().copied()).chain([(ABOVE, tail.above)]).filter(|&(_, count)| count > 0).collect()
}

/// What was recorded between two moments; what was taken away in between counts as nothing.
pub fn since(now: &[(i32, u64)], before: &[(i32, u64)]) -> Bins {
    let left = merged(now, before).map(|(index, now, before)| (index, now.saturating_sub(before)));
    left.filter(|&(_, count)| count > 0).collect()
}

/// Both counts of each bin that one of them has, ascending.
fn merged<'a>(ours: &'a [(i32, u64)], theirs: &'a [(i32, u64)]) -> impl Iterator<Item = (i32, u64, u64)> + 'a {
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    std::iter::from_fn(move || {
        let index = match (ours.peek(), theirs.peek()) {
            (Some(one), Some(other)) => one.0.min(other.0),
            (Some(one), None) | (None, Some(one)) => one.0,
            (None, None) => return None,
        };
        let count = |next: Option<&(i32, u64)>| next.map_or(0, |one| one.1);
        Some((index, count(ours.next_if(|one| one.0 == index)), count(theirs.next_if(|one| one.0 == index))))
    })
}

/// The value that stands for a bin.
fn middle(index: i32) -> Option<f64> {
    match index {
        BELOW | ABOVE => None,
        ZERO => Some(0.0),
        index => {
            let bound = |index: i32| (f64::from(index) / 128.0).exp2();
            Some(f64::midpoint(bound(index - 1), bound(index)))
        }
    }
}

/// Compares a window with a baseline; nothing when one of them is empty.
pub fn drift(baseline: &[(i32, u64)], window: &[(i32, u64)]) -> Option<Drift> {
    let total = |bins: &[(i32, u64)]| bins.iter().map(|one| one.1).sum::<u64>();
    let (n, m) = (total(baseline), total(window));
    if n == 0 || m == 0 {
        return None;
    }
    let (mut psi, mut ks, mut distance) = (0.0, 0.0_f64, Some(0.0));
    let (mut seen, mut group, mut groups) = ((0, 0), (0, 0), 0_u64);
    let mut last = None;
    for (index, ours, theirs) in merged(baseline, window) {
        let apart = (seen.0 as f64 / n as f64 - seen.1 as f64 / m as f64).abs();
        let place = middle(index);
        distance = match (distance, place, last) {
            (Some(sum), Some(place), Some(last)) => Some(sum + apart * (place - last)),
            (Some(sum), Some(_), None) => Some(sum),
            _ => None,
        };
        last = place;
        // And so has what lies below all of the baseline, where many share its lowest value.
        if seen.0 == 0 && ours * 10 >= n {
            psi += part(group, n, m);
            group = (0, 0);
        }
        seen = (seen.0 + ours, seen.1 + theirs);
        group = (group.0 + ours, group.1 + theirs);
        ks = ks.max((seen.0 as f64 / n as f64 - seen.1 as f64 / m as f64).abs());
        // A decile ends with the bin in which it is reached; the tenth has no end. So what lies above a value that many
        // share has a group of its own.
        if seen.0 * 10 >= (groups + 1) * n && groups < 9 {
            psi += part(group, n, m);
            group = (0, 0);
            groups = seen.0 * 10 / n;
        }
    }
    psi += part(group, n, m);
    let spread = spread(baseline, n);
    let wasserstein = distance.zip(spread).map(|(distance, spread)| distance / spread);
    Some(Drift { psi, ks, wasserstein })
}

/// A group's share of the index. An empty side counts as half a value: its logarithm would be infinite.
fn part((ours, theirs): (u64, u64), n: u64, m: u64) -> f64 {
    if ours == 0 && theirs == 0 {
        return 0.0;
    }
    let share = |count: u64, all: u64| (count as f64).max(0.5) / all as f64;
    let (p, q) = (share(ours, n), share(theirs, m));
    (q - p) * (q / p).ln()
}

fn spread(bins: &[(i32, u64)], n: u64) -> Option<f64> {
    if bins.len() < 2 {
        return None; // rounding alone would make a spread of one value
    }
    let mut values = Vec::with_capacity(bins.len());
    for &(index, count) in bins {
        values.push((middle(index)?, count as f64));
    }
    let mean = values.iter().map(|(value, count)| value * count).sum::<f64>() / n as f64;
    let variance = values.iter().map(|(value, count)| (value - mean).powi(2) * count).sum::<f64>() / n as f64;
    (variance > 0.0).then(|| variance.sqrt())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn some_bins() -> impl Strategy<Value = Bins> {
        proptest::collection::btree_map(-300..300_i32, 1..200_u64, 1..60).prop_map(|bins| bins.into_iter().collect())
    }

    proptest! {
        #[test]
        fn it_is_nothing_against_itself_and_bounded_against_others(a in some_bins(), b in some_bins()) {
            let same = drift(&a, &a).unwrap();
            prop_assert_eq!((same.psi, same.ks), (0.0, 0.0));
            prop_assert!(same.wasserstein.is_none_or(|far| far == 0.0));
            let other = drift(&a, &b).unwrap();
            prop_assert!(other.psi >= 0.0 && other.psi.is_finite());
            prop_assert!((0.0..=1.0).contains(&other.ks));
            prop_assert!((other.ks - drift(&b, &a).unwrap().ks).abs() < 1e-12);
        }

        #[test]
        fn ks_and_wasserstein_are_those_of_the_values_one_by_one(a in some_bins(), b in some_bins()) {
            let found = drift(&a, &b).unwrap();
            let values = |bins: &Bins| -> Vec<f64> {
                bins.iter().flat_map(|&(index, count)| vec![middle(index).unwrap(); count as usize]).collect()
            };
            let (a, b) = (values(&a), values(&b));
            let below = |all: &[f64], x: f64| all.iter().filter(|value| **value <= x).count() as f64 / all.len() as f64;
            let mut places: Vec<f64> = a.iter().chain(&b).copied().collect();
            places.sort_by(f64::total_cmp);
            places.dedup();
            let apart: Vec<f64> = places.iter().map(|&x| (below(&a, x) - below(&b, x)).abs()).collect();
            let ks = apart.iter().copied().fold(0.0, f64::max);
            prop_assert!((found.ks - ks).abs() < 1e-9);
            let far: f64 = places.windows(2).zip(&apart).map(|(pair, apart)| (pair[1] - pair[0]) * apart).sum();
            let mean = a.iter().sum::<f64>() / a.len() as f64;
            let deviation = (a.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / a.len() as f64).sqrt();
            if let Some(found) = found.wasserstein {
                prop_assert!((found - far / deviation).abs() <= 1e-6 * (1.0 + found));
            }
        }

        #[test]
        fn a_window_is_what_came_since(a in some_bins(), b in some_bins()) {
            let mut sum: BTreeMap<i32, u64> = a.iter().copied().collect();
            for &(index, count) in &b {
                *sum.entry(index).or_default() += count;
            }
            let now: Bins = sum.into_iter().collect();
            prop_assert_eq!(since(&now, &a), b);
            prop_assert_eq!(since(&now, &now), vec![]);
        }
    }

    #[test]
    fn empty_sides_and_values_off_the_grid() {
        assert_eq!(drift(&[], &[(1, 1)]), None);
        assert_eq!(drift(&[(1, 1)], &[]), None);
        let found = drift(&[(BELOW, 10), (5, 10)], &[(5, 10), (ABOVE, 3)]).unwrap();
        assert_eq!(found.wasserstein, None);
        assert!(found.psi > 0.25 && found.ks > 0.4);
        // A value that all share, and another one above or below it.
        assert!(drift(&[(5, 10)], &[(6, 10)]).unwrap().psi > 1.0);
        assert!(drift(&[(5, 10)], &[(4, 10)]).unwrap().psi > 1.0);
        assert_eq!(drift(&[(ZERO, 10)], &[(ZERO, 3)]).unwrap().wasserstein, None);
    }
}
