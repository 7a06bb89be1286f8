//! All series of which any block has samples, each once.

use crate::track::{Identity, Part, Shape};
use ferrometer_promql::{Labels, Matcher};
use hashbrown::HashMap;
use std::sync::{Arc, OnceLock};

/// A series' number.
pub type SeriesId = u32;

/// A series, and what it is called outside.
#[derive(Debug)]
pub struct Series {
    /// What it is.
    pub identity: Identity,
    exported: OnceLock<Vec<(Labels, Part)>>,
}

impl Series {
    /// The series of Prometheus that it is; made when somebody asks first.
    pub fn exported(&self) -> &[(Labels, Part)] {
        self.exported.get_or_init(|| self.identity.exported())
    }
}

/// All series.
#[derive(Debug, Default)]
pub struct Catalog {
    series: Vec<Option<Arc<Series>>>,
    free: Vec<SeriesId>,
    by_key: HashMap<Box<[u8]>, SeriesId>,
    by_name: HashMap<Arc<str>, Vec<SeriesId>>,
}

fn key(identity: &Identity) -> Vec<u8> {
    let mut key = Vec::with_capacity(identity.name.len() + identity.text.len() + 8);
    identity.write(&mut key);
    key
}

impl Catalog {
    /// The number of a series, which is a new one for a new series.
    pub fn intern(&mut self, identity: &Identity) -> SeriesId {
        let key = key(identity);
        if let Some(&id) = self.by_key.get(&key[..]) {
            return id;
        }
        let series = Arc::new(Series { identity: identity.clone(), exported: OnceLock::new() });
        let id = if let Some(id) = self.free.pop() {
            self.series[id as usize] = Some(series);
            id
        } else {
            self.series.push(Some(series));
            self.series.len() as SeriesId - 1
        };
        self.by_key.insert(key.into(), id);
        self.by_name.entry(identity.name.clone()).or_default().push(id);
        id
    }

    /// A series by its number.
    ///
    /// # Panics
    /// When there is none: numbers come from [`intern`](Self::intern) and stay until [`retain`](Self::retain).
    pub fn get(&self, id: SeriesId) -> &Arc<Series> {
        self.series[id as usize].as_ref().expect("a series of some block")
    }

    /// How many numbers are in use, or have been.
    pub fn capacity(&self) -> usize {
        self.series.len()
    }

    /// The buckets of the histogram that these bins are of.
    pub fn classic_of(&self, bins: &Identity) -> Option<SeriesId> {
        let all = self.by_name.get(&bins.name)?;
        all.iter().copied().find(|&id| {
            let identity = &self.get(id).identity;
            matches!(identity.shape, Shape::Classic(_)) && identity.text == bins.text
        })
    }

    /// Forgets the series of which no block has samples.
    pub fn retain(&mut self, is_used: &[bool]) {
        for (id, used) in is_used.iter().enumerate() {
            if *used {
                continue;
            }
            let Some(series) = self.series[id].take() else { continue };
            self.by_key.remove(&key(&series.identity)[..]);
            if let Some(all) = self.by_name.get_mut(&series.identity.name) {
                all.retain(|&other| other as usize != id);
                if all.is_empty() {
                    self.by_name.remove(&series.identity.name);
                }
            }
            self.free.push(id as SeriesId);
        }
    }

    /// The series that may pass: those of the names that a matcher asks for, or all.
    pub fn candidates(&self, matchers: &[Matcher]) -> Vec<SeriesId> {
        let names = matchers.iter().find(|matcher| matcher.name() == "__name__").and_then(Matcher::values);
        let mut found = Vec::new();
        let Some(names) = names else {
            let all = 0..self.series.len() as SeriesId;
            return all.filter(|&id| self.series[id as usize].is_some()).collect();
        };
        for name in names {
            let stems = ["", "_bucket", "_count", "_sum"].map(|suffix| name.strip_suffix(suffix));
            for stem in stems.into_iter().flatten() {
                found.extend(self.by_name.get(stem).into_iter().flatten());
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
