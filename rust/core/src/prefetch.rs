//! A hint to the processor that some memory is read soon.

/// How much memory comes at a time.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Has some bytes brought nearer. Only a hint: nothing is read, wherever it leads.
#[inline(always)]
pub(crate) fn prefetch<T>(from: *const T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..bytes).step_by(LINE) {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast::<i8>().wrapping_add(offset)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}
