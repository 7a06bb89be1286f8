//! The narrow bins of one histogram, as differences of those that changed.

use crate::bits::{unzigzag, zigzag, BitReader, Bits, Golomb};
use ferrometer_core::histogram::filled::Filled;

/// What is added to an index at the grid's schema, so that none is negative.
pub const OFFSET: i32 = 1 << 18;
/// The place of zero and subnormal values.
pub const ZERO: u32 = 0;
/// The index of `+Inf` at schema 7: behind the bin of the largest double.
const INFINITE: i32 = (2046 - 1023 + 1) * 128 + 1;
/// The most bins that a file may claim for a histogram.
const MOST: u64 = 1 << 18;

/// The bins that hold something: their places in ascending order, and their counts.
pub type Bins = Vec<(u32, u64)>;

/// The index that a place stands for at its schema.
pub fn index_of(place: u32) -> i32 {
    place.cast_signed() - OFFSET
}

/// The bins of a histogram at schema 7; false where there are negative values, of which the grid keeps no bins.
pub fn of_filled(filled: &Filled, out: &mut Bins) -> bool {
    out.clear();
    if filled.tail.below > 0 {
        return false;
    }
    if filled.tail.zero > 0 {
        out.push((ZERO, filled.tail.zero));
    }
    out.extend(filled.bins.iter().map(|&(index, count)| ((index + OFFSET).cast_unsigned(), count)));
    if filled.tail.above > 0 {
        out.push(((INFINITE + OFFSET).cast_unsigned(), filled.tail.above));
    }
    true
}

/// The same counts in bins of a coarser schema, or of the same.
pub fn merged(bins: &[(u32, u64)], from: i8, schema: i8) -> Bins {
    let shift = i32::from(from) - i32::from(schema);
    if shift == 0 {
        return bins.to_vec();
    }
    let mut out: Bins = Vec::with_capacity(bins.len() >> shift);
    for &(place, count) in bins {
        let place = if place == ZERO {
            ZERO
        } else {
            let index = (index_of(place) + (1 << shift) - 1) >> shift;
            (index + OFFSET).cast_unsigned()
        };
        match out.last_mut() {
            Some((last, total)) if *last == place => *total += count,
            _ => out.push((place, count)),
        }
    }
    out
}

/// Whether a bin has become less: then the histogram counts anew.
pub fn is_reset(now: &[(u32, u64)], before: &[(u32, u64)]) -> bool {
    let mut now = now.iter();
    before.iter().any(|&(place, was)| {
        let same = now.find(|&&(other, _)| other >= place);
        same.is_none_or(|&(other, count)| other != place || count < was)
    })
}

/// What writer and reader of one chunk both know.
#[derive(Clone, Debug)]
pub struct Coder {
    /// The sample.
    pub now: Bins,
    first: u32,
    firsts: Golomb,
    gaps: Golomb,
    counts: Golomb,
    changes: Golomb,
    scratch: Bins,
}

impl Default for Coder {
    fn default() -> Self {
        Coder {
            now: Vec::new(),
            first: OFFSET.cast_unsigned(),
            firsts: Golomb::expecting(256),
            gaps: Golomb::expecting(4),
            counts: Golomb::default(),
            changes: Golomb::expecting(4),
            scratch: Vec::new(),
        }
    }
}

impl Coder {
    /// Appends a sample that does not depend on those before.
    pub fn push_absolute(&mut self, new: &[(u32, u64)], bits: &mut Bits) {
        *self = Coder::default();
        self.push(new, bits);
        self.forget_sizes();
    }

    /// Reads what [`push_absolute`](Self::push_absolute) wrote.
    pub fn read_absolute(&mut self, bits: &mut BitReader<'_>) {
        *self = Coder::default();
        self.read(bits);
        self.forget_sizes();
    }

    fn forget_sizes(&mut self) {
        let Coder { firsts, gaps, counts, changes, .. } = Coder::default();
        (self.firsts, self.gaps, self.counts, self.changes) = (firsts, gaps, counts, changes);
    }

    /// Appends the bins that grew. None may have become less.
    pub fn push(&mut self, new: &[(u32, u64)], bits: &mut Bits) {
        let mut before = self.now.iter().peekable();
        self.scratch.clear();
        for &(place, count) in new {
            while before.next_if(|&&(other, _)| other < place).is_some() {}
            let was = before.next_if(|&&(other, _)| other == place).map_or(0, |&(_, was)| was);
            if count > was {
                self.scratch.push((place, count - was));
            }
        }
        self.changes.push(self.scratch.len() as u64, bits);
        let mut last = None;
        for &(place, step) in &self.scratch {
            match last {
                None => {
                    self.firsts.push(zigzag(i64::from(place) - i64::from(self.first)), bits);
                    self.first = place;
                }
                Some(last) => self.gaps.push(u64::from(place - last - 1), bits),
            }
            self.counts.push(step - 1, bits);
            last = Some(place);
        }
        self.now.clear();
        self.now.extend_from_slice(new);
    }

    /// Reads what [`push`](Self::push) wrote.
    pub fn read(&mut self, bits: &mut BitReader<'_>) {
        let changes = self.changes.read(bits).min(MOST);
        let mut place = 0u32;
        // Those that grow are mostly there already: a walk beside the known ones, and a merge where one is new.
        let mut at = 0;
        self.scratch.clear();
        for change in 0..changes {
            if bits.is_overrun() {
                return;
            }
            if change == 0 {
                let step = unzigzag(self.firsts.read(bits));
                place = i64::from(self.first).wrapping_add(step).rem_euclid(1 << 32) as u32;
                self.first = place;
            } else {
                place = place.wrapping_add((self.gaps.read(bits) as u32).wrapping_add(1));
            }
            let step = self.counts.read(bits).wrapping_add(1);
            while self.now.get(at).is_some_and(|&(other, _)| other < place) {
                at += 1;
            }
            match self.now.get_mut(at) {
                Some((other, count)) if *other == place => *count = count.wrapping_add(step),
                _ => self.scratch.push((place, step)),
            }
        }
        if !self.scratch.is_empty() {
            self.now.append(&mut self.scratch);
            self.now.sort_by_key(|&(place, _)| place);
            // A damaged file may name one twice.
            self.now.dedup_by_key(|&mut (place, _)| place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The twin: every value's bin at the coarser schema, from the definition.
        #[test]
        fn merging_moves_no_count(indexes in prop::collection::btree_map(-2000i32..2000, 1u64..100, 0..100), schema in 0i8..7) {
            let bins: Bins = indexes.iter().map(|(&index, &count)| ((index + OFFSET).cast_unsigned(), count)).collect();
            let mut twin = std::collections::BTreeMap::new();
            for (&index, &count) in &indexes {
                let coarse = (f64::from(index) / f64::from(1 << (7 - schema))).ceil() as i32;
                *twin.entry(coarse).or_insert(0) += count;
            }
            let merged: Vec<_> = merged(&bins, 7, schema).into_iter().map(|(place, count)| (index_of(place), count)).collect();
            prop_assert_eq!(merged, twin.into_iter().collect::<Vec<_>>());
        }
    }
}
