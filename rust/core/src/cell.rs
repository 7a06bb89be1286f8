//! Counter and gauge cells: a few aligned words in a slab, written by one thread at a time.

use crate::slab::Zeroed;
use crate::sync::{
    AtomicU64,
    Ordering::{Relaxed, Release},
    Own,
};

/// Doubles hold every integer up to here exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Whole amounts are kept apart up to here: half the range, so that `inc` need not look.
const MOST: u64 = 1 << 63;

/// Adds to a word that has one writer: no lock prefix, the cost of a plain `add`.
#[inline(always)]
pub(crate) fn bump(word: &AtomicU64, by: u64) {
    word.store(word.own().wrapping_add(by), Relaxed);
}

#[inline(always)]
pub(crate) fn load_f64(word: &AtomicU64) -> f64 {
    f64::from_bits(word.load(Relaxed))
}

/// As [`load_f64`], by the word's only writer.
#[inline(always)]
pub(crate) fn own_f64(word: &AtomicU64) -> f64 {
    f64::from_bits(word.own())
}

#[inline(always)]
pub(crate) fn store_f64(word: &AtomicU64, value: f64) {
    word.store(value.to_bits(), Relaxed);
}

/// Writes bytes into words, as they lie in memory; zeros behind the last.
pub(crate) fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    for (word, bytes) in words.iter().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_le_bytes(eight), Relaxed);
    }
}

/// A monotone count: whole increments in a `u64` that never rounds; fractions, and what is too large
/// for it, beside it.
///
/// Writers must be serialised by the caller (the GIL); readers may be anywhere.
#[repr(C)]
pub struct CounterCell {
    whole: AtomicU64,
    fraction: AtomicU64,
}

impl CounterCell {
    /// Adds one.
    #[inline(always)]
    pub fn inc(&self) {
        bump(&self.whole, 1);
    }

    /// Adds a whole number.
    #[inline(always)]
    pub fn add_int(&self, amount: u64) {
        let sum = self.whole.own().saturating_add(amount);
        if sum <= MOST {
            self.whole.store(sum, Relaxed);
        } else {
            self.add_inexactly(amount as f64);
        }
    }

    #[inline]
    fn add_inexactly(&self, amount: f64) {
        store_f64(&self.fraction, own_f64(&self.fraction) + amount);
    }

    /// Adds a finite, non-negative amount; whole ones stay exact beyond 2^53.
    #[inline]
    pub fn add(&self, amount: f64) {
        if amount < EXACT && amount.fract() == 0.0 {
            // The cast is exact: whole and below 2^53.
            #[expect(clippy::cast_sign_loss, reason = "amounts are non-negative by contract")]
            self.add_int(amount as u64);
        } else {
            self.add_inexactly(amount);
        }
    }

    /// Sets the count back to zero.
    pub fn reset(&self) {
        self.whole.store(0, Relaxed);
        self.fraction.store(0, Relaxed);
    }

    /// The whole part and the fractional part.
    #[inline]
    pub fn parts(&self) -> (u64, f64) {
        (self.whole.load(Relaxed), load_f64(&self.fraction))
    }

    /// The count as a double.
    #[inline]
    pub fn get(&self) -> f64 {
        let (whole, fraction) = self.parts();
        whole as f64 + fraction
    }
}

// SAFETY: two atomic integers.
unsafe impl Zeroed for CounterCell {
    #[cfg(loom)]
    fn zeroed() -> Self {
        CounterCell { whole: AtomicU64::new(0), fraction: AtomicU64::new(0) }
    }
}

/// The value and the time of the gauges of a forked child before it touches them: a zero that no sum and no
/// setting to zero comes to, and a time that no clock shows.
const UNTOUCHED: (f64, f64) = (-0.0, -1.0);

/// Whether a gauge that holds these is one that a forked child has not touched.
pub(crate) fn is_untouched(value: f64, set_at: f64) -> bool {
    (value.to_bits(), set_at.to_bits()) == (UNTOUCHED.0.to_bits(), UNTOUCHED.1.to_bits())
}

/// A value that goes up and down.
#[repr(C)]
pub struct GaugeCell {
    value: AtomicU64,
    /// When it was set, in seconds since 1970; kept only where several workers' latest value counts.
    set_at: AtomicU64,
}

impl GaugeCell {
    /// Replaces the value.
    #[inline(always)]
    pub fn set(&self, value: f64) {
        store_f64(&self.value, value);
    }

    /// Replaces the value, at this time in seconds since 1970.
    pub fn set_at(&self, value: f64, seconds: f64) {
        // A reader that sees the value sees its time, or a later one.
        store_f64(&self.set_at, seconds);
        self.value.store(value.to_bits(), Release);
    }

    /// Adds to the value; negative amounts subtract.
    #[inline(always)]
    pub fn add(&self, amount: f64) {
        store_f64(&self.value, own_f64(&self.value) + amount);
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> f64 {
        let value = load_f64(&self.value);
        if is_untouched(value, load_f64(&self.set_at)) {
            return 0.0;
        }
        value
    }

    /// Zero, and marked as what nobody has touched: whatever is set or added takes the mark away.
    pub(crate) fn begin(&self) {
        store_f64(&self.value, UNTOUCHED.0);
        store_f64(&self.set_at, UNTOUCHED.1);
    }
}

// SAFETY: two atomic integers.
unsafe impl Zeroed for GaugeCell {
    #[cfg(loom)]
    fn zeroed() -> Self {
        GaugeCell { value: AtomicU64::new(0), set_at: AtomicU64::new(0) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::slab::Block;

    #[test]
    fn whole_amounts_stay_exact_past_two_to_the_53() {
        let cell = Block::<CounterCell>::new();
        cell.add_int(1 << 53);
        cell.inc();
        assert_eq!(cell.parts(), ((1 << 53) + 1, 0.0));
        cell.add(0.5);
        cell.add(3.0);
        assert_eq!(cell.parts(), ((1 << 53) + 4, 0.5));
        cell.reset();
        assert_eq!(cell.parts(), (0, 0.0));
    }

    #[test]
    fn amounts_beyond_the_exact_range_go_to_the_fraction() {
        let cell = Block::<CounterCell>::new();
        cell.add(1e300);
        cell.inc();
        assert_eq!(cell.parts(), (1, 1e300));
    }

    /// Whole amounts beyond what a `u64` can add up go on as doubles; nothing wraps around.
    #[test]
    fn huge_amounts_never_make_a_counter_smaller() {
        let cell = Block::<CounterCell>::new();
        let mut last = 0.0;
        for amount in [1, u64::MAX, 1, u64::MAX - 5, 1 << 63, 1, 1 << 62, 1 << 62, 7] {
            cell.add_int(amount);
            cell.inc();
            assert!(cell.get() >= last, "{amount}: {last} became {}", cell.get());
            last = cell.get();
        }
        let exact = 3.0 * 2f64.powi(64);
        assert!((last / exact - 1.0).abs() < 1e-15, "{last}");
    }

    #[test]
    fn a_gauge_moves_both_ways() {
        let cell = Block::<GaugeCell>::new();
        cell.set(2.5);
        cell.add(-4.0);
        assert!((cell.get() + 1.5).abs() < f64::EPSILON);
    }
}
