//! What the middleware reads from a scope: its type, its method, its Content-Length, and whether to skip it.

use super::dict::{first, lookup};
use super::ffi::{ascii, bytes, utf8, Obj};
use super::keys::keys;
use super::literal::Literal;
use pyo3::ffi;

/// The connection types that are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Http,
    /// HTTP, and its exemplar is wanted: told apart here because the hot path looks here anyway.
    Traced,
    Websocket,
    /// HTTP that is not measured, and has a request id all the same.
    Named,
}

static HTTP: Literal<4> = Literal::new(b"http");

/// Whether this is the scope of a HTTP request, at first glance; others need [`kind`].
///
/// # Safety
/// `scope` is a live object; the GIL is held and no exception pending. Likewise below.
#[inline(always)]
pub unsafe fn is_http(scope: Obj) -> bool {
    // SAFETY: the dict is checked before it is looked into.
    unsafe { ffi::PyDict_CheckExact(scope) != 0 && first(scope, &keys().kind).is_some_and(|value| HTTP.is(value)) }
}

/// The type of a scope; `None` for lifespan, for types unknown here and for what is no scope at all.
pub unsafe fn kind(scope: Obj) -> Option<Kind> {
    // SAFETY: the dict is checked before it is searched.
    unsafe {
        if ffi::PyDict_Check(scope) == 0 {
            return None;
        }
        let value = lookup(scope, &keys().kind);
        if value.is_null() {
            return None;
        }
        match ascii(value).or_else(|| utf8(value))? {
            b"http" => Some(Kind::Http),
            b"websocket" => Some(Kind::Websocket),
            _ => None,
        }
    }
}

/// Label values of the method, by index. Everything not listed is the last one: a client may send any word.
pub const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "OTHER"];

/// The methods of requests that come with a body as a rule.
#[inline(always)]
pub fn has_body(method: usize) -> bool {
    const WITHOUT: u16 = 1 << 0 | 1 << HEAD | 1 << 6 | 1 << 7 | 1 << 8;
    WITHOUT >> method & 1 == 0
}

/// The index of HEAD, whose responses have no body on the wire whatever the application sends.
pub const HEAD: usize = 5;
const OTHER: usize = METHODS.len() - 1;

/// The index into [`METHODS`] of the scope's method. A server makes a fresh string for each request, so content is
/// compared, not identity.
#[inline(always)]
pub unsafe fn method(scope: Obj) -> usize {
    // SAFETY: as the caller says.
    unsafe {
        let value = lookup(scope, &keys().method);
        if value.is_null() {
            return OTHER;
        }
        match ascii(value) {
            Some(text) => classify(text),
            None => utf8(value).map_or(OTHER, classify),
        }
    }
}

#[inline(always)]
fn classify(text: &[u8]) -> usize {
    match text {
        b"GET" => 0,
        b"POST" => 1,
        b"PUT" => 2,
        b"DELETE" => 3,
        b"PATCH" => 4,
        b"HEAD" => HEAD,
        b"OPTIONS" => 6,
        b"TRACE" => 7,
        b"CONNECT" => 8,
        _ => OTHER,
    }
}

/// The value of a request header, the first of that (lower-case) name; borrowed.
///
/// Servers hand over a list of pairs of bytes; what is neither list nor tuple (ASGI allows any iterable, which may be
/// used up by reading it) has no headers as far as metrics go.
#[inline(always)]
pub unsafe fn header<'a>(scope: Obj, name: &[u8]) -> Option<&'a [u8]> {
    // SAFETY: types are checked before their layout is used; nothing here runs Python code.
    unsafe {
        let headers = lookup(scope, &keys().headers);
        for &pair in items(headers)? {
            let &[key, value] = items(pair)? else { return None };
            if bytes(key).is_some_and(|key| key.len() == name.len() && key.eq_ignore_ascii_case(name)) {
                return bytes(value);
            }
        }
        None
    }
}

/// The items of a list or tuple, borrowed; `None` for anything else, null included.
///
/// # Safety
/// `sequence` is null, or live and not changed while the slice is used.
#[inline(always)]
pub unsafe fn items<'a>(sequence: Obj) -> Option<&'a [Obj]> {
    // SAFETY: the type is checked before the layout is used.
    unsafe {
        if sequence.is_null() {
            None
        } else if ffi::PyTuple_Check(sequence) != 0 {
            let first = (&raw const (*sequence.cast::<ffi::PyTupleObject>()).ob_item).cast();
            Some(std::slice::from_raw_parts(first, ffi::Py_SIZE(sequence) as usize))
        } else if ffi::PyList_Check(sequence) != 0 && ffi::Py_SIZE(sequence) > 0 {
            let first = (*sequence.cast::<ffi::PyListObject>()).ob_item;
            Some(std::slice::from_raw_parts(first, ffi::Py_SIZE(sequence) as usize))
        } else {
            None
        }
    }
}

/// The request's Content-Length; zero when there is none that is a number.
#[inline(always)]
pub unsafe fn content_length(scope: Obj) -> u64 {
    // SAFETY: as the caller says.
    let Some(value) = (unsafe { header(scope, b"content-length") }) else { return 0 };
    parse_length(value)
}

/// At most eighteen digits, so that no sum of lengths comes near the end of a `u64`.
fn parse_length(value: &[u8]) -> u64 {
    if value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// Paths and methods that are not measured at all.
#[derive(Default)]
pub struct Skip {
    /// Which lengths (mod 64) the exact paths have: most requests need no further look.
    lengths: u64,
    exact: Vec<Box<[u8]>>,
    prefixes: Vec<Box<[u8]>>,
    /// A bit per index of [`METHODS`].
    methods: u16,
}

impl Skip {
    /// Skip `path` itself, or with a trailing `*` everything that starts with it.
    pub fn path(&mut self, path: &str) {
        if let Some(prefix) = path.strip_suffix('*') {
            self.prefixes.push(prefix.as_bytes().into());
        } else {
            self.lengths |= 1 << (path.len() % 64);
            self.exact.push(path.as_bytes().into());
        }
    }

    /// Skip a method, written in capitals; `false` when it is none of [`METHODS`].
    pub fn method(&mut self, method: &str) -> bool {
        let found = METHODS.iter().position(|&known| known == method);
        self.methods |= found.map_or(0, |index| 1 << index);
        found.is_some()
    }

    /// Whether there is anything to skip.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.methods == 0
    }

    fn has(&self, path: &[u8]) -> bool {
        (self.lengths >> (path.len() % 64) & 1 == 1 && self.exact.iter().any(|exact| **exact == *path))
            || self.prefixes.iter().any(|prefix| path.starts_with(prefix))
    }

    /// Whether to leave this request alone. A path counts with and without the server's root path.
    pub unsafe fn covers(&self, scope: Obj) -> bool {
        // SAFETY: the caller's scope is a dict; the texts live as long as it holds them, and nothing here runs
        // Python code.
        unsafe {
            if self.methods >> method(scope) & 1 == 1 {
                return true;
            }
            if self.exact.is_empty() && self.prefixes.is_empty() {
                return false;
            }
            let Some(path) = text(lookup(scope, &keys().path)) else { return false };
            if self.has(path) {
                return true;
            }
            let root = text(lookup(scope, &keys().root_path)).unwrap_or_default();
            !root.is_empty() && path.strip_prefix(root).is_some_and(|rest| self.has(rest))
        }
    }
}

#[inline(always)]
unsafe fn text<'a>(value: Obj) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    unsafe {
        if value.is_null() {
            return None;
        }
        ascii(value).or_else(|| utf8(value))
    }
}
