//! The 128 bins of one octave, in cells of 8 bits that widen to 16, 32 and 64 when a count asks for it.
//!
//! Most octaves of most series never see 256 values in one bin, so a series that spans ten octaves takes
//! 1.3 KiB instead of 10. Widening copies into a new block and publishes it with one store: a
//! reader, or a crash, sees the old counts or the new ones and never a mixture.

use super::filled::Filled;
use super::grid::BINS;
use crate::reclaim::Reclaimer;
use crate::slab::{place_of, Block, Zeroed};
use crate::sync::{
    global, AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicU8,
    Ordering::{AcqRel, Acquire, Relaxed},
    Own,
};
use std::ptr::{self, NonNull};

global! {
    /// Bins that were replaced by wider ones or given up. Readers hold a [`Reclaimer::read`] guard.
    static REPLACED: Reclaimer<Bins> = Reclaimer::new();
}

/// Cells of a block; the model checker gets by with a few.
const CELLS: usize = if cfg!(loom) { 2 } else { BINS };

/// One bin's cell, of some width.
trait Cell: Zeroed {
    /// 0 for 8 bits, 1 for 16, 2 for 32, 3 for 64.
    const WIDTH: usize;
    fn get(&self) -> u64;
    /// False, and nothing done, when the sum does not fit.
    fn add(&self, count: u64) -> bool;
}

macro_rules! cell {
    ($($width:literal $atomic:ident $integer:ident)*) => {$(
        impl Cell for $atomic {
            const WIDTH: usize = $width;

            #[inline(always)]
            fn get(&self) -> u64 {
                u64::from(self.load(Relaxed))
            }

            #[inline(always)]
            fn add(&self, count: u64) -> bool {
                let sum = $integer::try_from(u64::from(self.own()).wrapping_add(count));
                sum.map(|sum| self.store(sum, Relaxed)).is_ok()
            }
        }
    )*};
}

cell! { 0 AtomicU8 u8 1 AtomicU16 u16 2 AtomicU32 u32 3 AtomicU64 u64 }

/// The address of a forgotten block of `[impl Cell; CELLS]`, plus the cells' width; null for none.
#[derive(Clone, Copy)]
struct Tagged(*mut ());

impl Tagged {
    fn new<C: Cell>(block: Block<[C; CELLS]>) -> Self {
        Tagged(block.into_raw().as_ptr().cast::<()>().wrapping_byte_add(C::WIDTH))
    }

    #[inline(always)]
    fn width(self) -> usize {
        self.0.addr() & 3
    }

    #[inline(always)]
    fn pointer<C: Cell>(self) -> *mut [C; CELLS] {
        self.0.wrapping_byte_sub(C::WIDTH).cast()
    }

    fn place(self) -> u32 {
        if self.0.is_null() {
            return 0;
        }
        // SAFETY: the tag tells the width; the block lives, because the caller is the only writer.
        let place = unsafe {
            match self.width() {
                0 => place_of(self.cells::<AtomicU8>()),
                1 => place_of(self.cells::<AtomicU16>()),
                2 => place_of(self.cells::<AtomicU32>()),
                _ => place_of(self.cells::<AtomicU64>()),
            }
        };
        if place == 0 {
            0
        } else {
            place << 2 | self.width() as u32
        }
    }

    /// # Safety
    /// The width is that of `C`, and the block lives.
    #[inline(always)]
    unsafe fn cells<'a, C: Cell>(self) -> &'a [C; CELLS] {
        debug_assert_eq!(self.width(), C::WIDTH);
        // SAFETY: by contract the pointer is that of such a block.
        unsafe { &*self.pointer() }
    }
}

/// The bins of an octave that no octave points to any more; gives the block back.
pub(crate) struct Bins(Tagged);

// SAFETY: the block is owned, and its cells are atomics.
unsafe impl Send for Bins {}

