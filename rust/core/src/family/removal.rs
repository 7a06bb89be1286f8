//! Series that go: here, or in all processes that share them.

use super::table::Table;
use super::{Family, AUDIENCE};
use crate::definition::Kind;
use crate::error::Error;
use crate::series::SeriesRef;
use crate::sync::{lock, Ordering::Relaxed};
use std::hash::BuildHasher;

impl Family {
    /// Removes the series with these label values, in all processes that share it. Handles to it go on
    /// working, unseen. `false` when it is not here.
    ///
    /// # Errors
    /// When there are not as many values as names.
    pub fn remove(&self, values: &[&str]) -> Result<bool, Error> {
        self.check(values.len())?;
        let mut text = Vec::new();
        self.labels.render(values, &mut text);
        let removed = self.remove_here(&text, None);
        self.tell_removed(Some(&text));
        Ok(removed)
    }

    /// Removes the series with this text, in this process alone; only that of a generation, if one is given, and
    /// not one that was made in its place meanwhile. `false` when there is none.
    pub(crate) fn remove_here(&self, wanted: &[u8], generation: Option<u32>) -> bool {
        let gone = {
            let mut table = lock(&self.table);
            let Table { series, index, .. } = &mut *table;
            let hash = self.hasher.hash_one(wanted);
            let is_it = |position: u32| {
                let found = series[position as usize].as_ref().filter(|found| found.text() == wanted);
                found.is_some_and(|found| generation.is_none_or(|wanted| found.head().generation() == wanted))
            };
            let Ok(entry) = index.find_entry(hash, |&position| is_it(position)) else { return false };
            let (position, _) = entry.remove();
            let gone = series[position as usize].take();
            gone.iter().for_each(hide);
            self.removals.fetch_add(1, Relaxed);
            table.close_holes(&self.hasher);
            gone
        };
        // Dropping the cells takes a while, and another lock.
        if let Some(gone) = &gone {
            self.exemplars.remove(gone.text());
        }
        gone.is_some()
    }

    /// Removes all series, in all processes that share them.
    pub fn clear(&self) {
        self.forget_all();
        self.tell_removed(None);
    }

    fn tell_removed(&self, text: Option<&[u8]>) {
        // What every process has for itself is removed by each for itself, too.
        let is_own = matches!(self.definition.kind, Kind::Gauge(mode) if mode.is_per_process());
        if let Some(audience) = AUDIENCE.get().filter(|_| !is_own) {
            audience.removed(self, text);
        }
    }

    /// Removes the series with these label values in this process alone; others keep theirs.
    ///
    /// # Errors
    /// When there are not as many values as names.
    pub fn forget(&self, values: &[&str]) -> Result<bool, Error> {
        self.check(values.len())?;
        let mut text = Vec::new();
        self.labels.render(values, &mut text);
        Ok(self.remove_here(&text, None))
    }

    /// Removes the series with this rendered text in this process alone; others keep theirs.
    pub fn forget_text(&self, text: &[u8]) -> bool {
        self.remove_here(text, None)
    }

    /// Removes all series in this process alone; others keep theirs.
    pub fn forget_all(&self) {
        let gone: Vec<SeriesRef> = {
            let mut table = lock(&self.table);
            table.index.clear();
            let gone: Vec<SeriesRef> = table.series.iter_mut().filter_map(Option::take).collect();
            gone.iter().for_each(hide);
            self.removals.fetch_add(1, Relaxed);
            table.close_holes(&self.hasher);
            gone
        };
        self.exemplars.clear();
        drop(gone);
    }
}

/// Nobody else sees a series any more.
fn hide(series: &SeriesRef) {
    series.head().end();
    if let Some(audience) = AUDIENCE.get() {
        audience.gone(series);
    }
}
