//! Times in bins: eight to an octave, from a millisecond to 17 minutes.

/// Bins. The first and the last also hold what is beyond them.
pub const BINS: usize = 160;
/// Words that the bins take: two counts in each.
pub const WORDS: usize = BINS / 2;
const PER_OCTAVE: f64 = 8.0;
/// The lower bound of the first bin is 2 to the power of minus this, in seconds.
const LOWEST: f64 = 10.0;

/// The bin of a time.
#[expect(clippy::cast_sign_loss, reason = "what is negative or no number is in the first bin")]
pub fn bin(seconds: f64) -> usize {
    (((seconds.log2() + LOWEST) * PER_OCTAVE) as usize).min(BINS - 1)
}

/// Times of calls that ended in a window.
#[derive(Debug, Clone)]
pub struct Times([u64; BINS]);

impl Default for Times {
    fn default() -> Self {
        Times([0; BINS])
    }
}

impl Times {
    /// Adds so many times to a bin.
    pub fn add(&mut self, bin: usize, count: u64) {
        self.0[bin] += count;
    }

    /// Adds all times of another.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in self.0.iter_mut().zip(&other.0) {
            *own += more;
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The time, in seconds, that the share `q` of all stayed at or below, to 4.5 %; nothing without times.
    #[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        let rank = ((q * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let bin = self.0.iter().position(|bin| {
            seen += bin;
            seen >= rank
        })?;
        (count > 0).then(|| ((bin as f64 + 0.5) / PER_OCTAVE - LOWEST).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_sorted_times(
            mut times in proptest::collection::vec(0.001..1000.0_f64, 1..200), q in 0.0..=1.0_f64
        ) {
            let mut binned = Times::default();
            for &time in &times {
                binned.add(bin(time), 1);
            }
            times.sort_by(f64::total_cmp);
            let rank = (1..times.len()).find(|&rank| rank as f64 >= q * times.len() as f64).unwrap_or(times.len());
            let (expected, found) = (times[rank - 1], binned.quantile(q).unwrap());
            prop_assert!((found / expected - 1.0).abs() < 0.0451, "{found} for {expected}");
        }
    }

    #[test]
    fn whatever_a_caller_says_has_a_bin() {
        for (seconds, expected) in [(0.0, 0), (-1.0, 0), (f64::NAN, 0), (1e-9, 0), (1e9, BINS - 1), (1.0, 80)] {
            assert_eq!(bin(seconds), expected, "{seconds}");
        }
        assert_eq!(bin(f64::INFINITY), BINS - 1);
        assert_eq!(Times::default().quantile(0.5), None);
    }
}
