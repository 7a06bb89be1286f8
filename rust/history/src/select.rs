//! The store as `PromQL` sees it: which tracks a selector means, and where their samples are.
//!
//! Of each time the finest level that has it is shown: samples every second of the last minutes, then every ten
//! seconds, then every minute. All are what the registry showed at those very times, so they are one series.

use crate::catalog::Series;
use crate::chosen::{Chosen, ChosenTrack};
use crate::runs::{Piece, Source};
use crate::store::{Memory, Store};
use crate::track::Shape;
use ferrometer_promql::{Matcher, Selection, Storage, StorageError};
use std::sync::Arc;

impl Storage for Store {
    fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        after_ms: i64,
        until_ms: i64,
    ) -> Result<Box<dyn Selection + 'a>, StorageError> {
        let memory = self.lock();
        let mut chosen = Chosen::default();
        let mut wanted = Vec::new();
        for id in memory.catalog.candidates(matchers) {
            let series = memory.catalog.get(id);
            let passing: Vec<u32> = (0u32..)
                .zip(series.exported())
                .filter(|(_, (labels, _))| matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()))))
                .map(|(place, _)| place)
                .collect();
            if !passing.is_empty() {
                wanted.push((id, passing));
            }
        }
        let mut places = vec![usize::MAX; memory.catalog.capacity()];
        let mut companions = Vec::new();
        for (at, (id, _)) in wanted.iter().enumerate() {
            places[*id as usize] = at;
            let identity = &memory.catalog.get(*id).identity;
            if identity.shape == Shape::Bins {
                companions.push((at, memory.catalog.classic_of(identity)));
            }
        }
        let mut pieces = collect(&memory, self, &places, wanted.len(), after_ms, until_ms);
        let mut classics: Vec<Option<(Arc<Series>, Vec<Piece>)>> = wanted.iter().map(|_| None).collect();
        if !companions.is_empty() {
            places.fill(usize::MAX);
            for &(at, classic) in &companions {
                if let Some(classic) = classic {
                    places[classic as usize] = at;
                }
            }
            let mut found = collect(&memory, self, &places, wanted.len(), after_ms, until_ms);
            for (at, classic) in companions {
                if let Some(classic) = classic {
                    classics[at] = Some((memory.catalog.get(classic).clone(), std::mem::take(&mut found[at])));
                }
            }
        }
        for (at, (id, passing)) in wanted.into_iter().enumerate() {
            let pieces = std::mem::take(&mut pieces[at]);
            if pieces.is_empty() {
                continue;
            }
            let track = chosen.tracks.len() as u32;
            chosen.series.extend(passing.into_iter().map(|place| (track, place)));
            let series = memory.catalog.get(id).clone();
            chosen.tracks.push(ChosenTrack { series, pieces, classic: classics[at].take() });
        }
        Ok(Box::new(chosen))
    }
}

/// What all blocks have of the series that have a place, in the order of time.
fn collect(
    memory: &Memory,
    store: &Store,
    places: &[usize],
    count: usize,
    after_ms: i64,
    until_ms: i64,
) -> Vec<Vec<Piece>> {
    let mut pieces: Vec<Vec<Piece>> = (0..count).map(|_| Vec::new()).collect();
    for (index, blocks) in memory.levels.iter().enumerate().rev() {
        let finer = memory.levels[..index].iter().map(super::store::Blocks::first_ms).min();
        let ends = finer.map_or(i64::MAX, |first| first.saturating_sub(1));
        let schema = store.plan.levels[index].schema.unwrap_or(7);
        let is_asked = |first: i64, last: i64| first <= until_ms.min(ends) && last > after_ms;
        for block in &blocks.sealed {
            if !is_asked(block.first_ms(), block.last_ms()) {
                continue;
            }
            let mut bytes = None;
            for (chunk, &id) in block.ids.iter().enumerate() {
                let Some(&place) = places.get(id as usize).filter(|&&place| place != usize::MAX) else { continue };
                let Some(bytes) = bytes.get_or_insert_with(|| block.bytes()) else { break };
                let source = Source::Sealed { bytes: bytes.clone(), block: block.clone(), chunk };
                pieces[place].push(Piece { ticks: block.ticks.clone(), source, schema, until_ms: ends });
            }
        }
        let ticks = &blocks.open.ticks;
        if let (Some(first), Some(last)) = (ticks.first(), ticks.last()) {
            if is_asked(first.time_ms, last.time_ms) {
                for (id, bits) in &blocks.open.tracks {
                    let Some(&place) = places.get(*id as usize).filter(|&&place| place != usize::MAX) else { continue };
                    let source = Source::Open(bits.clone());
                    pieces[place].push(Piece { ticks: ticks.clone(), source, schema, until_ms: ends });
                }
            }
        }
    }
    pieces
}
