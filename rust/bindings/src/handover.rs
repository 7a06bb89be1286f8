//! From a Rust buffer to a `bytes` object: one copy, without the GIL, and without holding both in memory.

use crate::gil::detached;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What is copied, and then given back, at a time.
const PART: usize = 1 << 20;

/// The buffer as `bytes`.
///
/// `bytes` keep their contents behind their own head, so a copy it must be; but the pages that were copied
/// are given back on the way, so that an exposition of many megabytes is in memory once and not twice.
pub fn bytes(py: Python<'_>, buffer: Vec<u8>) -> PyResult<Bound<'_, PyBytes>> {
    if buffer.len() < PART {
        return Ok(PyBytes::new(py, &buffer));
    }
    // SAFETY: a fresh object of this length, its contents not initialised; null with an exception set.
    let object = unsafe {
        let size = ffi::Py_ssize_t::try_from(buffer.len())?;
        Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), size))?
    };
    // What stays with the allocator is there again for the next exposition, which then need not wait for the
    // kernel to find and clear pages: that takes longer than the encoding. Half as much as the result is what
    // the whole may take besides it, so some of that stays.
    let given = buffer.len() / 8 * 5;
    // SAFETY: it is `bytes`.
    let to = unsafe { ffi::PyBytes_AS_STRING(object.as_ptr()) } as usize;
    detached(py, || {
        for (index, part) in buffer.chunks(PART).enumerate() {
            // SAFETY: within the object, which nobody else knows yet, and which lives to the end of this function.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), (to + index * PART) as *mut u8, part.len()) };
            if index * PART < given {
                give_back(part);
            }
        }
        drop(buffer);
    });
    Ok(object.cast_into()?)
}

/// Tells the kernel that the pages that lie wholly within `part` are not needed any more, wherever the
/// allocator has them from. It keeps the addresses; whoever gets them next finds zeros.
#[cfg(target_os = "linux")]
fn give_back(part: &[u8]) {
    const PAGE: usize = 1 << 16; // as large as pages get
    let start = part.as_ptr().addr().next_multiple_of(PAGE);
    let end = (part.as_ptr().addr() + part.len()) / PAGE * PAGE;
    if start < end {
        // SAFETY: the range is part of a buffer that nobody reads again. A refusal changes nothing.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

#[cfg(not(target_os = "linux"))]
fn give_back(_: &[u8]) {}
