//! One block of the slab, owned.

use super::memory;
use super::zeroed::Zeroed;
use std::ops::Deref;
use std::ptr::NonNull;

/// An owned value at a fixed address in the slab, all zero at first.
pub(crate) struct Block<T: ?Sized>(NonNull<T>);

// SAFETY: a block owns its value, like a `Box`.
unsafe impl<T: ?Sized + Send> Send for Block<T> {}
// SAFETY: sharing a block is sharing its value.
unsafe impl<T: ?Sized + Sync> Sync for Block<T> {}

impl<T: Zeroed> Block<T> {
    /// A zeroed value.
    pub(crate) fn new() -> Self {
        Block(memory::one())
    }

    /// Forgets the block; [`from_raw`](Self::from_raw) brings it back.
    pub(crate) fn into_raw(self) -> NonNull<T> {
        std::mem::ManuallyDrop::new(self).0
    }

    /// The block that was forgotten.
    ///
    /// # Safety
    /// The pointer comes from `into_raw` of a block of this type, and no one else brings it back.
    pub(crate) unsafe fn from_raw(value: NonNull<T>) -> Self {
        Block(value)
    }
}

impl<T: Zeroed> Block<[T]> {
    /// A run of zeroed values.
    pub(crate) fn run(length: usize) -> Self {
        Block(memory::run(length))
    }
}

impl<T: ?Sized> Deref for Block<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the pointer is that of a live, initialised value that `self` owns.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> Drop for Block<T> {
    fn drop(&mut self) {
        // SAFETY: the value came from `memory`, is exclusively owned here, and is not used again.
        unsafe { memory::give(self.0) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::Ordering::Relaxed;
    use crate::sync::{AtomicU32, AtomicU64};
    use proptest::prelude::*;

    proptest! {
        /// Blocks in use never overlap, are zeroed when handed out, and are aligned; whatever their
        /// size, whether they come from a chunk or from a free list.
        #[test]
        fn blocks_are_disjoint_and_zeroed(script in proptest::collection::vec((1usize..3000, any::<bool>()), 1..200)) {
            let mut live: Vec<Block<[AtomicU64]>> = Vec::new();
            for (words, free_one) in script {
                let block = Block::run(words);
                prop_assert_eq!(block.len(), words);
                prop_assert_eq!(block.as_ptr() as usize % 16, 0);
                prop_assert!(block.iter().all(|word: &AtomicU64| word.load(Relaxed) == 0));
                for word in &*block {
                    word.store(u64::MAX, Relaxed);
                }
                live.push(block);
                if free_one && live.len() > 1 {
                    live.swap_remove(live.len() / 2);
                }
                let mut spans: Vec<_> = live.iter().map(|b| (b.as_ptr() as usize, b.len() * 8)).collect();
                spans.sort_unstable();
                prop_assert!(spans.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0));
            }
        }
    }

    #[test]
    fn a_forgotten_block_comes_back() {
        let block = Block::<[AtomicU32; 3]>::new();
        block[2].store(7, Relaxed);
        // SAFETY: the pointer is the forgotten block's, used once.
        let again = unsafe { Block::from_raw(block.into_raw()) };
        assert_eq!(again[2].load(Relaxed), 7);
    }
}
