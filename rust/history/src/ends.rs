//! How the chunks of a sealed block end, remembered by the first query that read them: a rate over a whole chunk needs
//! its ends alone, where no counter of it became less in between.

use crate::chunk::Value;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::OnceLock;

/// What is known of a block's chunks, by their numbers.
#[derive(Debug, Default)]
pub struct Ends {
    known: OnceLock<Box<[OnceLock<Option<Value>>]>>,
    bytes: AtomicUsize,
}

impl Ends {
    /// The last value of a chunk, if it is known that the series has a sample at each tick from the chunk's first
    /// record on and that nothing became less.
    pub fn steady(&self, chunk: usize) -> Option<&Value> {
        self.known.get()?.get(chunk)?.get()?.as_ref()
    }

    /// Whether anything is known of a chunk.
    pub fn is_known(&self, chunk: usize) -> bool {
        self.known.get().and_then(|known| known.get(chunk)).is_some_and(|end| end.get().is_some())
    }

    /// Remembers what was found out about one of so many chunks: its last value, nothing where it is not steady.
    pub fn learn(&self, chunks: usize, chunk: usize, end: Option<Value>) {
        let known = self.known.get_or_init(|| {
            self.bytes.fetch_add(chunks * size_of::<OnceLock<Option<Value>>>(), Relaxed);
            (0..chunks).map(|_| OnceLock::new()).collect()
        });
        let more = match &end {
            Some(Value::Classic(classic)) => classic.counts.capacity() * size_of::<u64>(),
            Some(Value::Bins(bins)) => bins.capacity() * size_of::<(u32, u64)>(),
            _ => 0,
        };
        if known.get(chunk).is_some_and(|place| place.set(end).is_ok()) {
            self.bytes.fetch_add(more, Relaxed);
        }
    }

    /// How many bytes that takes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }
}
