//! The span of a request: from what its caller says, to how it ended. Off unless there are traces.

use super::dict::lookup;
use super::ending::Ending;
use super::ffi::{bytes, clear, utf8, Obj, Pending};
use super::guard::shield;
use super::keys::keys;
use super::request::{Request, ENDED, TIMED};
use super::scope::{header, items, method, Kind, METHODS};
use crate::http_metrics::Scope;
use crate::thread_exit::protect;
use crate::traces::core::{place, End, Parent, Recording, ERROR};
use crate::traces::propagation::{baggage_variable, read, read_baggage};
use crate::traces::span::Span;
use crate::traces::tracer::{give_back, tracer};
use crate::traces::value::{exception, put_text, type_name};
use ferrometer_traces::context::Context;
use ferrometer_traces::ids::hex;
use ferrometer_traces::write;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;

/// By OTLP's numbers.
const SERVER: u8 = 2;
const OTHER: usize = METHODS.len() - 1;

/// What the headers of a request say of its trace.
#[derive(Default)]
struct Said<'a> {
    traceparent: Option<&'a [u8]>,
    /// Whether there are two, which is none.
    is_doubled: bool,
    tracestate: Vec<u8>,
    baggage: Vec<u8>,
}

impl Said<'_> {
    /// # Safety
    /// `scope` is a live dict that outlives the result; the GIL is held.
    unsafe fn of(scope: Obj) -> Self {
        let mut said = Said::default();
        // SAFETY: types are checked before their layout is used; nothing here runs Python code.
        unsafe {
            for &pair in items(lookup(scope, &keys().headers)).unwrap_or_default() {
                let Some(&[name, value]) = items(pair) else { break };
                let Some(name) = bytes(name).filter(|name| matches!(name.len(), 7 | 10 | 11)) else { continue };
                let Some(value) = bytes(value) else { continue };
                if name.eq_ignore_ascii_case(b"traceparent") {
                    said.is_doubled |= said.traceparent.replace(value).is_some();
                } else if name.eq_ignore_ascii_case(b"tracestate") {
                    join(&mut said.tracestate, value);
                } else if name.eq_ignore_ascii_case(b"baggage") {
                    join(&mut said.baggage, value);
                }
            }
        }
        said
    }
}

/// Several headers of a name are one list.
fn join(list: &mut Vec<u8>, value: &[u8]) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(value);
}

/// Decides on a request's span, and makes it the present one.
///
/// # Safety
/// The request has just been started; no exception is pending. Likewise below, but for the start.
#[inline(never)]
pub unsafe fn begin(request: *mut Request) {
    // SAFETY: the request runs, so its middleware and its scope are there.
    unsafe {
        if (*request).kind == Kind::Named {
            return;
        }
        let shared = &*(*(*request).middleware).instrument().shared;
        let _ = shield(shared, || {
            let py = Python::assume_attached();
            let Some(tracer) = tracer(py) else { return };
            let said = Said::of((*request).scope);
            let parent =
                said.traceparent.filter(|_| !said.is_doubled).and_then(|header| read(header, &said.tracestate));
            let parent = parent.map(|place| Parent { place, is_remote: true });
            let (place, is_recorded) = place(py, &tracer, parent.as_ref());
            let span = if is_recorded {
                let mut recording = Recording::begin(py, tracer, SERVER, parent.as_ref(), None);
                if (*request).has(TIMED) {
                    recording.began_at((*request).started);
                }
                Span::recorded(py, place, recording)
            } else {
                Span::elsewhere(py, place, false)
            };
            if let Ok(span) = Bound::new(py, span) {
                Span::make_present(&span);
                (*request).span = span.into_ptr();
            }
            if let (Some(members), Some(variable)) = (read_baggage(py, &said.baggage), baggage_variable(py)) {
                (*request).baggage_token = ffi::PyContextVar_Set(variable.as_ptr(), members.as_ptr());
                drop(PyErr::take(py));
            }
        });
    }
}

/// Where the request's span is.
///
/// # Safety
/// The request is live; the GIL is held.
pub unsafe fn context(request: *mut Request) -> Option<Context> {
    // SAFETY: null, or a span that the request owns.
    unsafe {
        let span = Bound::from_borrowed_ptr_or_opt(Python::assume_attached(), (*request).span)?;
        span.cast_unchecked::<Span>().get().as_parent().map(|parent| parent.place.context)
    }
}

/// The trace of a request, if it is recorded.
///
/// # Safety
/// As for [`context`].
pub unsafe fn sampled_id(request: *mut Request) -> Option<String> {
    // SAFETY: the caller's.
    unsafe { context(request) }.filter(Context::is_sampled).map(|context| hex(&context.trace_id))
}

