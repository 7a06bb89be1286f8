//! The 128 bins of one octave, in cells of 16 bits that widen to 32 and 64 when a count asks for it.
//!
//! Most octaves of most series never see 65 536 values in one bin, so a series that spans ten octaves
//! takes 2.5 KiB instead of 10. Widening copies into a new block and publishes it with one store: a
//! reader, or a crash, sees the old counts or the new ones and never a mixture.

use super::grid::BINS;
use crate::reclaim::Reclaimer;
use crate::slab::Block;
use crate::sync::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32};

/// Blocks that were replaced by wider ones. Readers hold a [`Reclaimer::read`] guard.
pub(super) static REPLACED: Reclaimer<Block> = Reclaimer::new();

/// Words of an octave whose cells have `8 << width` bits (width 1 = 16 bits, 3 = 64).
const fn words(width: usize) -> usize {
    (BINS << width) / 8
}

/// A pointer to the bins, their width in its low bits; zero until the octave sees its first value.
pub(super) struct Octave(AtomicUsize);

impl Octave {
    pub(super) const fn empty() -> Self {
        Octave(AtomicUsize::new(0))
    }

    /// Adds to a bin. One writer at a time.
    #[inline(always)]
    pub(super) fn add(&self, bin: usize, count: u64) {
        debug_assert!(bin < BINS);
        let tagged = self.0.load(Relaxed);
        let cells = tagged & !3;
        if tagged & 3 == 1 {
            // SAFETY: a tag of 1 says that `cells` heads 128 `u16` of a live block, owned by `self`,
            // that no one writes but the caller; `bin` is below 128 (`grid::bin` masks and adds one
            // to at most 127's predecessor; asserted above in debug builds).
            let cell = unsafe { &*(cells as *const AtomicU16).add(bin) };
            let sum = u64::from(cell.load(Relaxed)) + count;
            if let Ok(sum) = u16::try_from(sum) {
                return cell.store(sum, Relaxed);
            }
        } else if tagged & 3 == 2 {
            // SAFETY: as above, with a tag of 2 for `u32`.
            let cell = unsafe { &*(cells as *const AtomicU32).add(bin) };
            let sum = u64::from(cell.load(Relaxed)) + count;
            if let Ok(sum) = u32::try_from(sum) {
                return cell.store(sum, Relaxed);
            }
        } else if tagged & 3 == 3 {
            // SAFETY: as above, with a tag of 3 for `u64`.
            let cell = unsafe { &*(cells as *const AtomicU64).add(bin) };
            return cell.store(cell.load(Relaxed).wrapping_add(count), Relaxed);
        }
        self.widen(bin, count);
    }

    /// Makes the cells wide enough for one more addition (from nothing to 16 bits too), then adds.
    #[cold]
    #[inline(never)]
    fn widen(&self, bin: usize, count: u64) {
        let mut counts = [0; BINS];
        self.read(&mut counts);
        counts[bin] += count;
        let most = counts.iter().copied().max().unwrap_or(0);
        let width = if most <= u64::from(u16::MAX) {
            1
        } else if most <= u64::from(u32::MAX) {
            2
        } else {
            3
        };
        let block = ManuallyDrop::new(Block::new(words(width)));
        let cells = block.ptr().as_ptr() as usize;
        for (bin, &count) in counts.iter().enumerate() {
            // SAFETY: the new block holds 128 cells of this width and nobody else knows it yet; the
            // count fits because the width was chosen by the largest.
            unsafe {
                match width {
                    1 => (*(cells as *const AtomicU16).add(bin)).store(count as u16, Relaxed),
                    2 => (*(cells as *const AtomicU32).add(bin)).store(count as u32, Relaxed),
                    _ => (*(cells as *const AtomicU64).add(bin)).store(count, Relaxed),
                }
            }
        }
        let old = self.0.swap(cells | width, SeqCst);
        if old != 0 {
            REPLACED.retire(block_of(old));
        }
    }

    /// Adds the counts to `out`. A caller that is not the writer holds a `REPLACED.read()` guard.
    pub(super) fn read(&self, out: &mut [u64; BINS]) -> bool {
        let tagged = self.0.load(SeqCst);
        let cells = tagged & !3;
        for (bin, out) in out.iter_mut().enumerate() {
            // SAFETY: as in `add`; the guard keeps a block that is being replaced alive.
            *out += unsafe {
                match tagged & 3 {
                    0 => return false,
                    1 => u64::from((*(cells as *const AtomicU16).add(bin)).load(Relaxed)),
                    2 => u64::from((*(cells as *const AtomicU32).add(bin)).load(Relaxed)),
                    _ => (*(cells as *const AtomicU64).add(bin)).load(Relaxed),
                }
            };
        }
        true
    }

    /// Gives the bins back. A reader may be looking at them.
    pub(super) fn clear(&self) {
        let old = self.0.swap(0, SeqCst);
        if old != 0 {
            REPLACED.retire(block_of(old));
        }
    }
}

/// The block behind a tagged pointer that was made by `widen` and is no longer published.
fn block_of(tagged: usize) -> Block {
    let cells = NonNull::new((tagged & !3) as *mut AtomicU64).expect("a published octave");
    // SAFETY: `widen` forgot exactly this block, of this many words, and the caller has just taken
    // its only published pointer.
    unsafe { Block::from_raw(cells, words(tagged & 3)) }
}

impl Drop for Octave {
    fn drop(&mut self) {
        let old = *self.0.get_mut();
        if old != 0 {
            drop(block_of(old));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_widen_at_the_very_count_that_needs_it() {
        let octave = Octave::empty();
        let total = |octave: &Octave| {
            let mut out = [0; BINS];
            octave.read(&mut out);
            out
        };
        octave.add(7, u64::from(u16::MAX));
        octave.add(127, 1);
        assert_eq!(octave.0.load(Relaxed) & 3, 1);
        octave.add(7, 1);
        assert_eq!(octave.0.load(Relaxed) & 3, 2);
        octave.add(7, u64::from(u32::MAX) - 65_536);
        assert_eq!((octave.0.load(Relaxed) & 3, total(&octave)[7]), (2, u64::from(u32::MAX)));
        octave.add(7, 1);
        assert_eq!(octave.0.load(Relaxed) & 3, 3);
        octave.add(7, 1);
        assert_eq!((total(&octave)[7], total(&octave)[127]), ((1 << 32) + 1, 1));
    }

    proptest! {
        #[test]
        fn counts_equal_a_plain_array(script in proptest::collection::vec((0usize..BINS, prop_oneof![
            Just(1u64), 1u64..100, 60_000u64..70_000, (1u64 << 31)..(1 << 33)
        ]), 0..300)) {
            let octave = Octave::empty();
            let mut twin = [0; BINS];
            for (bin, count) in script {
                octave.add(bin, count);
                twin[bin] += count;
            }
            let mut out = [0; BINS];
            octave.read(&mut out);
            prop_assert_eq!(out, twin);
        }
    }
}
