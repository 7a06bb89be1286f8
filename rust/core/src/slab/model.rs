//! Boxes in place of chunks: under the model checker every block is an allocation of its own.

use super::zeroed::Zeroed;
use std::ptr::NonNull;

pub(super) fn one<T: Zeroed>() -> NonNull<T> {
    NonNull::from(Box::leak(Box::new(T::zeroed())))
}

pub(super) fn run<T: Zeroed>(length: usize) -> NonNull<[T]> {
    NonNull::from(Box::leak((0..length).map(|_| T::zeroed()).collect::<Box<[T]>>()))
}

/// # Safety
/// The value came from `one` or `run`, and is not used again.
pub(super) unsafe fn give<T: ?Sized>(value: NonNull<T>) {
    // SAFETY: by contract the value is a leaked box.
    drop(unsafe { Box::from_raw(value.as_ptr()) });
}

/// No block is in a file.
pub(crate) fn place_of<T: ?Sized>(_: &T) -> u32 {
    0
}
