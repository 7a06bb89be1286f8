//! A hint to the processor that some memory is read soon.

/// How much memory comes at a time.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Has some bytes brought nearer, wherever that leads: nothing is read. Not into the nearest cache: processes that
/// recorded the same have it at the same places of their pages, and of such lines that cache has room for a few
/// only.
#[inline]
pub(crate) fn prefetch<T>(first: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T1};
        let before = first.addr() & (LINE - 1);
        for line in (0..before + bytes).step_by(LINE) {
            // SAFETY: a hint, which reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(first.wrapping_byte_sub(before).wrapping_byte_add(line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (first, bytes);
}
