//! Which scopes are being measured now: how a middleware inside another one knows that it would count twice.
//!
//! A hash table chained through the requests themselves, so that entering and leaving cost a few stores and no
//! memory. It is searched only when two middlewares record into the same families.

use std::cell::Cell;
use std::ptr::null_mut;

const CHAINS: usize = 256;

/// The place of one request in its chain, and whose it is; null outside.
pub struct Links {
    next: Cell<*mut Links>,
    previous: Cell<*mut Links>,
    /// The addresses of its scope and of its middleware.
    scope: Cell<usize>,
    middleware: Cell<usize>,
}

impl Links {
    pub const fn new() -> Self {
        let (next, previous) = (Cell::new(null_mut()), Cell::new(null_mut()));
        Self { next, previous, scope: Cell::new(0), middleware: Cell::new(0) }
    }
}

/// The requests being measured, by the address of their scope. Only touched with the GIL held.
pub struct Active {
    heads: [Cell<*mut Links>; CHAINS],
}

impl Active {
    pub const fn new() -> Self {
        Self { heads: [const { Cell::new(null_mut()) }; CHAINS] }
    }

    #[inline(always)]
    fn head(&self, scope: usize) -> &Cell<*mut Links> {
        // Objects are 16 bytes apart, and dicts about 64 or 256.
        &self.heads[(scope >> 4 ^ scope >> 12) % CHAINS]
    }

    /// # Safety
    /// `links` are live, in no chain, and stay where they are until [`leave`](Self::leave).
    #[inline(always)]
    pub unsafe fn enter(&self, links: *mut Links, scope: usize, middleware: usize) {
        // SAFETY: live, and so are all links in a chain, for they leave it before they die.
        unsafe {
            let head = self.head(scope);
            let next = head.get();
            (*links).scope.set(scope);
            (*links).middleware.set(middleware);
            (*links).next.set(next);
            (*links).previous.set(null_mut());
            if !next.is_null() {
                (*next).previous.set(links);
            }
            head.set(links);
        }
    }

    /// # Safety
    /// `links` have entered.
    #[inline(always)]
    pub unsafe fn leave(&self, links: *mut Links) {
        // SAFETY: live, and so are its neighbours in the chain, for they leave it before they die.
        unsafe {
            let (next, previous) = ((*links).next.get(), (*links).previous.get());
            if previous.is_null() {
                self.head((*links).scope.get()).set(next);
            } else {
                (*previous).next.set(next);
            }
            if !next.is_null() {
                (*next).previous.set(previous);
            }
        }
    }

    /// Whether a middleware other than this one is measuring the scope.
    ///
    /// # Safety
    /// With the GIL held.
    pub unsafe fn measures(&self, scope: usize, but: usize) -> bool {
        let mut links = self.head(scope).get();
        while !links.is_null() {
            // SAFETY: links in a chain are live.
            unsafe {
                if (*links).scope.get() == scope && (*links).middleware.get() != but {
                    return true;
                }
                links = (*links).next.get();
            }
        }
        false
    }
}
