//! Logs of a request: its trace in every line, and one line of its own at its end. Off unless asked for.

use super::dict::lookup;
use super::ffi::{clear, Obj, Pending};
use super::guard::shield;
use super::keys::keys;
use super::request::{Request, ENDED, TIMED};
use super::scope::{header, Kind};
use crate::http_metrics::Scope;
use crate::logs::context::{enter_trace, leave};
use crate::logs::event::{emit, has_lines, Event};
use crate::logs::level;
use crate::once::interned;
use ferrometer_core::clock::ticks;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyString};

/// Takes the trace that the request belongs to into the context of its lines.
///
/// # Safety
/// The request has just been started; no exception is pending.
#[cold]
#[inline(never)]
pub unsafe fn begin(request: *mut Request) {
    // SAFETY: the request runs, so its middleware and its scope are there.
    unsafe {
        let shared = &*(*(*request).middleware).instrument().shared;
        let Some(trace) = header((*request).scope, b"traceparent").and_then(parse) else { return };
        let _ = shield(shared, || {
            if let Some(token) = enter_trace(Python::assume_attached(), trace.0, trace.1, trace.2) {
                (*request).trace_token = token.into_ptr();
            }
        });
    }
}

/// Puts the context back.
///
/// # Safety
/// The request has entered one.
#[cold]
#[inline(never)]
pub unsafe fn end(request: *mut Request) {
    // SAFETY: the token is that of our own variable, and owned.
    unsafe {
        let pending = Pending::take();
        leave(Python::assume_attached(), (*request).trace_token);
        clear(&mut (*request).trace_token);
        pending.restore();
    }
}

/// Trace and span of a `traceparent`, as digits, and whether it is sampled; `None` for a header that is none.
fn parse(header: &[u8]) -> Option<(&str, &str, bool)> {
    let text = std::str::from_utf8(header).ok()?;
    let (version, rest) = text.split_once('-')?;
    let (trace, rest) = rest.split_once('-')?;
    let (span, flags) = rest.split_once('-')?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let flags_fit = if version == "00" { flags.len() == 2 } else { flags.get(2..3).is_none_or(|next| next == "-") };
    let fits = version.len() == 2
        && version != "ff"
        && trace.len() == 32
        && span.len() == 16
        && flags_fit
        && flags.get(..2).is_some_and(is_hex)
        && [version, trace, span].into_iter().all(is_hex);
    let is_sampled =
        flags.get(..2).and_then(|flags| u8::from_str_radix(flags, 16).ok()).is_some_and(|bits| bits & 1 == 1);
    (fits && !is_zero(trace) && !is_zero(span)).then_some((trace, span, is_sampled))
}

/// Writes the line of a request that has ended.
///
/// # Safety
/// The request has been counted and still has its scope; no exception is pending.
#[cold]
#[inline(never)]
pub unsafe fn write(request: *mut Request, status: u16) {
    // SAFETY: as the caller says.
    unsafe {
        if !matches!((*request).kind, Kind::Http | Kind::Traced) {
            return;
        }
        let level = if status >= 500 { 3 } else { 1 };
        if !level::is_on(level) || !has_lines() {
            return;
        }
        let shared = &*(*(*request).middleware).instrument().shared;
        let _ = shield(shared, || Python::attach(|py| tell(py, request, status, level)));
    }
}

unsafe fn tell<'py>(py: Python<'py>, request: *mut Request, status: u16, level: u32) {
    // SAFETY: the scope and the middleware live until the request is released, by our caller.
    unsafe {
        let middleware = &*(*request).middleware;
        let instrument = middleware.instrument();
        let scope = (*request).scope;
        let mut fields: Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)> = Vec::with_capacity(8);
        let mut text = |name: &Bound<'py, PyString>, value: Obj| {
            if !value.is_null() {
                fields.push((name.clone(), Bound::from_borrowed_ptr(py, value)));
            }
        };
        text(interned!(py, "request_id"), (*request).id);
        text(interned!(py, "method"), lookup(scope, &keys().method));
        text(interned!(py, "path"), lookup(scope, &keys().path));
        let place = Scope::new(scope);
        let endpoint = match instrument.table.known(&place) {
            Some(endpoint) if middleware.hook.is_null() => PyString::new(py, endpoint.name()),
            _ => PyString::new(py, middleware.endpoint(&place).name()),
        };
        fields.push((interned!(py, "endpoint").clone(), endpoint.into_any()));
        fields.push((interned!(py, "status_code").clone(), PyInt::new(py, status).into_any()));
        if (*request).has(TIMED) {
            let now = if (*request).has(ENDED) { (*request).ended } else { ticks() };
            let seconds = instrument.clock.seconds((*request).started, now);
            let milliseconds = (seconds * 1e6).round() / 1e3;
            fields.push((interned!(py, "duration_ms").clone(), PyFloat::new(py, milliseconds).into_any()));
        }
        fields.push((interned!(py, "response_bytes").clone(), PyInt::new(py, (*request).sent_bytes).into_any()));
        if let Some(user) = user(py, scope) {
            fields.push((interned!(py, "user_id").clone(), user));
        }
        let message = interned!(py, "Request completed").as_any();
        let logger = "ferrometer.access";
        // Where a request is abandoned, its span is not the present one.
        let trace = super::trace::context(request);
        emit(
            py,
            &Event {
                level: level as usize,
                logger,
                message,
                bound: None,
                fields: &fields,
                error: None,
                time_ns: None,
                trace,
            },
        );
    }
}

/// `request.state.user_id`, which an authentication may have set: what it binds to the context is not seen out here.
unsafe fn user(py: Python<'_>, scope: Obj) -> Option<Bound<'_, PyAny>> {
    // SAFETY: a live object.
    let scope = unsafe { Bound::from_borrowed_ptr(py, scope) };
    let state = scope.cast::<PyDict>().ok()?.get_item(interned!(py, "state")).ok()??;
    state.cast::<PyDict>().ok()?.get_item(interned!(py, "user_id")).ok()?.filter(|user| !user.is_none())
}
