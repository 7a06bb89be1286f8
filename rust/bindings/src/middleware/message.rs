//! What the messages of a connection say. A message is only ever read.

use super::dict::{entries, lookup};
use super::ffi::{ascii, utf8, Obj};
use super::keys::keys;
use super::literal::Literal;
use pyo3::ffi;
use std::ptr::null_mut;

/// A message type; those that no metric depends on are `Other`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Type {
    ResponseStart,
    ResponseBody,
    /// A file sent by the server itself: the end of the response.
    ResponsePathsend,
    Disconnect,
    Accept,
    SocketSend,
    SocketReceive,
    Close,
    SocketDisconnect,
    Other,
}

/// The fields of a message that matter here, borrowed; null where absent.
pub struct Message {
    pub kind: Type,
    pub status: Obj,
    pub body: Obj,
    pub more_body: Obj,
}

/// What a first look at a message tells.
pub enum Glance {
    /// A `http.response.start` with this status.
    Start(u16),
    /// A `http.response.body` of this size that is the last one.
    Body(u64),
    /// Anything else: to be [`read`].
    Unclear,
}

/// Looks at a message of the two forms that nearly all have, `{"type": "http.response.start", "status": 200, ...}` and
/// `{"type": "http.response.body", "body": b"..."}`: literals, whose keys are interned and come in this order, so that
/// comparing two addresses tells everything but the type.
///
/// # Safety
/// The GIL is held, `message` is live.
#[inline(always)]
pub unsafe fn glance(message: Obj) -> Glance {
    // SAFETY: the dict is checked; borrowed values live as long as the message, and nothing here runs Python code.
    unsafe {
        if ffi::PyDict_CheckExact(message) == 0 {
            return Glance::Unclear;
        }
        let Some([first, second, rest @ ..]) = entries(message) else { return Glance::Unclear };
        let keys = keys();
        if first.key != keys.kind.object {
            return Glance::Unclear;
        }
        if second.key == keys.body.object {
            if rest.is_empty() && ffi::PyBytes_CheckExact(second.value) != 0 && BODY.is(first.value) {
                return Glance::Body(ffi::Py_SIZE(second.value) as u64);
            }
        } else if second.key == keys.status.object && START.is(first.value) {
            return Glance::Start(status(second.value));
        }
    }
    Glance::Unclear
}

static START: Literal<19> = Literal::new(b"http.response.start");
static BODY: Literal<18> = Literal::new(b"http.response.body");

/// Reads any message. Its fields may be in any order, with keys that are not interned.
///
/// # Safety
/// The GIL is held, no exception is pending, `message` is live and outlives what is returned.
pub unsafe fn read(message: Obj) -> Option<Message> {
    // SAFETY: the dict is checked; borrowed values live as long as the message, and nothing here runs Python code
    // that could change it, except a search among keys with an `__eq__` of their own.
    unsafe {
        if ffi::PyDict_Check(message) == 0 {
            return None;
        }
        let keys = keys();
        let kind = classify(lookup(message, &keys.kind));
        let field = |wanted: bool, key| if wanted { lookup(message, key) } else { null_mut() };
        Some(Message {
            kind,
            status: field(kind == Type::ResponseStart, &keys.status),
            body: field(kind == Type::ResponseBody, &keys.body),
            more_body: field(kind == Type::ResponseBody, &keys.more_body),
        })
    }
}

unsafe fn classify(kind: Obj) -> Type {
    // SAFETY: null is left out before the object is looked at.
    let text = unsafe {
        if kind.is_null() {
            return Type::Other;
        }
        ascii(kind).or_else(|| utf8(kind))
    };
    match text {
        Some(b"http.response.start") => Type::ResponseStart,
        Some(b"http.response.body") => Type::ResponseBody,
        Some(b"http.response.pathsend") => Type::ResponsePathsend,
        Some(b"http.disconnect") => Type::Disconnect,
        Some(b"websocket.accept") => Type::Accept,
        Some(b"websocket.send") => Type::SocketSend,
        Some(b"websocket.receive") => Type::SocketReceive,
        Some(b"websocket.close") => Type::Close,
        Some(b"websocket.disconnect") => Type::SocketDisconnect,
        _ => Type::Other,
    }
}

/// A status that is no integer from 200 to 999.
pub const STRANGE: u16 = 1;

/// The final status that a start announces: zero for 1xx, which only come before the final one, and [`STRANGE`] for
/// what no server accepts. `http.HTTPStatus` is an `int` and as good as one.
///
/// # Safety
/// `status` is null or live.
#[inline(always)]
pub unsafe fn status(status: Obj) -> u16 {
    // SAFETY: checked to be an int; reading one runs no Python code.
    unsafe {
        // Small integers are singletons.
        if status == keys().ok {
            return 200;
        }
        other_status(status)
    }
}

#[inline(never)]
unsafe fn other_status(status: Obj) -> u16 {
    // SAFETY: null or a live object, whose type is checked before its number is read.
    unsafe {
        if status.is_null() || ffi::PyLong_Check(status) == 0 {
            return STRANGE;
        }
        let mut overflow = 0;
        match ffi::PyLong_AsLongAndOverflow(status, &raw mut overflow) {
            number @ 200..=999 => number as u16,
            100..=199 => 0,
            _ => STRANGE,
        }
    }
}

/// The bytes of a body that is sent.
///
/// # Safety
/// `body` is null or live.
pub unsafe fn body_size(body: Obj) -> u64 {
    // SAFETY: each type is checked before its layout is used.
    unsafe {
        if body.is_null() {
            0
        } else if ffi::PyBytes_Check(body) != 0 {
            ffi::Py_SIZE(body) as u64
        } else {
            size_of_view(body)
        }
    }
}

#[cold]
#[inline(never)]
unsafe fn size_of_view(body: Obj) -> u64 {
    // SAFETY: a view that was got is released; the error of one that was not is cleared.
    unsafe {
        if ffi::PyObject_CheckBuffer(body) == 0 {
            return 0;
        }
        let mut view = std::mem::MaybeUninit::<ffi::Py_buffer>::uninit();
        if ffi::PyObject_GetBuffer(body, view.as_mut_ptr(), ffi::PyBUF_SIMPLE) != 0 {
            ffi::PyErr_Clear();
            return 0;
        }
        let size = view.assume_init_ref().len as u64;
        ffi::PyBuffer_Release(view.as_mut_ptr());
        size
    }
}

/// Whether more body follows, as a server would understand it.
///
/// # Safety
/// `more` is null or live.
pub unsafe fn is_true(more: Obj) -> bool {
    // SAFETY: singletons are compared by address.
    unsafe {
        if more.is_null() || more == ffi::Py_False() {
            return false;
        }
        more == ffi::Py_True() || ask(more)
    }
}

#[cold]
#[inline(never)]
unsafe fn ask(more: Obj) -> bool {
    // SAFETY: a truth value that raises is cleared; the server will meet the same error.
    unsafe {
        match ffi::PyObject_IsTrue(more) {
            -1 => {
                ffi::PyErr_Clear();
                false
            }
            answer => answer != 0,
        }
    }
}
