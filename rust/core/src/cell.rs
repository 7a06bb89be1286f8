//! Counter and gauge cells: a few aligned words in a slab, written by one thread at a time.

use crate::slab::Block;
use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Doubles hold every integer up to here exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Where the whole part of a count stops taking amounts, so that steps of one never make it wrap.
const HALF: u64 = 1 << 63;

/// Adds to a word that has one writer: no lock prefix, the cost of a plain `add`.
#[inline(always)]
pub(crate) fn bump(word: &AtomicU64, by: u64) {
    word.store(word.load(Relaxed).wrapping_add(by), Relaxed);
}

#[inline(always)]
pub(crate) fn load_f64(word: &AtomicU64) -> f64 {
    f64::from_bits(word.load(Relaxed))
}

#[inline(always)]
pub(crate) fn store_f64(word: &AtomicU64, value: f64) {
    word.store(value.to_bits(), Relaxed);
}

/// A monotone count: whole increments in a `u64` that never rounds, fractions beside it.
///
/// Writers must be serialised by the caller (the GIL); readers may be anywhere.
#[repr(C)]
pub struct CounterCell {
    whole: AtomicU64,
    fraction: AtomicU64,
}

impl CounterCell {
    /// Words of slab memory that one cell takes.
    pub const WORDS: usize = 2;

    /// Adds one.
    #[inline(always)]
    pub fn inc(&self) {
        bump(&self.whole, 1);
    }

    /// Adds a whole number.
    #[inline(always)]
    pub fn add_int(&self, amount: u64) {
        match self.whole.load(Relaxed).checked_add(amount) {
            Some(sum) if sum <= HALF => self.whole.store(sum, Relaxed),
            // Large amounts (floating-point operations, femtoseconds) get here within hours.
            _ => store_f64(&self.fraction, load_f64(&self.fraction) + amount as f64),
        }
    }

    /// Adds a finite, non-negative amount; whole ones stay exact beyond 2^53.
    #[inline]
    pub fn add(&self, amount: f64) {
        if amount < EXACT && amount.trunc() == amount {
            // The cast is exact: whole and below 2^53.
            #[expect(clippy::cast_sign_loss, reason = "amounts are non-negative by contract")]
            self.add_int(amount as u64);
        } else {
            store_f64(&self.fraction, load_f64(&self.fraction) + amount);
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

    /// The cell at the start of a block of at least [`Self::WORDS`] words.
    pub(crate) fn at(block: &Block) -> &Self {
        assert!(block.words() >= Self::WORDS);
        // SAFETY: the block is that long, 16-byte aligned, lives as long as the borrow, and every
        // bit pattern of two words is a valid cell (`repr(C)` over two `AtomicU64`).
        unsafe { block.ptr().cast::<Self>().as_ref() }
    }
}

/// A value that goes up and down.
#[repr(C)]
pub struct GaugeCell {
    value: AtomicU64,
}

impl GaugeCell {
    /// Words of slab memory that one cell takes.
    pub const WORDS: usize = 1;

    /// Replaces the value.
    #[inline(always)]
    pub fn set(&self, value: f64) {
        store_f64(&self.value, value);
    }

    /// Adds to the value; negative amounts subtract.
    #[inline(always)]
    pub fn add(&self, amount: f64) {
        store_f64(&self.value, load_f64(&self.value) + amount);
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> f64 {
        load_f64(&self.value)
    }

    /// The cell at the start of a block of at least [`Self::WORDS`] words.
    pub(crate) fn at(block: &Block) -> &Self {
        assert!(block.words() >= Self::WORDS);
        // SAFETY: as for `CounterCell::at`.
        unsafe { block.ptr().cast::<Self>().as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_amounts_stay_exact_past_two_to_the_53() {
        let block = Block::new(CounterCell::WORDS);
        let cell = CounterCell::at(&block);
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
        let block = Block::new(CounterCell::WORDS);
        let cell = CounterCell::at(&block);
        cell.add(1e300);
        cell.inc();
        assert_eq!(cell.parts(), (1, 1e300));
    }

    #[test]
    fn a_count_beyond_64_bits_rounds_and_never_wraps() {
        let block = Block::new(CounterCell::WORDS);
        let cell = CounterCell::at(&block);
        let mut exact = 0u128;
        for amount in [u64::MAX, 1 << 62, 1 << 62, 1, 1 << 63, u64::MAX] {
            cell.add_int(amount);
            cell.inc();
            exact += u128::from(amount) + 1;
            assert!((cell.get() - exact as f64).abs() <= exact as f64 * f64::EPSILON);
        }
        for _ in 0..5000 {
            cell.add(EXACT - 1.0);
            exact += u128::from((1u64 << 53) - 1);
        }
        assert!((cell.get() - exact as f64).abs() <= exact as f64 * 1e-12);
    }

    #[test]
    fn a_gauge_moves_both_ways() {
        let block = Block::new(GaugeCell::WORDS);
        let cell = GaugeCell::at(&block);
        cell.set(2.5);
        cell.add(-4.0);
        assert!((cell.get() + 1.5).abs() < f64::EPSILON);
    }
}
