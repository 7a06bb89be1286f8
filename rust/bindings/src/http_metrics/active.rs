//! Which scopes are being measured now: how a middleware inside another one knows that it would count twice.
//!
//! A hash table chained through the requests themselves, so that entering and leaving cost a few stores and no
//! memory. It is searched only when two middlewares record into the same families.

use crate::middleware::Request;
use std::cell::Cell;
use std::ptr::null_mut;

const CHAINS: usize = 256;

/// The links of one request; null outside.
pub struct Links {
    next: Cell<*mut Request>,
    previous: Cell<*mut Request>,
}

impl Links {
    pub const fn new() -> Self {
        Self { next: Cell::new(null_mut()), previous: Cell::new(null_mut()) }
    }
}

/// The requests being measured, by the address of their scope. Only touched with the GIL held.
pub struct Active {
    heads: [Cell<*mut Request>; CHAINS],
}

impl Active {
    pub const fn new() -> Self {
        Self { heads: [const { Cell::new(null_mut()) }; CHAINS] }
    }

    #[inline(always)]
    fn head(&self, scope: usize) -> &Cell<*mut Request> {
        // Objects are 16 bytes apart, and dicts about 64 or 256.
        &self.heads[(scope >> 4 ^ scope >> 12) % CHAINS]
    }

    /// # Safety
    /// `request` is live, in no chain, and stays where it is until [`leave`](Self::leave).
    #[inline(always)]
    pub unsafe fn enter(&self, request: *mut Request) {
        // SAFETY: live, and so is every request in a chain, for it leaves before it dies.
        unsafe {
            let head = self.head((*request).scope_address());
            let next = head.get();
            (*request).links().next.set(next);
            (*request).links().previous.set(null_mut());
            if !next.is_null() {
                (*next).links().previous.set(request);
            }
            head.set(request);
        }
    }

    /// # Safety
    /// `request` entered, with the scope it has now.
    #[inline(always)]
    pub unsafe fn leave(&self, request: *mut Request) {
        // SAFETY: as above.
        unsafe {
            let links = (*request).links();
            let (next, previous) = (links.next.get(), links.previous.get());
            if previous.is_null() {
                self.head((*request).scope_address()).set(next);
            } else {
                (*previous).links().next.set(next);
            }
            if !next.is_null() {
                (*next).links().previous.set(previous);
            }
        }
    }

    /// Whether a middleware other than this one is measuring the scope.
    ///
    /// # Safety
    /// With the GIL held.
    pub unsafe fn measures(&self, scope: usize, but: usize) -> bool {
        let mut request = self.head(scope).get();
        while !request.is_null() {
            // SAFETY: requests in a chain are live.
            unsafe {
                if (*request).scope_address() == scope && (*request).middleware_address() != but {
                    return true;
                }
                request = (*request).links().next.get();
            }
        }
        false
    }
}