/// Ends the span of a request that has been counted; `error` left the application, or is null. Puts the context back.
///
/// # Safety
/// The request has a span, and still has its scope.
#[inline(never)]
pub unsafe fn end(request: *mut Request, ending: &Ending, status: u16, error: Obj) {
    // SAFETY: the request runs, so its middleware is there; what it owned is taken out of it before it is given back.
    unsafe {
        protect();
        let py = Python::assume_attached();
        let shared = &*(*(*request).middleware).instrument().shared;
        let span = Bound::from_owned_ptr(py, std::mem::replace(&mut (*request).span, null_mut()))
            .cast_into_unchecked::<Span>();
        let _ = shield(shared, || {
            if let Some((recording, place)) = span.get().take(py) {
                let is_new = recording.attributes.count() == 0;
                let mut ended = Ended { request, recording, status, is_new };
                let name = ended.describe(py);
                ended.judge(py, ending, error);
                let ticks = (*request).has(TIMED) && (*request).has(ENDED);
                let end = if ticks { End::Ticks((*request).ended) } else { End::Now };
                ended.recording.end(py, &place, name.as_bytes(), end);
            }
        });
        Span::make_past(&span);
        if !(*request).baggage_token.is_null() {
            let pending = Pending::take();
            if let Some(variable) = baggage_variable(py) {
                if ffi::PyContextVar_Reset(variable.as_ptr(), (*request).baggage_token) != 0 {
                    ffi::PyErr_Clear();
                }
            }
            clear(&mut (*request).baggage_token);
            pending.restore();
        }
    }
}

/// A request whose span is being ended.
struct Ended {
    request: *mut Request,
    recording: Box<Recording>,
    status: u16,
    /// Whether the application has set no attributes, so that each that is set here is the first of its name.
    is_new: bool,
}

impl Ended {
    fn text(&mut self, name: &[u8], text: &[u8]) {
        let Recording { tracer, attributes, .. } = &mut *self.recording;
        attributes.set(name, tracer.limits.attributes, self.is_new, |out| put_text(out, tracer, text));
    }

    /// A text that holds no secret.
    fn plain(&mut self, name: &[u8], text: &[u8]) {
        let most = self.recording.tracer.limits.attributes;
        let put = |out: &mut Vec<u8>| write::text(out, |out| out.extend_from_slice(text));
        self.recording.attributes.set(name, most, self.is_new, put);
    }

    fn int(&mut self, name: &[u8], number: i64) {
        let most = self.recording.tracer.limits.attributes;
        self.recording.attributes.set(name, most, self.is_new, |out| write::int(out, number));
    }

    /// Under its stable name, its old one, or both.
    fn both(&mut self, stable: &[u8], old: &[u8], mut set: impl FnMut(&mut Self, &[u8])) {
        let conventions = self.recording.tracer.conventions;
        if conventions.stable {
            set(self, stable);
        }
        if conventions.old {
            set(self, old);
        }
    }

    /// Describes it by its scope; returns the span's name.
    unsafe fn describe(&mut self, py: Python<'_>) -> String {
        // SAFETY: scope and middleware live until the request is released, by our caller; borrowed values live as long as
        // the scope holds them, and nothing between their look-up and their use runs Python.
        unsafe {
            let request = self.request;
            let (scope, keys) = ((*request).scope, keys());
            let middleware = &*(*request).middleware;
            // First, for it may run Python.
            let place = Scope::new(scope);
            let kept;
            let route = match middleware.instrument().table.known(&place) {
                Some(endpoint) if middleware.hook.is_null() => endpoint.name(),
                _ => {
                    kept = middleware.endpoint(&place);
                    kept.name()
                }
            };
            let is_routed = route != "unmatched";
            let number = if (*request).kind == Kind::Websocket { 0 } else { method(scope) };
            let verb = if number == OTHER { "_OTHER" } else { METHODS[number] };
            let shown = if number == OTHER { "HTTP" } else { verb };
            let name = if is_routed { format!("{shown} {route}") } else { shown.to_owned() };
            self.both(b"http.request.method", b"http.method", |this, name| this.plain(name, verb.as_bytes()));
            if number == OTHER {
                if let Some(original) = text(lookup(scope, &keys.method)) {
                    self.text(b"http.request.method_original", original);
                }
            }
            if is_routed {
                self.plain(b"http.route", route.as_bytes());
            }
            if let Some(path) = text(lookup(scope, &keys.path)) {
                self.both(b"url.path", b"http.target", |this, name| this.text(name, path));
            }
            if let Some(query) = bytes_of(lookup(scope, &keys.query_string)).filter(|query| !query.is_empty()) {
                self.both(b"url.query", b"http.query", |this, name| this.text(name, query));
            }
            if let Some(scheme) = text(lookup(scope, &keys.scheme)) {
                self.both(b"url.scheme", b"http.scheme", |this, name| this.plain(name, scheme));
            }
            if let Some(version) = text(lookup(scope, &keys.http_version)) {
                self.both(b"network.protocol.version", b"http.flavor", |this, name| this.plain(name, version));
            }
            if let Some((host, port)) = address(lookup(scope, &keys.server)) {
                self.both(b"server.address", b"net.host.name", |this, name| this.plain(name, host));
                if let Some(port) = port {
                    self.both(b"server.port", b"net.host.port", |this, name| this.int(name, port));
                }
            }
            if let Some((host, _)) = address(lookup(scope, &keys.client)) {
                self.both(b"client.address", b"net.peer.ip", |this, name| this.plain(name, host));
            }
            if let Some(agent) = header(scope, b"user-agent") {
                self.both(b"user_agent.original", b"http.user_agent", |this, name| this.text(name, agent));
            }
            if let Some(id) = text((*request).id) {
                self.text(b"request_id", id);
            }
            self.user(py, scope);
            name
        }
    }

