//! The constant labels of an info series.

use crate::cell::store_bytes;
use crate::clock::now;
use crate::head::Head;
use crate::slab::{place_of, Block, Zeroed};
use crate::sync::{
    fence, lock, AtomicU64, Mutex,
    Ordering::{Acquire, Release},
};

/// As it lies in the slab.
#[repr(C)]
struct Slot {
    head: Head,
    /// Where the text lies, in grains, and behind that in the same word how many bytes it has.
    text: AtomicU64,
    /// When it was set, in seconds since 1970.
    set_at: AtomicU64,
}

// SAFETY: atomic integers.
unsafe impl Zeroed for Slot {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Slot { head: Head::zeroed(), text: AtomicU64::new(0), set_at: AtomicU64::new(0) }
    }
}

/// The rendered text, once it is known, and its copy for other processes.
#[derive(Default)]
struct Text {
    own: Option<String>,
    copy: Option<Block<[AtomicU64]>>,
    /// The copy before: a reader that found its place a moment ago is not yet through with it.
    previous: Option<Block<[AtomicU64]>>,
}

/// One info series.
pub struct Info {
    slot: Block<Slot>,
    text: Mutex<Text>,
}

impl Info {
    pub(crate) fn new() -> Self {
        Info { slot: Block::new(), text: Mutex::default() }
    }

    pub(crate) fn head(&self) -> &Head {
        &self.slot.head
    }

    /// The rendered labels, without braces.
    pub fn get(&self) -> Option<String> {
        lock(&self.text).own.clone()
    }

    /// Replaces the labels.
    pub fn set(&self, rendered: String) {
        lock(&self.text).own = Some(rendered);
        self.slot.set_at.store(now().to_bits(), Release);
        self.show();
    }

    /// Forgets the labels.
    pub(crate) fn clear(&self) {
        lock(&self.text).own = None;
        self.show();
    }

    /// Writes the text where other processes find it, if they can read this series at all.
    pub(crate) fn show(&self) {
        let mut text = lock(&self.text);
        let own = text.own.as_deref().filter(|_| self.place() != 0).map(str::as_bytes);
        let Some(own) = own else { return self.slot.text.store(0, Release) };
        let copy = Block::<[AtomicU64]>::run(own.len().div_ceil(8).max(1));
        store_bytes(&copy, own);
        let place = place_of(&*copy);
        let word = if place == 0 { 0 } else { u64::from(place) | (own.len() as u64) << 32 };
        self.slot.set_at.store(now().to_bits(), Release);
        self.slot.text.store(word, Release);
        // Before anything else is written where the one before the last is.
        fence(Release);
        text.previous = text.copy.replace(copy);
    }

    /// When the labels were set, in seconds since 1970.
    pub(crate) fn set_at(&self) -> f64 {
        f64::from_bits(self.slot.set_at.load(Acquire))
    }

    /// Where its block lies in the file.
    pub(crate) fn place(&self) -> u32 {
        place_of(&*self.slot)
    }
}
