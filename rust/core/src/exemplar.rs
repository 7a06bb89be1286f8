//! Exemplars: for a bucket, one event that fell into it, with the labels of its trace.
//!
//! They are kept beside the cells, by series and bucket, the latest of each: a family without exemplars
//! pays nothing, and one with them holds at most one per exposed line.

use crate::clock::now;
use crate::labels::Labels;
use crate::sync::{lock, Mutex};
use std::collections::HashMap;

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
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<&str> = labels.iter().map(|(_, value)| value.as_str()).collect();
        let mut text = Vec::new();
        Labels::new(&names).render(&values, &mut text);
        Exemplar { labels: String::from_utf8_lossy(&text).into(), value, timestamp: now() }
    }
}

/// The latest of each bucket.
type ByBucket = Vec<Option<Exemplar>>;

/// The exemplars of one family.
#[derive(Default)]
pub struct Exemplars {
    by_series: Mutex<HashMap<Box<[u8]>, ByBucket>>,
}

impl Exemplars {
    /// Replaces the exemplar of a bucket (0 for a counter) of the series with this label text.
    pub fn set(&self, series: &[u8], bucket: usize, exemplar: Exemplar) {
        let mut all = lock(&self.by_series);
        let buckets = all.entry(series.into()).or_default();
        if buckets.len() <= bucket {
            buckets.resize(bucket + 1, None);
        }
        buckets[bucket] = Some(exemplar);
    }

    /// The exemplars of a series by bucket; shorter than the buckets when the last have none.
    pub fn of(&self, series: &[u8]) -> Vec<Option<Exemplar>> {
        let all = lock(&self.by_series);
        if all.is_empty() {
            Vec::new()
        } else {
            all.get(series).cloned().unwrap_or_default()
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
