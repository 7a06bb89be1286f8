//! One request being measured: at the same time what the server awaits, and the `receive` and `send` of the
//! application. This file is its state; what it does is in [`drive`](super::drive) and [`face`](super::face), and
//! [`request_type`](super::request_type) makes a Python type of it.

use super::ffi::{owned, Global, Obj};
use super::object::Middleware;
use super::scope::Kind;
use crate::http_metrics::{Links, SocketSeries};
use pyo3::ffi;
use std::ptr::null_mut;
use std::rc::Rc;

/// How far a request has come.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Made, not awaited yet: nothing has been counted.
    Fresh,
    /// Waiting for the event loop.
    Suspended,
    /// On the stack right now.
    Executing,
    /// Ended and counted; still passes messages on for whoever kept `send`.
    Over,
}

/// The duration is measured.
pub const TIMED: u16 = 1;
/// The last message of the response has been sent.
pub const COMPLETE: u16 = 2;
/// The application was told that the client is gone, before the response was complete.
pub const DISCONNECTED: u16 = 4;
/// A body message said that more follows.
pub const STREAMING: u16 = 8;
/// The garbage collector knows this object.
pub const TRACKED: u16 = 16;
/// The application has called `receive`.
pub const LISTENED: u16 = 32;
/// The last part of the body was handed over, at `ended` where the duration is measured.
pub const ENDED: u16 = 64;
/// The request has been counted, and its application goes on.
pub const COUNTED: u16 = 128;
/// There is more to it than to a plain HTTP request: it is of another kind, its endpoint is told by a hook, or its
/// application is one of several.
pub const SPECIAL: u16 = 256;
/// It is one of the requests being served in the totals of its application, too.
pub const TOTALLED: u16 = 512;

/// An accepted websocket.
pub struct Socket {
    /// Clock ticks at the acceptance.
    pub accepted: u64,
    /// Known from the acceptance on, unless the application accepted before it routed: then at the end.
    pub series: Option<Rc<SocketSeries>>,
    pub received: u64,
    pub sent: u64,
}

/// The native object. Owned by Python's reference counts; its fields are only touched with the GIL held, and through
/// raw pointers, because any call into Python may come back to it.
#[repr(C)]
pub struct Request {
    head: ffi::PyObject,
    /// Where Python finds the function to call this object by.
    pub face: ffi::vectorcallfunc,
    /// Owned until the end.
    pub middleware: *mut Middleware,
    /// Owned until the end: a dict.
    pub scope: Obj,
    /// Owned to the death of this object, for whoever kept it.
    pub receive: Obj,
    /// The same.
    pub send: Obj,
    /// What is driven: the application's coroutine. Owned while it runs.
    pub inner: Obj,
    /// Clock ticks at the start.
    pub started: u64,
    /// Clock ticks at the end of the response.
    pub ended: u64,
    /// Clock ticks at the first chunk of a stream.
    pub first_byte: u64,
    pub sent_bytes: u64,
    pub status: u16,
    pub kind: Kind,
    pub phase: Phase,
    pub flags: u16,
    links: Links,
    /// The request id (a str) and what undoes its setting; owned, null where ids are off.
    pub id: Obj,
    pub token: Obj,
    /// What undoes the entering of the request's trace; owned, null where there is none.
    pub trace_token: Obj,
    /// The request's span; owned, null where there are no traces.
    pub span: Obj,
    /// What undoes the entering of the request's baggage; owned, null where there is none.
    pub baggage_token: Obj,
    /// What a websocket has done so far.
    pub socket: Option<Box<Socket>>,
}

