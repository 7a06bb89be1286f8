//! The end of a request: what happened, and which cells it counts in.

use super::ending::{judge, status, Ending};
use super::ffi::{clear, Obj, Pending};
use super::guard::shield;
use super::object::Middleware;
use super::request::{
    Phase, Request, COMPLETE, COUNTED, DISCONNECTED, ENDED, LISTENED, SPECIAL, STREAMING, TIMED, TOTALLED,
};
use super::request_id;
use super::scope::{content_length, has_body, method, Kind, HEAD};
use super::socket;
use crate::http_metrics::{Instrument, Measured, Scope};
use ferrometer_core::clock::ticks;
use ferrometer_core::error::Error;
use pyo3::ffi;
use std::ptr::null_mut;

/// The application returned.
///
/// # Safety
/// `request` was executing; no exception is pending. Likewise below, but for the exception.
#[inline(always)]
pub unsafe fn returned(request: *mut Request) {
    // SAFETY: as the caller says.
    unsafe {
        if !quick(request) {
            record(request, &Ending::Returned);
        }
        access_line(request, &Ending::Returned);
        end_span(request, &Ending::Returned, null_mut());
        release(request);
    }
}

/// Counts a request like those before it: its series are there, and nothing unusual happened. `false`, with nothing
/// done, for all others.
///
/// This is the one place that records without a [`shield`]. Nothing in it can panic: it follows pointers, compares
/// integers and adds to cells. (The bounds that `Histogram::record` checks hold by the construction of its layout.)
#[inline(always)]
unsafe fn quick(request: *mut Request) -> bool {
    // SAFETY: the request runs, so scope and middleware are there.
    unsafe {
        if (*request).flags & (STREAMING | DISCONNECTED | ENDED | COUNTED | SPECIAL) != ENDED {
            return false;
        }
        let middleware = &*(*request).middleware;
        let instrument = middleware.instrument();
        if !instrument.is_current() {
            return false;
        }
        let method = method((*request).scope);
        let scope = Scope::new((*request).scope);
        let Some(measured) = instrument.table.known(&scope).and_then(|endpoint| endpoint.known(method)) else {
            return false;
        };
        let Some(status) = measured.status((*request).status) else { return false };
        let length = body_length(request, method);
        if length > 0 {
            let Some(bytes) = measured.known_request_bytes() else { return false };
            bytes.add_int(length);
        }
        status.inc();
        instrument.in_flight().add(-1.0);
        instrument.shared.active.leave((*request).links());
        if method != HEAD {
            measured.response_bytes.add_int((*request).sent_bytes);
        }
        time(&*request, instrument, measured, (*request).ended);
    }
    true
}

/// The response is complete, and its application goes on: the request is counted now, and its background task when
/// that ends.
#[cold]
#[inline(never)]
pub unsafe fn closed(request: *mut Request) {
    // SAFETY: the request runs, so middleware and scope are there; no exception is pending. Whoever called holds a
    // reference to the request, so nothing that runs meanwhile can be the end of it.
    unsafe {
        if (*request).status == 0 {
            return; // a body without a beginning, which no server sends
        }
        let phase = (*request).phase;
        record(request, &Ending::Returned);
        (*request).flags |= COUNTED;
        (*request).phase = phase;
    }
}

/// The application returned, and a pending `StopIteration` says so.
#[cold]
pub unsafe fn returned_by_exception(request: *mut Request) {
    // SAFETY: the exception is set aside meanwhile.
    unsafe {
        let pending = Pending::take();
        returned(request);
        pending.restore();
    }
}

/// The application raised the pending exception, which goes on untouched.
#[cold]
#[inline(never)]
pub unsafe fn raised(request: *mut Request) {
    // SAFETY: the exception is set aside meanwhile.
    unsafe {
        let pending = Pending::take();
        let ending = judge(request, pending.value());
        record(request, &ending);
        access_line(request, &ending);
        end_span(request, &ending, pending.value());
        release(request);
        pending.restore();
    }
}

