//! What every series begins with in the slab.

use crate::slab::Zeroed;
use crate::sync::{
    fence, global, AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Relaxed, Release},
};

global! {
    /// The latest generation given out.
    static LATEST: AtomicU32 = AtomicU32::new(0);
}

global! {
    /// Whether this process is about to end, and takes nothing with it.
    static LEAVING: AtomicBool = AtomicBool::new(false);
}

/// This process ends in good order: what is dropped from now on was not removed, and its totals stay.
pub(crate) fn leave() {
    LEAVING.store(true, Relaxed);
}

pub(crate) fn is_leaving() -> bool {
    LEAVING.load(Relaxed)
}

/// A generation that no block has had for a very long time.
pub(crate) fn fresh_generation() -> u32 {
    match LATEST.fetch_add(1, Relaxed).wrapping_add(1) {
        0 => fresh_generation(),
        fresh => fresh,
    }
}

/// The first words of a series' block.
#[repr(C)]
pub(crate) struct Head {
    /// Tells this use of the block from earlier ones; 0 while nobody else is to see it.
    generation: AtomicU32,
    /// Where the exemplars lie, in grains; 0 for none.
    exemplars: AtomicU32,
    /// Seconds since 1970 when counting began, as a double's bits.
    created: AtomicU64,
}

// SAFETY: three atomic integers.
unsafe impl Zeroed for Head {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Head { generation: AtomicU32::new(0), exemplars: AtomicU32::new(0), created: AtomicU64::new(0) }
    }
}

impl Head {
    /// Counting begins; whoever reads may see it.
    pub(crate) fn begin(&self, seconds: f64) {
        self.set_created(seconds);
        self.generation.store(fresh_generation(), Release);
    }

    /// Nobody sees it from now on: whoever reads something that the block holds afterwards sees that it ended.
    pub(crate) fn end(&self) {
        self.generation.store(0, Relaxed);
        fence(Release);
    }

    #[cfg(loom)]
    pub(crate) fn generation_word(&self) -> &AtomicU32 {
        &self.generation
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    pub(crate) fn created(&self) -> f64 {
        f64::from_bits(self.created.load(Relaxed))
    }

    pub(crate) fn set_created(&self, seconds: f64) {
        self.created.store(seconds.to_bits(), Relaxed);
    }

    /// Tells where the exemplars lie.
    pub(crate) fn set_exemplars(&self, place: u32) {
        self.exemplars.store(place, Release);
    }
}
