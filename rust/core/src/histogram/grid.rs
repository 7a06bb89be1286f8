//! The one grid of every histogram: 128 bins an octave, bounded by 2^(k/128).
//!
//! A bin is at most 2^(1/128) - 1 = 0.543 % wide and, like `le`, upper-inclusive: `(lower, upper]`.
//! It was preferred to a linear split of the octave (HDR's) because its boundaries *are* those of
//! Prometheus native histograms of schema 7 and of OTLP scale 7, and every coarser schema is an exact
//! merge of whole bins. The price is one table load and one compare per record.
//!
//! All arithmetic is on `bits(x) - 1`: positive doubles are ordered like their bits, and taking one
//! off turns `(lower, upper]` into the half-open `[lower, upper)` that shifts and masks can index.

use super::bounds::INNER;

/// Bins in an octave.
pub const BINS: usize = 128;
/// Octaves on the fast path: (2^-30, 2^34], that is 0.93 ns to 544 years, or 1 byte to 16 GiB.
pub const OCTAVES: usize = 64;
/// The biased exponent of the first of them.
pub const FIRST: u64 = 1023 - 30;

const MANTISSA: u64 = (1 << 52) - 1;

/// For each 256th of an octave: the bins below it, and the one inner boundary that may lie within it,
/// as `boundary << 8 | bins`. Slots are narrower than bins, so there is at most one.
static SLOTS: [u64; 256] = slots();

const fn slots() -> [u64; 256] {
    let mut table = [0; 256];
    let mut slot = 0;
    while slot < 256 {
        let start = (slot as u64) << 44;
        let end = start + (1 << 44);
        let mut below = 0;
        while below < INNER.len() && INNER[below] <= start {
            below += 1;
        }
        let inside = if below < INNER.len() && INNER[below] < end { INNER[below] } else { 1 << 52 };
        assert!(below + 1 >= INNER.len() || INNER[below + 1] >= end, "two boundaries in one slot");
        table[slot] = inside << 8 | below as u64;
        slot += 1;
    }
    table
}

/// The bits to index by; wraps to a huge number for 0.
#[inline(always)]
pub fn key(value: f64) -> u64 {
    value.to_bits().wrapping_sub(1)
}

/// The biased exponent of a key: 0..=2046 for positive finite values, larger for all others.
#[inline(always)]
pub fn exponent(key: u64) -> u64 {
    key >> 52
}

/// The bin within its octave, below [`BINS`].
#[inline(always)]
pub fn bin(key: u64) -> usize {
    let slot = SLOTS[(key >> 44 & 255) as usize];
    (slot & 127) as usize + usize::from(key & MANTISSA >= slot >> 8)
}

/// The exclusive lower bound of a bin.
pub fn lower(exponent: u64, bin: usize) -> f64 {
    let mantissa = if bin == 0 { 0 } else { INNER[bin - 1] };
    f64::from_bits(exponent << 52 | mantissa)
}

/// The inclusive upper bound of a bin; infinite for the last bin of the last octave.
pub fn upper(exponent: u64, bin: usize) -> f64 {
    if bin + 1 == BINS {
        lower(exponent + 1, 0)
    } else {
        lower(exponent, bin + 1)
    }
}

/// The value that stands for a bin: the harmonic mean of its bounds, whose relative error to any
/// value in the bin is at most 0.27 %.
pub fn middle(exponent: u64, bin: usize) -> f64 {
    let (low, high) = (lower(exponent, bin), upper(exponent, bin));
    // The last bin's upper bound, and the sum of two large bounds, would be infinite.
    let share = if high.is_infinite() { 1.0027 } else { 2.0 / (low / high + 1.0) };
    low * share
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive twin: the first bin whose upper bound holds the value.
    fn naive(value: f64) -> (u64, usize) {
        let mut exponent = value.to_bits() >> 52;
        if value.to_bits() & MANTISSA == 0 {
            exponent -= 1;
        }
        let bin = (0..BINS).find(|&bin| value <= upper(exponent, bin)).expect("a bin");
        (exponent, bin)
    }

    #[test]
    fn inner_boundaries_are_powers_of_the_128th_root_of_two() {
        // Repeated square roots are correctly rounded each, so seven of them stay within a few ulp.
        let mut root = 2.0_f64;
        for _ in 0..7 {
            root = root.sqrt();
        }
        for (k, &inner) in INNER.iter().enumerate() {
            let exact = 2.0_f64.powf((k + 1) as f64 / 128.0);
            let ours = f64::from_bits(1023 << 52 | inner);
            assert!((ours - exact).abs() <= 2.0 * f64::EPSILON, "boundary {k}: {ours} against {exact}");
            assert!((root.powi(i32::try_from(k).unwrap() + 1) - ours).abs() < 1e-12);
        }
        assert!(INNER.windows(2).all(|w| w[0] < w[1]));
        // The middle one is the square root of two, which the hardware rounds correctly.
        assert_eq!(INNER[63], 2.0_f64.sqrt().to_bits() & MANTISSA);
    }

    #[test]
    fn boundaries_belong_to_the_bin_below() {
        for exponent in [1, FIRST, 1022, 1023, 1024, 2046] {
            for bin in 0..BINS {
                let bound = upper(exponent, bin);
                if bound.is_infinite() {
                    continue;
                }
                assert_eq!((super::exponent(key(bound)), super::bin(key(bound))), (exponent, bin));
                let above = f64::from_bits(bound.to_bits() + 1);
                assert_eq!(naive(above), (super::exponent(key(above)), super::bin(key(above))));
            }
        }
    }

    #[test]
    fn bins_are_as_narrow_as_promised() {
        for bin in 0..BINS {
            let (low, high) = (lower(1023, bin), upper(1023, bin));
            assert!(high / low - 1.0 < 0.00544);
            let middle = middle(1023, bin);
            assert!((middle - low) / low < 0.0028 && (high - middle) / high < 0.0028);
        }
    }

    proptest! {
        #[test]
        fn the_index_equals_the_naive_search(bits in 0x0010_0000_0000_0001u64..0x7ff0_0000_0000_0000) {
            let value = f64::from_bits(bits);
            prop_assert_eq!((exponent(key(value)), bin(key(value))), naive(value));
        }

        #[test]
        fn values_outside_the_positive_range_have_large_or_zero_exponents(value in any::<f64>()) {
            let exponent = exponent(key(value));
            let ordinary = value.is_normal() && value > 0.0;
            // The smallest normal double has a subnormal key; it belongs to the octave below.
            let ordinary = ordinary && value > f64::MIN_POSITIVE;
            prop_assert_eq!((1..=2046).contains(&exponent), ordinary);
        }
    }
}