impl Drop for Bins {
    fn drop(&mut self) {
        fn give_back<C: Cell>(bins: Tagged) {
            let block = NonNull::new(bins.pointer::<C>()).expect("a tagged pointer is not null");
            // SAFETY: `Tagged::new` forgot this block, of cells that are this wide, and the maker of
            // these `Bins` took the only pointer to it out of its octave.
            drop(unsafe { Block::from_raw(block) });
        }
        if self.0 .0.is_null() {
            return;
        }
        match self.0.width() {
            0 => give_back::<AtomicU8>(self.0),
            1 => give_back::<AtomicU16>(self.0),
            2 => give_back::<AtomicU32>(self.0),
            _ => give_back::<AtomicU64>(self.0),
        }
    }
}

/// One octave of a histogram: no memory until it sees its first value.
pub(super) struct Octave(AtomicPtr<()>);

impl Octave {
    pub(super) fn empty() -> Self {
        Octave(AtomicPtr::new(ptr::null_mut()))
    }

    /// Adds one to a bin, unless its cells must widen first. One writer at a time.
    #[inline(always)]
    pub(super) fn inc(&self, bin: usize) -> bool {
        let bins = Tagged(self.0.own());
        // SAFETY: this is the writer, and the tag says how wide the cells are. The most common widths come first.
        unsafe {
            if bins.width() == 1 {
                bins.cells::<AtomicU16>()[bin].add(1)
            } else if bins.width() == 2 {
                bins.cells::<AtomicU32>()[bin].add(1)
            } else if bins.width() == 0 {
                !bins.0.is_null() && bins.cells::<AtomicU8>()[bin].add(1)
            } else {
                bins.cells::<AtomicU64>()[bin].add(1)
            }
        }
    }

    /// Adds to a bin, unless its cells must widen first. One writer at a time.
    #[inline(always)]
    pub(super) fn add(&self, bin: usize, count: u64) -> bool {
        let bins = Tagged(self.0.own());
        // SAFETY: the tag tells the width; the block lives, because the caller is the only writer.
        unsafe {
            match bins.width() {
                1 => bins.cells::<AtomicU16>()[bin].add(count),
                2 => bins.cells::<AtomicU32>()[bin].add(count),
                3 => bins.cells::<AtomicU64>()[bin].add(count),
                _ => !bins.0.is_null() && bins.cells::<AtomicU8>()[bin].add(count),
            }
        }
    }

    /// Makes the cells wide enough for one more addition (from nothing to 8 bits too), then adds. The
    /// place of the new ones is told before the old ones are given back.
    pub(super) fn widen(&self, bin: usize, count: u64, tell: impl FnOnce(u32)) {
        fn copy<C: Cell>(counts: &[u64; BINS]) -> Tagged {
            let block = Block::<[C; CELLS]>::new();
            block.iter().zip(counts).for_each(|(cell, &count)| assert!(cell.add(count)));
            Tagged::new(block)
        }
        let mut counts = [0; BINS];
        self.read(&mut counts);
        counts[bin] = counts[bin].wrapping_add(count);
        let most = counts.iter().copied().fold(0, u64::max);
        let wider = if u8::try_from(most).is_ok() {
            copy::<AtomicU8>(&counts)
        } else if u16::try_from(most).is_ok() {
            copy::<AtomicU16>(&counts)
        } else if u32::try_from(most).is_ok() {
            copy::<AtomicU32>(&counts)
        } else {
            copy::<AtomicU64>(&counts)
        };
        tell(wider.place());
        self.replace(wider);
    }

    /// Where the cells lie in the file, in grains, and in the two lowest bits how wide they are; 0 for
    /// none, and for none that other processes can see.
    pub(super) fn place(&self) -> u32 {
        Tagged(self.0.own()).place()
    }

    /// Publishes other bins, and gives the old ones back when no reader looks at them any more.
    fn replace(&self, with: Tagged) {
        let old = Tagged(self.0.swap(with.0, AcqRel));
        if !old.0.is_null() {
            REPLACED.retire(Bins(old));
        }
    }