impl Request {
    /// Its place among the requests being measured.
    #[inline(always)]
    pub fn links(&mut self) -> *mut Links {
        &raw mut self.links
    }

    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// A fresh request; null with an exception set when memory is gone.
    ///
    /// # Safety
    /// With the GIL held; all arguments are live.
    #[inline(always)]
    pub unsafe fn make(
        middleware: *mut Middleware,
        face: ffi::vectorcallfunc,
        kind: Kind,
        flags: u16,
        scope: Obj,
        receive: Obj,
        send: Obj,
    ) -> *mut Self {
        // SAFETY: the free list holds dead requests that own nothing but themselves; all fields are set below.
        unsafe {
            let free = &mut *FREE.get();
            let request = if free.count > 0 {
                free.count -= 1;
                *free.requests.get_unchecked(free.count)
            } else {
                let fresh = allocate(free.kind);
                if fresh.is_null() {
                    return fresh;
                }
                fresh
            };
            (*request).face = face;
            (*request).middleware = owned(middleware.cast()).cast();
            (*request).scope = owned(scope);
            (*request).receive = owned(receive);
            (*request).send = owned(send);
            (*request).sent_bytes = 0;
            (*request).status = 0;
            (*request).kind = kind;
            (*request).phase = Phase::Fresh;
            (*request).flags = flags;
            request
        }
    }

    /// The application waits for something. From now on it may be abandoned, so the garbage collector must know of
    /// it; a request that ends in its first step, as many do, is never part of a cycle that anyone could abandon.
    ///
    /// # Safety
    /// `request` is live.
    #[inline(always)]
    pub unsafe fn suspend(request: *mut Self) {
        // SAFETY: live.
        unsafe {
            (*request).phase = Phase::Suspended;
            Self::track(request);
        }
    }

    /// Makes the object known to the garbage collector.
    ///
    /// # Safety
    /// `request` is live.
    #[inline(always)]
    pub unsafe fn track(request: *mut Self) {
        // SAFETY: live, of a type with garbage collection, and not tracked, says the flag.
        unsafe {
            if !(*request).has(TRACKED) {
                (*request).flags |= TRACKED;
                ffi::PyObject_GC_Track(request.cast());
            }
        }
    }
}

/// Dead requests, kept for their memory. So many are enough for the requests that end between two others' starts.
const KEPT: usize = 64;

struct Free {
    kind: *mut ffi::PyTypeObject,
    count: usize,
    requests: [*mut Request; KEPT],
}

static FREE: Global<Free> = Global::new();

#[cold]
#[inline(never)]
unsafe fn allocate(kind: *mut ffi::PyTypeObject) -> *mut Request {
    // SAFETY: memory of the type's basic size, whose header Python has set; every other field is written here or by
    // the caller before anyone sees it.
    unsafe {
        let request: *mut Request = ffi::PyObject_GC_New(kind);
        if request.is_null() {
            return request;
        }
        (&raw mut (*request).inner).write(null_mut());
        (&raw mut (*request).links).write(Links::new());
        (&raw mut (*request).id).write(null_mut());
        (&raw mut (*request).token).write(null_mut());
        (&raw mut (*request).trace_token).write(null_mut());
        (&raw mut (*request).span).write(null_mut());
        (&raw mut (*request).baggage_token).write(null_mut());
        (&raw mut (*request).socket).write(None);
        request
    }
}

/// Keeps the memory of a dead request for the next one; `false` when enough is kept.
///
/// # Safety
/// Nobody refers to it any more, it owns nothing, and the collector does not know it.
#[inline(always)]
pub unsafe fn keep(request: *mut Request) -> bool {
    // SAFETY: the list is as long as is checked here; the request is revived, and belongs to the list.
    unsafe {
        let free = &mut *FREE.get();
        let is_kept = free.count < KEPT;
        if is_kept {
            ffi::Py_INCREF(request.cast());
            *free.requests.get_unchecked_mut(free.count) = request;
            free.count += 1;
        }
        is_kept
    }
}

/// Tells the type of requests.
///
/// # Safety
/// At import, with the GIL held, before the first request.
pub unsafe fn set_kind(kind: *mut ffi::PyTypeObject) {
    // SAFETY: nobody else is here yet.
    unsafe { FREE.set(Free { kind, count: 0, requests: [null_mut(); KEPT] }) };
}
