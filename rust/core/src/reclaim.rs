//! When a memory block that readers may still be looking at can be given back.
//!
//! A writer replaces a block (a histogram octave grows wider), publishes the new one's pointer in its
//! place, and then retires the old one. A reader announces itself, then loads pointers. Between the two
//! steps each has a `SeqCst` fence, and one of the two fences is first: if the writer's, the reader loads
//! the new pointer; if the reader's, the writer sees that a reader is about and keeps the old block for
//! a later retirement. Neither side ever waits for the other.

use crate::sync::{
    fence, lock, AtomicUsize, Mutex,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};

/// Retired items of one kind, kept while readers are about.
pub struct Reclaimer<T> {
    readers: AtomicUsize,
    retired: Mutex<Vec<T>>,
}

/// Announces a reader for as long as it lives.
pub struct Reading<'a>(&'a AtomicUsize);

impl<T> Reclaimer<T> {
    /// A reclaimer without readers.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Reclaimer { readers: AtomicUsize::new(0), retired: Mutex::new(Vec::new()) }
    }

    /// A reclaimer without readers (loom's types are not `const`).
    #[cfg(loom)]
    pub fn new() -> Self {
        Reclaimer { readers: AtomicUsize::new(0), retired: Mutex::new(Vec::new()) }
    }

    /// Announces a reader; load pointers (with `Acquire`) only while the guard lives.
    pub fn read(&self) -> Reading<'_> {
        self.readers.fetch_add(1, Relaxed);
        fence(SeqCst);
        Reading(&self.readers)
    }

    /// Takes an item that no pointer leads to any more, and drops all that no reader can see.
    pub fn retire(&self, item: T) {
        fence(SeqCst);
        let mut retired = lock(&self.retired);
        retired.push(item);
        // `Acquire`: what readers did before they left comes before the memory's next use.
        if self.readers.load(Acquire) == 0 {
            retired.clear();
        }
    }
}

impl<T> Default for Reclaimer<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn items_wait_for_readers_and_no_longer() {
        let reclaimer = Reclaimer::new();
        let item = Arc::new(());
        reclaimer.retire(item.clone());
        assert_eq!(Arc::strong_count(&item), 1);
        let reading = reclaimer.read();
        reclaimer.retire(item.clone());
        assert_eq!(Arc::strong_count(&item), 2);
        drop(reading);
        reclaimer.retire(item.clone());
        assert_eq!(Arc::strong_count(&item), 1);
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::{cell::UnsafeCell, sync::Arc, thread};

    /// Memory that was given back or not. The checker complains when it is written and read at once.
    struct Memory(UnsafeCell<bool>);

    // SAFETY: that it is not is what the checker is for.
    unsafe impl Sync for Memory {}

    /// Gives its memory back.
    struct Item(Arc<Memory>);

    impl Drop for Item {
        fn drop(&mut self) {
            // SAFETY: exclusive, as the checker sees to.
            self.0 .0.with_mut(|freed| unsafe { *freed = true });
        }
    }

    impl Memory {
        fn is_freed(&self) -> bool {
            // SAFETY: no one writes meanwhile, as the checker sees to.
            self.0.with(|freed| unsafe { *freed })
        }
    }

    /// A writer that replaces twice, beside readers: nobody reads what was freed, and in the end nothing
    /// is left but what is in use.
    fn replace_beside(readers: usize) {
        let mut model = loom::model::Builder::new();
        // Every interleaving with up to three interruptions: all would take hours.
        model.preemption_bound = Some(3);
        model.check(move || {
            let reclaimer = Arc::new(Reclaimer::new());
            let blocks: [_; 3] = std::array::from_fn(|_| Arc::new(Memory(UnsafeCell::new(false))));
            let current = Arc::new(AtomicUsize::new(0));
            let read = |_| {
                let (reclaimer, blocks, current) = (reclaimer.clone(), blocks.clone(), current.clone());
                thread::spawn(move || {
                    let _reading = reclaimer.read();
                    let seen = current.load(Acquire);
                    assert!(!blocks[seen].is_freed(), "block {seen} was freed under a reader");
                })
            };
            let readers: Vec<_> = (0..readers).map(read).collect();
            for next in 1..3 {
                current.store(next, Release);
                reclaimer.retire(Item(blocks[next - 1].clone()));
            }
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            reclaimer.retire(Item(Arc::new(Memory(UnsafeCell::new(false)))));
            assert_eq!(blocks.each_ref().map(|block| block.is_freed()), [true, true, false]);
        });
    }

    #[test]
    fn one_reader_never_sees_a_freed_block() {
        replace_beside(1);
    }

    #[test]
    fn two_readers_never_see_a_freed_block() {
        replace_beside(2);
    }
}
