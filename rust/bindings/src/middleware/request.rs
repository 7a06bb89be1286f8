//! One request being measured: at the same time what the server awaits, and the `receive` and `send` of the
//! application. This file is its life and death; what it does is in [`drive`](super::drive) and
//! [`face`](super::face).

use super::ffi::{clear, owned, Global, Obj};
use super::finish;
use super::object::Middleware;
use super::scope::Kind;
use super::socket::Socket;
use super::{drive, face};
use crate::http_metrics::Links;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

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

/// The native object. Owned by Python's reference counts; its fields are only touched with the GIL held, and through
/// raw pointers, because any call into Python may come back to it.
#[repr(C)]
pub struct Request {
    head: ffi::PyObject,
    /// Where Python finds the function to call this object by.
    face: ffi::vectorcallfunc,
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
    pub fn scope_address(&self) -> usize {
        self.scope as usize
    }

    pub fn middleware_address(&self) -> usize {
        self.middleware as usize
    }

    pub fn links(&self) -> &Links {
        &self.links
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
            (*request).face = if flags & SPECIAL == 0 { face::call } else { face::special_call };
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

unsafe extern "C" fn dealloc(object: Obj) {
    let request: *mut Request = object.cast();
    // SAFETY: the last reference is gone, so this is the only user. The collector must not see it half dead, so it is
    // untracked first. A revived object (refcount one again) belongs to the free list, untracked and owning nothing.
    unsafe {
        let tracked = (*request).has(TRACKED);
        if tracked {
            ffi::PyObject_GC_UnTrack(object.cast());
        }
        if (*request).phase == Phase::Over {
            clear(&mut (*request).receive);
            clear(&mut (*request).send);
        } else {
            finalize(object);
            release_all(request);
        }
        let free = &mut *FREE.get();
        // An object that the collector has finalised once would not be finalised a second time.
        if free.count < KEPT && !(tracked && ffi::PyObject_GC_IsFinalized(object) != 0) {
            ffi::Py_INCREF(object);
            *free.requests.get_unchecked_mut(free.count) = request;
            free.count += 1;
            return;
        }
        let kind = ffi::Py_TYPE(object);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// A request that nobody will go on with is counted as cancelled.
unsafe extern "C" fn finalize(object: Obj) {
    let request: *mut Request = object.cast();
    // SAFETY: live.
    unsafe {
        if (*request).phase == Phase::Suspended {
            // Counting may run Python code that finds its way here, through the scope for one.
            (*request).phase = Phase::Executing;
            finish::abandoned(request);
        }
    }
}

unsafe fn release_all(request: *mut Request) {
    // SAFETY: each slot holds null or an owned reference and is emptied before that is given back.
    unsafe {
        clear(&mut *(&raw mut (*request).middleware).cast());
        clear(&mut (*request).scope);
        clear(&mut (*request).inner);
        clear(&mut (*request).receive);
        clear(&mut (*request).send);
        clear(&mut (*request).trace_token);
        clear(&mut (*request).span);
        clear(&mut (*request).baggage_token);
        if !(*request).id.is_null() {
            clear(&mut (*request).id);
            clear(&mut (*request).token);
        }
    }
}

unsafe extern "C" fn traverse(object: Obj, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let request: *mut Request = object.cast();
    // SAFETY: live; what is shown is what is owned.
    unsafe {
        let owned = [
            ffi::Py_TYPE(object).cast(),
            (*request).middleware.cast(),
            (*request).scope,
            (*request).inner,
            (*request).receive,
            (*request).send,
            (*request).id,
            (*request).token,
            (*request).trace_token,
            (*request).span,
            (*request).baggage_token,
        ];
        for object in owned {
            if !object.is_null() {
                let answer = visit(object, arg);
                if answer != 0 {
                    return answer;
                }
            }
        }
    }
    0
}

unsafe extern "C" fn tp_clear(object: Obj) -> c_int {
    let request: *mut Request = object.cast();
    // SAFETY: live. Nobody can reach it any more, and should a finaliser have a way all the same, it finds it over.
    unsafe {
        finalize(object);
        (*request).phase = Phase::Over;
        release_all(request);
    }
    0
}

/// Makes the type.
///
/// # Safety
/// At import, with the GIL held.
pub unsafe fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut members =
        [super::ffi::member(c"__vectorcalloffset__", std::mem::offset_of!(Request, face)), super::ffi::NO_MEMBER];
    let mut slots = vec![
        slot(
            ffi::Py_tp_doc,
            c"A request being measured: an awaitable, and its own `receive` and `send`.".as_ptr().cast_mut().cast(),
        ),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_finalize, finalize as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, tp_clear as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
    ];
    slots.extend(drive::slots());
    slots.push(slot(0, null_mut()));
    let flags = ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_GC
        | ffi::Py_TPFLAGS_HAVE_VECTORCALL
        | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION
        | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    // SAFETY: the slots are those of `Request`, whose size is given.
    unsafe {
        let kind = super::ffi::make_type::<Request>(module, c"ferrometer._core.Request", flags, &mut slots)?;
        FREE.set(Free { kind, count: 0, requests: [null_mut(); KEPT] });
    }
    Ok(())
}
