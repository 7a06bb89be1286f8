//! String constants that applications and servers send again and again: the same object each time.

use super::ffi::{ascii, clear, owned, Obj};
use std::cell::Cell;
use std::ptr::null_mut;

/// A text, and the string object that was last seen to be it.
pub struct Literal<const N: usize> {
    text: &'static [u8; N],
    /// Owned, so that no other string can come to lie there.
    seen: Cell<Obj>,
}

// SAFETY: only touched with the GIL held.
unsafe impl<const N: usize> Sync for Literal<N> {}

impl<const N: usize> Literal<N> {
    pub const fn new(text: &'static [u8; N]) -> Self {
        Self { text, seen: Cell::new(null_mut()) }
    }

    /// Whether `object` is this text.
    ///
    /// # Safety
    /// `object` is null or live; the GIL is held.
    #[inline(always)]
    pub unsafe fn is(&self, object: Obj) -> bool {
        // SAFETY: as the caller says.
        !object.is_null() && (object == self.seen.get() || unsafe { self.compare(object) })
    }

    #[inline(never)]
    unsafe fn compare(&self, object: Obj) -> bool {
        // SAFETY: the caller holds `object`, and the GIL; the reference that is replaced is one of ours, and dropping a str runs no Python code.
        unsafe {
            if ascii(object) != Some(self.text) {
                return false;
            }
            let mut old = self.seen.replace(owned(object));
            clear(&mut old);
        }
        true
    }
}
