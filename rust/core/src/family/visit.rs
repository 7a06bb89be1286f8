//! Visits of a family's series, beside the thread that makes and removes them.

use super::Family;
use crate::series::SeriesRef;
use crate::sync::lock;

/// How many series of a family are copied under one hold of its lock.
const CHUNK: usize = 256;

impl Family {
    /// Visits the series that there are now, in order of creation, but for those removed meanwhile. The
    /// lock is held for a few hundred reference counts at a time and never during a visit.
    pub fn for_each(&self, mut visit: impl FnMut(&SeriesRef)) {
        let end = {
            let mut table = lock(&self.table);
            table.visits += 1;
            table.series.len()
        };
        let _visiting = Visiting(self);
        let mut chunk = Vec::with_capacity(end.min(CHUNK));
        for start in (0..end).step_by(CHUNK) {
            let range = start..end.min(start + CHUNK);
            // They lie all over the memory. What comes next is on its way meanwhile: a series, then what it leads
            // to, then what that leads to, for one address is known when the one before has come.
            let table = lock(&self.table);
            let part = &table.series[range];
            for (at, series) in part.iter().enumerate() {
                part.get(at + 8).into_iter().flatten().for_each(SeriesRef::fetch);
                chunk.extend(series.clone());
            }
            drop(table);
            for (at, series) in chunk.iter().enumerate() {
                chunk.get(at + 8).map(SeriesRef::fetch_cells);
                chunk.get(at + 4).map(SeriesRef::fetch_buckets);
                visit(series);
            }
            chunk.clear();
        }
    }
}

/// Ends a visit, also one that panics.
struct Visiting<'a>(&'a Family);

impl Drop for Visiting<'_> {
    fn drop(&mut self) {
        let mut table = lock(&self.0.table);
        table.visits -= 1;
        table.close_holes(&self.0.hasher);
    }
}
