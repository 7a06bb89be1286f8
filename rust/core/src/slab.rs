//! Memory for cells: zeroed, 16-byte aligned blocks that never move, handed out of large chunks.
//!
//! Cells live here and not in `Box`es for three reasons: a counter takes 16 bytes and no allocator
//! header; a handle may keep a cell's address for ever; and a chunk can later be backed by a shared
//! file at the same address without any handle noticing.

use crate::sync::{lock, AtomicU64, Mutex};
use std::alloc::{alloc_zeroed, handle_alloc_error, Layout};
use std::ptr::NonNull;

const CHUNK_BYTES: usize = 256 * 1024;
/// Blocks are multiples of this; also their alignment.
const GRAIN: usize = 16;

static SLAB: Mutex<Slab> = Mutex::new(Slab::new());

struct Slab {
    next: usize,
    end: usize,
    /// Freed blocks, already zeroed, by size in grains.
    free: Vec<Vec<usize>>,
}

impl Slab {
    const fn new() -> Self {
        Slab { next: 0, end: 0, free: Vec::new() }
    }

    fn take(&mut self, grains: usize) -> usize {
        if let Some(address) = self.free.get_mut(grains).and_then(Vec::pop) {
            return address;
        }
        let bytes = grains * GRAIN;
        if self.end - self.next < bytes {
            let size = bytes.max(CHUNK_BYTES);
            let layout = Layout::from_size_align(size, 4096).expect("a page-aligned chunk");
            // SAFETY: the layout's size is not zero.
            let chunk = unsafe { alloc_zeroed(layout) };
            if chunk.is_null() {
                handle_alloc_error(layout);
            }
            // The rest of the old chunk becomes counter cells, the smallest and most wanted size.
            while self.end - self.next >= GRAIN {
                self.give(self.next, 1);
                self.next += GRAIN;
            }
            self.next = chunk as usize;
            self.end = self.next + size;
        }
        let address = self.next;
        self.next += bytes;
        address
    }

    fn give(&mut self, address: usize, grains: usize) {
        if self.free.len() <= grains {
            self.free.resize_with(grains + 1, Vec::new);
        }
        self.free[grains].push(address);
    }
}

/// A run of zeroed words at a fixed address; given back, and zeroed again, when dropped.
pub struct Block {
    ptr: NonNull<AtomicU64>,
    grains: u32,
}

// SAFETY: a block is plain memory accessed only through atomics; ownership may move between threads.
unsafe impl Send for Block {}
// SAFETY: as above: shared access goes through `AtomicU64`.
unsafe impl Sync for Block {}

impl Block {
    /// Takes a block of at least `words` zeroed words.
    pub fn new(words: usize) -> Self {
        let grains = (words * 8).div_ceil(GRAIN).max(1);
        let address = lock(&SLAB).take(grains);
        Block {
            ptr: NonNull::new(address as *mut AtomicU64).expect("slab addresses are not null"),
            grains: u32::try_from(grains).expect("a block below 64 GiB"),
        }
    }

    /// The block again from its parts, after it was forgotten.
    ///
    /// # Safety
    /// `ptr` and `words` come from a block that was forgotten, and no one else makes one of them.
    pub(crate) unsafe fn from_raw(ptr: NonNull<AtomicU64>, words: usize) -> Self {
        Block { ptr, grains: u32::try_from((words * 8).div_ceil(GRAIN).max(1)).expect("a small block") }
    }

    /// The address of the first word; valid while the block lives.
    #[inline(always)]
    pub(crate) fn ptr(&self) -> NonNull<AtomicU64> {
        self.ptr
    }

    /// How many words there are.
    #[inline]
    pub(crate) fn words(&self) -> usize {
        self.grains as usize * GRAIN / 8
    }

    /// All words.
    #[inline]
    pub(crate) fn slice(&self) -> &[AtomicU64] {
        // SAFETY: `ptr` heads `words()` initialised words that live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.words()) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = self.grains as usize * GRAIN;
        // SAFETY: the block is exclusively owned here, and its bytes belong to it.
        unsafe { std::ptr::write_bytes(self.ptr.as_ptr().cast::<u8>(), 0, bytes) };
        lock(&SLAB).give(self.ptr.as_ptr() as usize, self.grains as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Ordering::Relaxed;
    use proptest::prelude::*;

    proptest! {
        /// Blocks in use never overlap, are zeroed when handed out, and are aligned.
        #[test]
        fn blocks_are_disjoint_and_zeroed(script in proptest::collection::vec((1usize..300, any::<bool>()), 1..200)) {
            let mut live: Vec<Block> = Vec::new();
            for (words, free_one) in script {
                let block = Block::new(words);
                prop_assert!(block.words() >= words);
                prop_assert_eq!(block.ptr().as_ptr() as usize % GRAIN, 0);
                prop_assert!(block.slice().iter().all(|w| w.load(Relaxed) == 0));
                for word in block.slice() {
                    word.store(u64::MAX, Relaxed);
                }
                live.push(block);
                if free_one && live.len() > 1 {
                    live.swap_remove(live.len() / 2);
                }
                let mut spans: Vec<_> = live.iter().map(|b| (b.ptr().as_ptr() as usize, b.words() * 8)).collect();
                spans.sort_unstable();
                prop_assert!(spans.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0));
            }
        }
    }
}