    /// Whether nothing was ever counted, or all of it given up.
    #[inline]
    pub(super) fn is_vacant(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// Adds the counts to `out`; false when there are none. A caller that is not the writer holds a
    /// `REPLACED.read()` guard.
    pub(super) fn read(&self, out: &mut [u64; BINS]) -> bool {
        fn sum<C: Cell>(cells: &[C; CELLS], out: &mut [u64; BINS]) -> bool {
            out.iter_mut().zip(cells).for_each(|(out, cell)| *out = out.wrapping_add(cell.get()));
            true
        }
        let bins = Tagged(self.0.load(Acquire));
        // SAFETY: the tag tells the width; the guard keeps a block that is being replaced alive.
        unsafe {
            match bins.width() {
                _ if bins.0.is_null() => false,
                0 => sum(bins.cells::<AtomicU8>(), out),
                1 => sum(bins.cells::<AtomicU16>(), out),
                2 => sum(bins.cells::<AtomicU32>(), out),
                _ => sum(bins.cells::<AtomicU64>(), out),
            }
        }
    }

    /// Appends the bins that hold something. A caller that is not the writer holds a `REPLACED.read()` guard.
    pub(super) fn read_filled(&self, exponent: u64, out: &mut Filled) {
        let bins = Tagged(self.0.load(Acquire));
        // SAFETY: the caller is the writer or holds the guard, so the bins stay; the tag says how wide they are.
        unsafe {
            match bins.width() {
                _ if bins.0.is_null() => {}
                0 => out.push(exponent, bins.cells::<AtomicU8>().iter().map(Cell::get)),
                1 => out.push(exponent, bins.cells::<AtomicU16>().iter().map(Cell::get)),
                2 => out.push(exponent, bins.cells::<AtomicU32>().iter().map(Cell::get)),
                _ => out.push(exponent, bins.cells::<AtomicU64>().iter().map(Cell::get)),
            }
        }
    }

    /// Gives the bins back. A reader may be looking at them.
    pub(super) fn clear(&self) {
        self.replace(Tagged(ptr::null_mut()));
    }
}

impl Drop for Octave {
    fn drop(&mut self) {
        // Exclusive access: no reader is about.
        drop(Bins(Tagged(self.0.own())));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn width(octave: &Octave) -> usize {
        Tagged(octave.0.load(Relaxed)).width()
    }

    fn add(octave: &Octave, bin: usize, count: u64) {
        if !octave.add(bin, count) {
            octave.widen(bin, count, |_| {});
        }
    }

    #[test]
    fn cells_widen_at_the_very_count_that_needs_it() {
        let octave = Octave::empty();
        let total = |octave: &Octave| {
            let mut out = [0; BINS];
            octave.read(&mut out);
            out
        };
        add(&octave, 7, u64::from(u8::MAX));
        add(&octave, 127, 1);
        assert_eq!(width(&octave), 0);
        add(&octave, 7, 1);
        assert_eq!((width(&octave), total(&octave)[7]), (1, 256));
        add(&octave, 7, u64::from(u16::MAX) - 256);
        assert_eq!(width(&octave), 1);
        add(&octave, 7, 1);
        assert_eq!(width(&octave), 2);
        add(&octave, 7, u64::from(u32::MAX) - 65_536);
        assert_eq!((width(&octave), total(&octave)[7]), (2, u64::from(u32::MAX)));
        add(&octave, 7, 1);
        assert_eq!(width(&octave), 3);
        add(&octave, 7, 1);
        assert_eq!((total(&octave)[7], total(&octave)[127]), ((1 << 32) + 1, 1));
    }

    #[test]
    fn cleared_bins_are_empty_and_start_again() {
        let octave = Octave::empty();
        add(&octave, 3, 1 << 40);
        octave.clear();
        assert!(!octave.read(&mut [0; BINS]));
        add(&octave, 3, 2);
        let mut out = [0; BINS];
        assert!(octave.read(&mut out));
        assert_eq!((width(&octave), out[3]), (0, 2));
    }

    proptest! {
        #[test]
        fn counts_equal_a_plain_array(script in proptest::collection::vec((0usize..BINS, prop_oneof![
            Just(1u64), 1u64..100, 200u64..300, 60_000u64..70_000, (1u64 << 31)..(1 << 33)
        ]), 0..300)) {
            let octave = Octave::empty();
            let mut twin = [0; BINS];
            for (bin, count) in script {
                add(&octave, bin, count);
                twin[bin] += count;
            }
            let mut out = [0; BINS];
            octave.read(&mut out);
            prop_assert_eq!(out, twin);
        }
    }
}