/// Nobody goes on with the application.
#[cold]
#[inline(never)]
pub unsafe fn abandoned(request: *mut Request) {
    // SAFETY: an exception may be pending where the last reference is dropped; it is set aside.
    unsafe {
        let pending = Pending::take();
        record(request, &Ending::Cancelled);
        access_line(request, &Ending::Cancelled);
        end_span(request, &Ending::Cancelled, null_mut());
        release(request);
        pending.restore();
    }
}

/// Nobody ever began with the application; nothing is counted.
#[cold]
pub unsafe fn unstarted(request: *mut Request) {
    // SAFETY: live.
    unsafe { release(request) };
}

/// Lets go of everything that the request was about. `send` and `receive` stay for whoever kept this object.
#[inline(always)]
unsafe fn release(request: *mut Request) {
    // SAFETY: each slot is emptied before its reference is given back. Giving back may run Python code, which may
    // come back here, so the phase is set first; and it may drop the last reference to `request` itself, so one is
    // held meanwhile by whoever called, as all callers' callers do.
    unsafe {
        (*request).phase = Phase::Over;
        if !(*request).id.is_null() {
            request_id::end(request);
        }
        #[cfg(target_os = "linux")]
        if !(*request).trace_token.is_null() {
            super::access_line::end(request);
        }
        clear(&mut (*request).inner);
        clear(&mut (*request).scope);
        clear(&mut *(&raw mut (*request).middleware).cast());
        if ffi::Py_REFCNT(request.cast()) > 1 {
            // Someone besides the awaiter has kept it: it may be part of a cycle now.
            Request::track(request);
        }
    }
}

/// Counts the request. Whatever goes wrong here is counted as a fault, and the request goes on.
#[cold]
#[inline(never)]
unsafe fn record(request: *mut Request, ending: &Ending) {
    // SAFETY: the request runs, so scope and middleware are there; no exception is pending.
    unsafe {
        let middleware = &*(*request).middleware;
        let shared = &*middleware.instrument().shared;
        if (*request).kind == Kind::Named {
            return;
        }
        if !(*request).has(COUNTED) {
            shared.active.leave((*request).links());
        }
        // The user's functions that are asked below may still send: nothing of that belongs to this request.
        (*request).phase = Phase::Over;
        let done = shield(shared, || {
            if (*request).kind == Kind::Websocket {
                socket::end(request, ending)
            } else if (*request).has(COUNTED) {
                background(&*request, middleware, ending)
            } else {
                http(request, middleware, ending)
            }
        });
        if let Some(Err(_)) = done {
            shared.fault("series");
        }
    }
}

unsafe fn http(request: *mut Request, middleware: &Middleware, ending: &Ending) -> Result<(), Error> {
    // SAFETY: `record` is called while the request runs, so scope and middleware are there; no exception is pending.
    unsafe {
        let instrument = middleware.instrument();
        let shared = &*instrument.shared;
        let now = match (*request).flags & (TIMED | ENDED) {
            TIMED => ticks(),
            0 | ENDED => 0,
            _ => (*request).ended,
        };
        instrument.in_flight().add(-1.0);
        if let Some(totals) = instrument.application.totals().filter(|_| (*request).has(TOTALLED)) {
            totals.end();
        }
        instrument.heed();
        let method = method((*request).scope);
        let scope = Scope::new((*request).scope);
        let known = instrument.table.kept(&scope).filter(|_| middleware.hook.is_null());
        // Kept: the user's code that is asked below may have the table forget it.
        let kept = if let Some(known) = known.filter(|endpoint| endpoint.known(method).is_some()) {
            known
        } else {
            let fresh = middleware.endpoint(&scope);
            if !(*request).has(TIMED) && fresh.known(method).is_none() {
                instrument.be_eager();
            }
            fresh
        };
        let measured = kept.measured(shared, method)?;
        let status = status(&*request, ending);
        measured.count(shared, status)?;
        time(&*request, instrument, measured, now);
        if let Some(totals) = instrument.application.totals() {
            let seconds = (*request).has(TIMED).then(|| instrument.clock.seconds((*request).started, now));
            totals.count(status, seconds, instrument.sampled);
        }
        if let Some(traces) = &instrument.traces {
            let said = traces.of(request as usize, (*request).scope);
            #[cfg(target_os = "linux")]
            let said = super::trace::sampled_id(request).or(said);
            if let Some(trace_id) = said {
                if (*request).has(TIMED) {
                    let seconds = instrument.clock.seconds((*request).started, now);
                    measured.duration.keep_exemplar(&shared.duration, seconds, trace_id);
                }
            }
        }
        if method != HEAD && (*request).sent_bytes > 0 {
            measured.response_bytes.add_int((*request).sent_bytes);
        }
        let length = body_length(request, method);
        if length > 0 {
            measured.request_bytes(shared)?.add_int(length);
        }
        if (*request).has(STREAMING) {
            stream(&*request, instrument, measured)?;
        }
        if (*request).has(DISCONNECTED) || !matches!(ending, Ending::Returned) {
            odd(&*request, instrument, measured, ending)?;
        }
    }
    Ok(())
}

