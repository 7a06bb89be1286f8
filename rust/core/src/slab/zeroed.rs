//! What memory of zeros is a value of.

use crate::sync::{AtomicU16, AtomicU32, AtomicU64, AtomicU8};

/// What a block can hold.
///
/// # Safety
/// All-zero bytes are a value of the type, its alignment is at most 16, and it has nothing to drop.
pub(crate) unsafe trait Zeroed {
    /// The model checker's atomics are not made of zero bytes.
    #[cfg(loom)]
    fn zeroed() -> Self;
}

macro_rules! zeroed {
    ($($atomic:ident)*) => {$(
        // SAFETY: an atomic integer has the size and bit validity of the integer.
        unsafe impl Zeroed for $atomic {
            #[cfg(loom)]
            fn zeroed() -> Self {
                $atomic::new(0)
            }
        }
    )*};
}

zeroed! { AtomicU8 AtomicU16 AtomicU32 AtomicU64 }

// SAFETY: zeros are a value of each element, and the elements follow each other without a gap.
unsafe impl<T: Zeroed, const N: usize> Zeroed for [T; N] {
    #[cfg(loom)]
    fn zeroed() -> Self {
        std::array::from_fn(|_| T::zeroed())
    }
}
