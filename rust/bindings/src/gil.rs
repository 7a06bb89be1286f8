//! State that the GIL guards.

use crate::thread_exit::protect;
use ferrometer_core::fork;
use pyo3::Python;
use std::cell::UnsafeCell;

/// Works without the GIL, and never in the middle of a fork: a child of it would find locks that nobody
/// lets go. All detached work of this crate goes through here; it does not come back for the GIL.
pub fn detached<T: Send>(py: Python<'_>, work: impl Send + FnOnce() -> T) -> T {
    protect();
    py.detach(|| fork::beside(work))
}

/// Gives up the GIL for work that keeps away from forks by itself, where it must.
pub fn released<T: Send>(py: Python<'_>, work: impl Send + FnOnce() -> T) -> T {
    protect();
    py.detach(work)
}

/// A value that only the thread attached to the interpreter touches.
///
/// The module declares that it needs the GIL (`gil_used = true`), so a free-threaded interpreter turns
/// it on. What remains to the user of this cell is not to keep a borrow across a call into Python.
pub struct GilCell<T>(UnsafeCell<T>);

// SAFETY: every access goes through `with`/`peek`, whose contract is to hold the GIL.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T: Default> Default for GilCell<T> {
    fn default() -> Self {
        GilCell::new(T::default())
    }
}

impl<T> GilCell<T> {
    /// A cell holding `value`.
    pub const fn new(value: T) -> Self {
        GilCell(UnsafeCell::new(value))
    }

    /// Runs `f` on the value.
    ///
    /// # Safety
    /// The GIL is held, and `f` neither runs Python code (dropping a Python reference can) nor comes
    /// back to this cell.
    #[inline(always)]
    pub unsafe fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: by contract this is the only borrow.
        f(unsafe { &mut *self.0.get() })
    }

    /// A shared borrow, for values that are set once.
    ///
    /// # Safety
    /// The GIL is held and nobody changes the value while the borrow lives.
    #[inline(always)]
    pub unsafe fn peek(&self) -> &T {
        // SAFETY: by contract there is no exclusive borrow.
        unsafe { &*self.0.get() }
    }
}
