//! The series of a family by the text of their label values.

use crate::definition::Kind;
use crate::labels::Labels;
use crate::series::{Cells, SeriesRef};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// In order of creation, and by text.
#[derive(Default)]
pub(super) struct Table {
    /// In order of creation; removed ones leave a hole until half are holes and nobody visits.
    pub series: Vec<Option<SeriesRef>>,
    pub index: HashTable<u32>,
    pub scratch: Vec<u8>,
    /// Visits going on. Positions stay as they are meanwhile, so that none skips or repeats a series.
    pub visits: usize,
}

/// There is no such series.
pub(super) struct Missing;

impl Table {
    /// Leaves the text of these values in the scratch buffer.
    pub fn render(&mut self, labels: &Labels, values: &[&str]) {
        self.scratch.clear();
        labels.render(values, &mut self.scratch);
    }

    /// The series with these values; otherwise their text is left in the scratch buffer.
    pub fn find(
        &mut self,
        labels: &Labels,
        hasher: &DefaultHashBuilder,
        values: &[&str],
    ) -> Result<&SeriesRef, Missing> {
        self.render(labels, values);
        self.find_text(hasher)
    }

    /// The series whose text is in the scratch buffer.
    pub fn find_text(&mut self, hasher: &DefaultHashBuilder) -> Result<&SeriesRef, Missing> {
        let Table { series, index, scratch, .. } = self;
        let hash = hasher.hash_one(&scratch[..]);
        let position = index.find(hash, |&position| text(series, position) == scratch).ok_or(Missing)?;
        series[*position as usize].as_ref().ok_or(Missing)
    }

    /// Makes the series whose text `find` left in the scratch buffer.
    pub fn insert(&mut self, hasher: &DefaultHashBuilder, kind: &Kind) -> SeriesRef {
        let made = SeriesRef::new(Cells::new(kind), &self.scratch);
        let position = u32::try_from(self.series.len()).expect("fewer than 2^32 series");
        self.series.push(Some(made.clone()));
        let Table { series, index, scratch, .. } = self;
        let hash = |position: &u32| hasher.hash_one(text(series, *position));
        index.insert_unique(hasher.hash_one(&scratch[..]), position, hash);
        made
    }

    /// Moves the series together, when half of the places are holes and nobody visits.
    pub fn close_holes(&mut self, hasher: &DefaultHashBuilder) {
        if self.visits > 0 || self.index.len() * 2 >= self.series.len() {
            return;
        }
        self.series.retain(Option::is_some);
        self.index.clear();
        let Table { series, index, .. } = self;
        for position in 0..series.len() as u32 {
            let hash = |position: &u32| hasher.hash_one(text(series, *position));
            index.insert_unique(hash(&position), position, hash);
        }
    }
}

/// The text of the series at a position; nothing for a hole.
pub(super) fn text(series: &[Option<SeriesRef>], position: u32) -> &[u8] {
    series[position as usize].as_ref().map_or(&[], |series| series.text())
}
