//! Which events are timed: each one by itself with the probability `rate`, decided before any clock is read.
//!
//! The number of events to pass over before the next sample is drawn when a sample is taken. Its distribution is
//! geometric, which makes the choices independent of each other: whether an event is taken, and how many events follow
//! until the next one is, depends on no position and on no other event. A sample stands for itself and those that
//! follow it, `1/rate` events in the mean, so every event counts with `rate * 1/rate = 1`, whatever the traffic: with
//! a period, in bursts, or divided among many series that share this sampler. (Gaps of any other distribution know how
//! long ago the last sample was; one event in each block, or gaps uniform on 1 to 199, let the first event of a burst
//! count more than the last.) The price is variance: with weights of mean `1/rate` and mean square
//! `(2 - rate)/rate^2`, an estimated share of `n` samples has up to twice the variance of `n` equal ones.
//!
//! An event that is not taken costs a decrement and a branch.

use crate::cell::bump;
use crate::error::Error;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Takes one event in `1/rate`. One caller at a time (the GIL).
pub struct Sampler {
    /// Events to pass over before the next sample.
    skip: AtomicU64,
    random: AtomicU64,
    /// The logarithm of the probability that an event is not taken; minus infinity when all are.
    passed: f64,
    rate: f64,
}

impl Sampler {
    /// A sampler seeded by the operating system.
    ///
    /// # Errors
    /// When the rate is not in (0, 1].
    pub fn new(rate: f64) -> Result<Self, Error> {
        Self::with_seed(rate, RandomState::new().hash_one(0))
    }

    /// A sampler whose choices are repeatable.
    ///
    /// # Errors
    /// When the rate is not in (0, 1].
    pub fn with_seed(rate: f64, seed: u64) -> Result<Self, Error> {
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(Error::Rate { rate });
        }
        let passed = (-rate).ln_1p();
        let sampler = Sampler { skip: AtomicU64::new(0), random: AtomicU64::new(seed), passed, rate };
        sampler.skip.store(sampler.gap(), Relaxed);
        Ok(sampler)
    }

    /// The rate.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether this event is to be timed.
    #[inline(always)]
    pub fn take(&self) -> bool {
        let skip = self.skip.load(Relaxed);
        if skip == 0 {
            return self.taken();
        }
        self.skip.store(skip - 1, Relaxed);
        false
    }

    #[inline(never)]
    fn taken(&self) -> bool {
        self.skip.store(self.gap(), Relaxed);
        true
    }

    /// How many events are passed over, `k` with the probability `rate * (1 - rate)^k`: the inverse of the distribution
    /// at a uniform number in (0, 1].
    fn gap(&self) -> u64 {
        let uniform = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        // Zero where all are taken; whatever does not fit is the largest number, which nobody counts up to.
        #[expect(clippy::cast_sign_loss, reason = "the quotient of two logarithms below one is not negative")]
        let gap = (uniform.ln() / self.passed) as u64;
        gap
    }

    /// splitmix64 (Steele, Lea, Flood 2014).
    fn next(&self) -> u64 {
        bump(&self.random, 0x9e37_79b9_7f4a_7c15);
        let mut z = self.random.load(Relaxed);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn rates_outside_the_unit_interval_are_refused() {
        for rate in [0.0, -1.0, 2.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(Sampler::new(rate), Err(Error::Rate { .. })), "{rate}");
        }
        assert!(Sampler::new(f64::MIN_POSITIVE).is_ok());
    }

    #[test]
    fn a_rate_of_one_takes_everything() {
        let sampler = Sampler::new(1.0).unwrap();
        assert!((0..1000).all(|_| sampler.take()));
    }

    #[test]
    fn the_rarest_rate_takes_nothing_that_anyone_would_see() {
        let sampler = Sampler::new(f64::MIN_POSITIVE).unwrap();
        assert!((0..1000).all(|_| !sampler.take()));
    }

    /// Gaps are geometric: a chi-square over 100 cells of equal probability would need fractions of gaps, so the cells
    /// are the gaps 0 to 199 and the rest. With 200 degrees of freedom the 1 - 1e-6 quantile is 309.2 and the 1e-6
    /// quantile 117.9 (Wilson-Hilferty); the seed is fixed.
    #[test]
    fn gaps_are_geometric() {
        let sampler = Sampler::with_seed(0.01, 42).unwrap();
        let (draws, mut cells) = (1_000_000, [0u32; 201]);
        for _ in 0..draws {
            cells[sampler.gap().min(200) as usize] += 1;
        }
        let expected = |gap: usize| {
            let tail = 0.99f64.powi(i32::try_from(gap).unwrap());
            f64::from(draws) * if gap == 200 { tail } else { tail * 0.01 }
        };
        let chi: f64 = (0..=200).map(|gap| (f64::from(cells[gap]) - expected(gap)).powi(2) / expected(gap)).sum();
        assert!((117.9..309.2).contains(&chi), "chi-square {chi}");
    }

    /// The choices are independent, so their number is binomial: right within six standard deviations.
    #[test]
    fn any_rate_is_met() {
        for rate in [0.9, 0.7, 0.3, 0.123, 0.01, 0.003] {
            let sampler = Sampler::with_seed(rate, 7).unwrap();
            let n = 1_000_000;
            let hits = (0..n).filter(|_| sampler.take()).count() as f64;
            let sigma = (f64::from(n) * rate * (1.0 - rate)).sqrt();
            assert!((hits - f64::from(n) * rate).abs() < 6.0 * sigma, "{rate}: {hits}");
        }
    }
}
