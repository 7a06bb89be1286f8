//! Which events are timed: stratified sampling, decided before any clock is read.
//!
//! Events are cut into blocks of `1/rate` (of the two whole lengths around it, mixed so that the mean
//! is right), and one event of each block is taken, uniformly. Every event has the probability `rate`,
//! periodic traffic cannot hide behind a fixed stride, and the number of samples is never off by more
//! than one block. An event that is not taken costs a decrement and a branch.

use crate::cell::bump;
use crate::error::Error;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Takes one event in `1/rate`. One caller at a time (the GIL).
pub struct Sampler {
    /// Events to pass over before the next sample.
    skip: AtomicU64,
    /// Events of the current block behind its sample.
    rest: AtomicU64,
    random: AtomicU64,
    /// The shorter block length.
    length: u64,
    /// How often a block is one longer, of 2^32.
    longer: u64,
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
        // At one in 2^53 nobody can tell the difference any more.
        let mean = (1.0 / rate).min(9e15);
        #[expect(clippy::cast_sign_loss, reason = "the mean is at least one")]
        let (length, longer) = (mean as u64, (mean.fract() * 4_294_967_296.0) as u64);
        let sampler = Sampler {
            skip: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            random: AtomicU64::new(seed),
            length,
            longer,
            rate,
        };
        // Start somewhere within a block, so that restarted processes do not sample in step.
        let first = sampler.below(length);
        sampler.skip.store(first, Relaxed);
        sampler.rest.store(length - 1 - first, Relaxed);
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
            return self.next_block();
        }
        self.skip.store(skip - 1, Relaxed);
        false
    }

    #[inline(never)]
    fn next_block(&self) -> bool {
        let length = self.length + u64::from(self.next() >> 32 < self.longer);
        let offset = self.below(length);
        self.skip.store(self.rest.load(Relaxed) + offset, Relaxed);
        self.rest.store(length - 1 - offset, Relaxed);
        true
    }

    /// A uniform number below `n`, off by less than one in 2^64 / n.
    fn below(&self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
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
    fn every_block_of_a_hundred_has_one_sample() {
        for seed in 0..20 {
            let sampler = Sampler::with_seed(0.01, seed).unwrap();
            let hits: Vec<usize> = (0..100_000).filter(|_| sampler.take()).collect();
            assert_eq!(hits.len(), 1000);
            assert!(hits.iter().enumerate().all(|(block, hit)| hit / 100 == block));
        }
    }

    /// Offsets within a block are uniform: a chi-square over 100 cells and 200 000 blocks. With 99
    /// degrees of freedom the 1 - 1e-6 quantile is 176.7 (Wilson-Hilferty), and the seed is fixed.
    #[test]
    fn offsets_within_a_block_are_uniform() {
        let sampler = Sampler::with_seed(0.01, 42).unwrap();
        let mut offsets = [0u32; 100];
        for event in 0..20_000_000usize {
            if sampler.take() {
                offsets[event % 100] += 1;
            }
        }
        let expected = 2000.0;
        let chi: f64 = offsets.iter().map(|&o| (f64::from(o) - expected).powi(2) / expected).sum();
        assert!(chi < 176.7, "chi-square {chi}");
        assert!(chi > 45.0, "chi-square {chi} is too good to be random");
    }

    /// Rates whose inverse is no whole number: the share is right within five standard deviations of
    /// independent choices, which stratification only narrows.
    #[test]
    fn any_rate_is_met() {
        for rate in [0.9, 0.7, 0.3, 0.123, 0.01, 0.003] {
            let sampler = Sampler::with_seed(rate, 7).unwrap();
            let n = 1_000_000;
            let hits = (0..n).filter(|_| sampler.take()).count() as f64;
            let sigma = (f64::from(n) * rate * (1.0 - rate)).sqrt();
            assert!((hits - f64::from(n) * rate).abs() < 5.0 * sigma, "{rate}: {hits}");
        }
    }

    /// A stride of 100 would see one phase of a stream with period 100; stratified offsets see all.
    /// The estimate's variance per block is that of one uniform draw: (100^2) f (1 - f).
    #[test]
    fn periodic_traffic_is_estimated_without_bias() {
        let sampler = Sampler::with_seed(0.01, 1).unwrap();
        let blocks = 100_000;
        let slow = (0..blocks * 100).filter(|event| sampler.take() && event % 100 < 5).count();
        let estimate = slow as f64 / f64::from(blocks);
        let sigma = (0.05 * 0.95 / f64::from(blocks)).sqrt();
        assert!((estimate - 0.05).abs() < 5.0 * sigma, "{estimate}");
    }
}