/// The line of a request, where such lines are wanted.
#[inline(always)]
unsafe fn access_line(request: *mut Request, ending: &Ending) {
    #[cfg(target_os = "linux")]
    // SAFETY: the request is counted, and has not been released yet.
    unsafe {
        if crate::logs::event::wants_requests() {
            super::access_line::write(request, status(&*request, ending));
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (request, ending);
}

/// The end of the request's span, where there is one; `error` is what left the application, or null.
#[inline(always)]
unsafe fn end_span(request: *mut Request, ending: &Ending, error: Obj) {
    #[cfg(target_os = "linux")]
    // SAFETY: the request is counted, and has not been released yet; the exception is live.
    unsafe {
        if !(*request).span.is_null() {
            super::trace::end(request, ending, status(&*request, ending), error);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (request, ending, error);
}

/// An application that went on after its response has ended, too.
unsafe fn background(request: &Request, middleware: &Middleware, ending: &Ending) -> Result<(), Error> {
    // SAFETY: `record` is called while the request runs, so its scope is there; no exception is pending.
    unsafe {
        let instrument = middleware.instrument();
        let shared = &*instrument.shared;
        instrument.heed();
        let endpoint = middleware.endpoint(&Scope::new(request.scope));
        let measured = endpoint.measured(shared, method(request.scope))?;
        let seconds = request.has(TIMED).then(|| instrument.clock.seconds(request.ended, ticks()));
        measured.background(shared.background()?, seconds)?;
        if let Ending::Raised(exception) = ending {
            measured.rare(&shared.exceptions, Some(exception))?;
        }
    }
    Ok(())
}

/// The Content-Length; of a GET and the like, which hardly ever have a body, only if the application asked for it.
#[inline(always)]
unsafe fn body_length(request: *mut Request, method: usize) -> u64 {
    // SAFETY: the request runs, so its scope is there.
    unsafe {
        if has_body(method) || (*request).has(LISTENED) {
            content_length((*request).scope)
        } else {
            0
        }
    }
}

#[inline(always)]
fn time(request: &Request, instrument: &Instrument, measured: &Measured, now: u64) {
    if !request.has(TIMED) {
        measured.duration.hold();
        return;
    }
    let seconds = instrument.clock.seconds(request.started, now);
    if instrument.sampled {
        measured.duration.record_sample(seconds);
    } else {
        measured.duration.record(seconds);
    }
}

#[cold]
fn stream(request: &Request, instrument: &Instrument, measured: &Measured) -> Result<(), Error> {
    let histogram = measured.first_byte(&instrument.shared)?;
    if request.has(TIMED) {
        histogram.record_sample(instrument.clock.seconds(request.started, request.first_byte));
    } else {
        histogram.hold();
    }
    Ok(())
}

#[cold]
fn odd(request: &Request, instrument: &Instrument, measured: &Measured, ending: &Ending) -> Result<(), Error> {
    let shared = &*instrument.shared;
    if let Ending::Raised(exception) = ending {
        measured.rare(&shared.exceptions, Some(exception))?;
    }
    if request.has(DISCONNECTED) || matches!(ending, Ending::Disconnected) {
        return measured.rare(&shared.disconnects, None);
    }
    if matches!(ending, Ending::Cancelled) && !request.has(COMPLETE) {
        return measured.rare(&shared.cancelled, None);
    }
    Ok(())
}
