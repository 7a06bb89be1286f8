//! A copy of a histogram that holds its filled bins alone.

use super::buckets::Buckets;
use super::grid;
use super::snapshot::{Snapshot, Tail};

/// The schema of the grid itself.
pub(super) const FINEST: i8 = 7;
/// Buckets an octave there.
pub(super) const BINS: i32 = 1 << FINEST;

/// What the native view is made of, in a buffer that is used again for the next series: as a
/// [`Snapshot`], but of the filled bins alone.
#[derive(Debug, Default, PartialEq)]
pub struct Filled {
    /// The classic view.
    pub buckets: Buckets,
    /// Values outside the grid.
    pub tail: Tail,
    /// The index of each filled bin at the grid's own schema, and its count; ascending.
    pub bins: Vec<(i32, u64)>,
}

impl Filled {
    /// Empties the buffer.
    pub(super) fn clear(&mut self) {
        self.tail = Tail::default();
        self.bins.clear();
    }

    /// Appends the filled bins of an octave, which is above those that are there.
    #[inline]
    pub(super) fn push(&mut self, exponent: u64, counts: impl Iterator<Item = u64>) {
        let octave = (exponent as i32 - 1023) * BINS + 1;
        self.bins.extend((octave..).zip(counts).filter(|&(_, count)| count > 0));
    }

    /// Copies a snapshot.
    pub fn set(&mut self, snapshot: &Snapshot) {
        self.clear();
        self.buckets.clone_from(&snapshot.buckets);
        self.tail = snapshot.tail;
        for (&exponent, bins) in &snapshot.bins {
            self.push(exponent, bins.iter().copied());
        }
    }

    /// Adds `count` equal values to the bins; the buckets have them already.
    pub(super) fn add(&mut self, value: f64, count: u64) {
        let key = grid::key(value);
        let exponent = grid::exponent(key);
        if value < 0.0 {
            self.tail.below += count;
        } else if value == f64::INFINITY {
            self.tail.above += count;
        } else if exponent == 0 || value == 0.0 {
            self.tail.zero += count;
        } else {
            let index = (exponent as i32 - 1023) * BINS + 1 + i32::from(grid::bin(key) as u8);
            match self.bins.binary_search_by_key(&index, |&(index, _)| index) {
                Ok(at) => self.bins[at].1 += count,
                Err(at) => self.bins.insert(at, (index, count)),
            }
        }
    }
}
