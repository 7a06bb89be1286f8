//! Exemplars: for a bucket, one event that fell into it, with the labels of its trace.
//!
//! They are kept beside the cells, by series and bucket, the latest of each: a family without exemplars
//! pays nothing, and one with them holds at most one per exposed line. Other processes read copies.

use crate::cell::{store_bytes, store_f64};
use crate::clock::now;
use crate::labels::Labels;
use crate::seqlock::change;
use crate::series::SeriesRef;
use crate::slab::{place_of, Block, Zeroed};
use crate::sync::{lock, AtomicU64, Mutex, Ordering::Relaxed};
use std::collections::HashMap;
use std::ops::Range;

/// One remembered event.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Rendered labels, `trace_id="…"`.
    pub labels: Box<str>,
    /// What was recorded.
    pub value: f64,
    /// When, in seconds since 1970.
    pub timestamp: f64,
}

impl Exemplar {
    /// An event of this moment with these labels, sorted by name.
    pub fn now(labels: &[(String, String)], value: f64) -> Self {
        Self::at(labels, value, now())
    }

    /// An event of another moment, in seconds since 1970.
    pub fn at(labels: &[(String, String)], value: f64, timestamp: f64) -> Self {
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<&str> = labels.iter().map(|(_, value)| value.as_str()).collect();
        let mut text = Vec::new();
        Labels::new(&names).render(&values, &mut text);
        Exemplar { labels: String::from_utf8_lossy(&text).into(), value, timestamp }
    }
}

/// The longest text that other processes see, in bytes.
const LONGEST: usize = if cfg!(loom) { 16 } else { 28 * 8 };

/// One exemplar where other processes read it.
#[repr(C)]
struct Slot {
    /// Odd while it is being written.
    sequence: AtomicU64,
    value: AtomicU64,
    timestamp: AtomicU64,
    length: AtomicU64,
    text: [AtomicU64; LONGEST / 8],
}

// SAFETY: atomic integers.
unsafe impl Zeroed for Slot {
    #[cfg(loom)]
    fn zeroed() -> Self {
        let zero = || AtomicU64::new(0);
        Slot { sequence: zero(), value: zero(), timestamp: zero(), length: zero(), text: Zeroed::zeroed() }
    }
}

impl Slot {
    fn write(&self, exemplar: &Exemplar) {
        let text = exemplar.labels.as_bytes();
        if text.len() > LONGEST {
            return;
        }
        change(&self.sequence, || {
            store_f64(&self.value, exemplar.value);
            store_f64(&self.timestamp, exemplar.timestamp);
            self.length.store(text.len() as u64, Relaxed);
            store_bytes(&self.text, text);
        });
    }
}

/// The latest of each bucket, and their copies for other processes.
#[derive(Default)]
struct ByBucket {
    own: Vec<Option<Exemplar>>,
    shown: Option<Block<[Slot]>>,
}

impl ByBucket {
    fn show(&mut self, series: &SeriesRef, buckets: Range<usize>) {
        if series.places().0 == 0 {
            return;
        }
        let slots = self.shown.get_or_insert_with(|| Block::run(series.exemplars()));
        for (slot, exemplar) in slots[buckets.clone()].iter().zip(&self.own[buckets]) {
            if let Some(exemplar) = exemplar {
                slot.write(exemplar);
            }
        }
        series.head().set_exemplars(place_of(&**slots));
    }
}

/// The exemplars of one family.
#[derive(Default)]
pub struct Exemplars {
    by_series: Mutex<HashMap<Box<[u8]>, ByBucket>>,
}

impl Exemplars {
    /// Replaces the exemplar of a bucket (0 for a counter) of a series.
    pub fn set(&self, series: &SeriesRef, bucket: usize, exemplar: Exemplar) {
        let mut all = lock(&self.by_series);
        let buckets = all.entry(series.text().into()).or_default();
        if buckets.own.len() <= bucket {
            buckets.own.resize(bucket + 1, None);
        }
        buckets.own[bucket] = Some(exemplar);
        buckets.show(series, bucket..bucket + 1);
    }

    /// The exemplars of a series by bucket; shorter than the buckets when the last have none.
    pub fn of(&self, series: &[u8]) -> Vec<Option<Exemplar>> {
        let all = lock(&self.by_series);
        if all.is_empty() {
            Vec::new()
        } else {
            all.get(series).map(|buckets| buckets.own.clone()).unwrap_or_default()
        }
    }

    /// Writes those of a series where other processes find them: the slab has moved into a file.
    pub(crate) fn show(&self, series: &SeriesRef) {
        if let Some(buckets) = lock(&self.by_series).get_mut(series.text()) {
            let all = 0..buckets.own.len();
            buckets.show(series, all);
        }
    }

    /// Forgets those of one series.
    pub fn remove(&self, series: &[u8]) {
        lock(&self.by_series).remove(series);
    }

    /// Forgets all.
    pub fn clear(&self) {
        lock(&self.by_series).clear();
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::seqlock::undisturbed;
    use loom::{sync::Arc, thread};

    /// A reader in another process never sees a half of one exemplar and a half of another.
    #[test]
    fn an_exemplar_is_read_whole() {
        let exemplar = |text: &str, value| Exemplar { labels: text.into(), value, timestamp: value };
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let slot = Arc::new(Slot::zeroed());
            slot.write(&exemplar("111111111", 1.0));
            let writer = {
                let slot = slot.clone();
                thread::spawn(move || slot.write(&exemplar("22222222222222", 2.0)))
            };
            let load = |word: &AtomicU64| word.load(Relaxed);
            let read = || (load(&slot.value), load(&slot.length), slot.text.each_ref().map(load));
            let seen = undisturbed(&slot.sequence, || true, read).expect("the writer ends");
            let text = |text: &[u8; 16]| [0, 8].map(|at| u64::from_le_bytes(text[at..at + 8].try_into().unwrap()));
            let first = (1f64.to_bits(), 9, text(b"111111111\0\0\0\0\0\0\0"));
            let second = (2f64.to_bits(), 14, text(b"22222222222222\0\0"));
            assert!(seen == first || seen == second, "{seen:?}");
            writer.join().unwrap();
        });
    }
}
