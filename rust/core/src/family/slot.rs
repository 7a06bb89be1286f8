//! What of a family lies in the slab, word by word, for readers in other processes too.

use crate::slab::Zeroed;
use crate::sync::{AtomicU32, AtomicU64};

/// What lies in the slab.
#[repr(C)]
pub(super) struct Slot {
    /// Tells this use of the block from earlier ones; 0 while nobody else is to see the family.
    pub generation: AtomicU32,
    pub unused: AtomicU32,
    /// Times a label set was folded into the overflow series.
    pub folded: AtomicU64,
    /// Observations that were NaN.
    pub refused: AtomicU64,
    pub unused_too: AtomicU64,
}

// SAFETY: atomic integers.
unsafe impl Zeroed for Slot {
    #[cfg(loom)]
    fn zeroed() -> Self {
        let zero = || AtomicU64::new(0);
        let none = || AtomicU32::new(0);
        Slot { generation: none(), unused: none(), folded: zero(), refused: zero(), unused_too: zero() }
    }
}
