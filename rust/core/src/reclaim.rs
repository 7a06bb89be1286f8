//! When a memory block that readers may still be looking at can be given back.
//!
//! A writer replaces a block (a histogram octave grows wider), *unpublishes* the old one with a
//! `SeqCst` store, and then retires it. A reader announces itself, then loads pointers. If the writer
//! sees no reader after its store, every later reader's announcement, and so its load, comes after
//! that store in the single total order and finds the new block: the old one can go. Otherwise it
//! waits for a later retirement. Neither side ever waits for the other.

use crate::sync::{lock, AtomicUsize, Mutex, Ordering::SeqCst};

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

    /// Announces a reader; load pointers (with `SeqCst`) only while the guard lives.
    pub fn read(&self) -> Reading<'_> {
        self.readers.fetch_add(1, SeqCst);
        Reading(&self.readers)
    }

    /// Takes an item that was unpublished with a `SeqCst` store, and drops all that no reader can see.
    pub fn retire(&self, item: T) {
        let mut retired = lock(&self.retired);
        retired.push(item);
        if self.readers.load(SeqCst) == 0 {
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
        self.0.fetch_sub(1, SeqCst);
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
    use crate::sync::AtomicU64;
    use loom::{sync::Arc, thread};

    /// Every interleaving of one growing writer and two readers: nobody reads a freed block.
    #[test]
    fn a_reader_never_sees_a_freed_block() {
        struct Item(Arc<AtomicU64>);
        impl Drop for Item {
            fn drop(&mut self) {
                self.0.store(1, SeqCst);
            }
        }
        loom::model(|| {
            let reclaimer = Arc::new(Reclaimer::new());
            let freed = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
            let current = Arc::new(AtomicUsize::new(0));
            let reader = {
                let (reclaimer, freed, current) = (reclaimer.clone(), freed.clone(), current.clone());
                thread::spawn(move || {
                    let reading = reclaimer.read();
                    let seen = current.load(SeqCst);
                    assert_eq!(freed[seen].load(SeqCst), 0, "block {seen} was freed under a reader");
                    drop(reading);
                })
            };
            current.store(1, SeqCst);
            reclaimer.retire(Item(freed[0].clone()));
            reader.join().unwrap();
        });
    }
}