    /// `request.state.user_id`, which an authentication may have set.
    unsafe fn user(&mut self, py: Python<'_>, scope: Obj) {
        // SAFETY: live, says the caller; the state is owned meanwhile.
        unsafe {
            let Some(state) = Bound::from_borrowed_ptr_or_opt(py, lookup(scope, &keys().state)) else { return };
            let Ok(state) = state.cast::<pyo3::types::PyDict>() else { return };
            if let Ok(Some(user)) = state.get_item(crate::once::interned!(py, "user_id")) {
                let most = self.recording.tracer.limits.attributes;
                let (tracer, name) = (self.recording.tracer.clone(), crate::once::interned!(py, "user.id"));
                crate::traces::value::set(&mut self.recording.attributes, &tracer, most, name, &user, self.is_new);
            }
        }
    }

    /// Tells how it ended.
    unsafe fn judge(&mut self, py: Python<'_>, ending: &Ending, error: Obj) {
        // SAFETY: the request is live.
        let (was_sent, is_socket) = unsafe { ((*self.request).status != 0, (*self.request).kind == Kind::Websocket) };
        // What a server sends for an application that sent nothing was sent, too; a client that has gone got nothing.
        let is_answered = was_sent || matches!(ending, Ending::Returned | Ending::Raised(_));
        if is_answered && !is_socket {
            let code = i64::from(self.status);
            self.both(b"http.response.status_code", b"http.status_code", |this, name| this.int(name, code));
        }
        // SAFETY: null, or live.
        let error = unsafe { Bound::from_borrowed_ptr_or_opt(py, error) };
        match ending {
            Ending::Raised(_) => {
                let (kind, pairs) = match &error {
                    Some(error) => (type_name(error), exception(py, &self.recording.tracer, error, None)),
                    None => ("exception".to_owned(), write::Pairs::default()),
                };
                self.recording.add_event(None, b"exception", &pairs);
                give_back(py, pairs.into_bytes());
                self.recording.set_status(ERROR, kind.as_bytes());
                self.plain(b"error.type", kind.as_bytes());
            }
            _ if is_answered && !is_socket && self.status >= 500 => {
                self.recording.set_status(ERROR, b"");
                let code = self.status.to_string();
                self.plain(b"error.type", code.as_bytes());
            }
            Ending::Disconnected => self.plain(b"error.type", b"client_disconnected"),
            Ending::Cancelled if !was_sent => self.plain(b"error.type", b"cancelled"),
            _ => {}
        }
    }
}

/// The UTF-8 of a str; `None` for anything else, null included.
unsafe fn text<'a>(value: Obj) -> Option<&'a [u8]> {
    // SAFETY: null, or live for as long as the result is used, says the caller; no exception is pending.
    unsafe {
        if value.is_null() {
            None
        } else {
            utf8(value)
        }
    }
}

/// The bytes of a bytes object; `None` for anything else, null included.
unsafe fn bytes_of<'a>(value: Obj) -> Option<&'a [u8]> {
    // SAFETY: null is told from an object, which `bytes` asks for its type first.
    unsafe {
        if value.is_null() {
            None
        } else {
            bytes(value)
        }
    }
}

/// A host and a port, as ASGI has them.
unsafe fn address<'a>(value: Obj) -> Option<(&'a [u8], Option<i64>)> {
    // SAFETY: types are checked before their layout is used.
    unsafe {
        let &[host, port] = items(value)? else { return None };
        let port = if ffi::PyLong_Check(port) != 0 {
            let mut overflow = 0;
            Some(ffi::PyLong_AsLongLongAndOverflow(port, &raw mut overflow)).filter(|&port| port > 0)
        } else {
            None
        };
        Some((text(host)?, port))
    }
}
