//! What of a histogram lies in the slab, word by word, for readers in other processes too.

use super::grid;
use crate::head::Head;
use crate::slab::Zeroed;
use crate::sync::{AtomicU32, AtomicU64};

/// What lies in the slab, beside the buckets and bins.
#[repr(C)]
pub(super) struct Slot {
    pub head: Head,
    pub totals: Totals,
    /// For other processes: where the bins of each octave lie in the file; see `Octave::place`.
    pub octaves: [AtomicU32; grid::OCTAVES],
}

// SAFETY: atomic integers.
unsafe impl Zeroed for Slot {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Slot { head: Head::zeroed(), totals: Totals::default(), octaves: Zeroed::zeroed() }
    }
}

/// One octave outside the fast range.
#[repr(C)]
pub(super) struct Far {
    pub exponent: AtomicU32,
    /// Where another one lies in the file; 0 for the last.
    pub next: AtomicU32,
    pub unused: AtomicU64,
    pub bins: [AtomicU64; grid::BINS],
}

// SAFETY: atomic integers.
unsafe impl Zeroed for Far {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Far { exponent: AtomicU32::new(0), next: AtomicU32::new(0), unused: AtomicU64::new(0), bins: Zeroed::zeroed() }
    }
}

/// What there is one of.
#[derive(Default)]
#[repr(C)]
pub(super) struct Totals {
    pub sum: AtomicU64,
    pub min: AtomicU64,
    pub max: AtomicU64,
    /// Events since the latest sample, which stands for them.
    pub held: AtomicU64,
    /// That sample's value; NaN before the first.
    pub latest: AtomicU64,
    /// Odd while more than one value changes hands; see `Histogram::change`.
    pub sequence: AtomicU64,
    pub below: AtomicU64,
    pub zero: AtomicU64,
    pub above: AtomicU64,
    /// Where the first octave outside the fast range lies in the file.
    pub far: AtomicU32,
    pub unused: AtomicU32,
}
