//! The request as `send` and `receive`: one object, told apart by the number of arguments.
//!
//! `send(message)` looks at the message and returns what the server's `send` returns, so it adds nothing to be
//! awaited. `receive()` has to see what comes back, and wraps the server's awaitable.

use super::ffi::{clear, owned, vectorcall, Obj};
use super::finish;
use super::message::{body_size, glance, is_true, read, status, Glance, Message, Type};
use super::object::Middleware;
use super::receive;
use super::request::{Phase, Request, COMPLETE, COUNTED, ENDED, LISTENED, STREAMING, TIMED};
use super::request_id;
use super::scope::Kind;
use super::socket;
use ferrometer_core::clock::ticks;
use pyo3::ffi;
use std::ptr::null_mut;

/// `send(message)` or `receive()` of a plain HTTP request.
///
/// Only what nearly every message needs is in this function, to keep it small.
pub unsafe extern "C" fn call(object: Obj, arguments: *const Obj, nargsf: usize, kwnames: Obj) -> Obj {
    let request: *mut Request = object.cast();
    // SAFETY: the vectorcall protocol; the caller holds the request, which holds `send` and `receive` to its death.
    unsafe {
        if !(nargsf & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET == 1
            && kwnames.is_null()
            && (*request).phase == Phase::Executing)
        {
            return any_call(request, arguments, nargsf, kwnames);
        }
        match glance(*arguments) {
            Glance::Body(size) => {
                (*request).sent_bytes = (*request).sent_bytes.wrapping_add(size);
                end(request);
            }
            Glance::Start(status) if (*request).status == 0 && (*request).id.is_null() => (*request).status = status,
            _ => return any_call(request, arguments, nargsf, kwnames),
        }
        vectorcall((*request).send, arguments, nargsf, kwnames)
    }
}

/// The response is complete with the message that is about to be sent.
#[inline(always)]
unsafe fn end(request: *mut Request) {
    // SAFETY: live.
    unsafe {
        (*request).flags |= COMPLETE | ENDED;
        if (*request).has(TIMED) {
            (*request).ended = ticks();
        }
    }
}

/// The same for requests that are not plain HTTP.
pub unsafe extern "C" fn special_call(object: Obj, arguments: *const Obj, nargsf: usize, kwnames: Obj) -> Obj {
    // SAFETY: the vectorcall protocol: `object` is of this type and held by the caller, and so are the arguments.
    unsafe { any_call(object.cast(), arguments, nargsf, kwnames) }
}

#[inline(never)]
unsafe fn any_call(request: *mut Request, arguments: *const Obj, nargsf: usize, kwnames: Obj) -> Obj {
    // SAFETY: the arguments are those of a vectorcall; the caller holds the request. `send` and `receive` are theirs to its death, unless the collector took them: null.
    unsafe {
        if (*request).send.is_null() || (*request).receive.is_null() {
            ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"the request was garbage and has been collected".as_ptr());
            return null_mut();
        }
        match ffi::PyVectorcall_NARGS(nargsf) {
            1 if kwnames.is_null() => {
                if matches!((*request).phase, Phase::Executing | Phase::Suspended) {
                    let message = *arguments;
                    if (*request).kind == Kind::Websocket {
                        socket::sent(request, message);
                    } else {
                        let renamed = http(request, message);
                        if !renamed.is_null() {
                            return send_instead(request, renamed);
                        }
                    }
                }
                vectorcall((*request).send, arguments, nargsf, kwnames)
            }
            0 if kwnames.is_null() => {
                let awaitable = vectorcall((*request).receive, arguments, nargsf, kwnames);
                if awaitable.is_null() || (*request).phase == Phase::Over {
                    return awaitable;
                }
                (*request).flags |= LISTENED;
                receive::wrap(request, awaitable)
            }
            // Whatever is wrong with the call, the server's own function says it best.
            _ => vectorcall((*request).send, arguments, nargsf, kwnames),
        }
    }
}

#[cold]
unsafe fn send_instead(request: *mut Request, mut message: Obj) -> Obj {
    // SAFETY: the message is ours; what is called takes references of its own.
    unsafe {
        let mut arguments = [null_mut(), message];
        let flags = 1 | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
        let result = vectorcall((*request).send, arguments.as_mut_ptr().add(1), flags, null_mut());
        clear(&mut message);
        result
    }
}

/// Notes what a message says. Returns a message to send in its place (with the request id in its headers), or null.
unsafe fn http(request: *mut Request, message: Obj) -> Obj {
    // SAFETY: live. A strange `body` or `more_body`, and whoever is asked for the trace, run Python code, which can change
    // the message and, where the request is suspended, end it: what is used afterwards is owned, or looked at again.
    unsafe {
        let Some(Message { kind, status: code, mut body, mut more_body }) = read(message) else { return null_mut() };
        match kind {
            Type::ResponseBody => {
                ffi::Py_XINCREF(body);
                ffi::Py_XINCREF(more_body);
                let size = body_size(body);
                let more = is_true(more_body);
                clear(&mut body);
                clear(&mut more_body);
                if (*request).phase == Phase::Over || (*request).has(COUNTED) {
                    // The request has been counted, perhaps while the message was read.
                    return null_mut();
                }
                (*request).sent_bytes = (*request).sent_bytes.wrapping_add(size);
                if !more {
                    end(request);
                    if (*request).phase == Phase::Suspended {
                        // A task that the application has started sends. The application itself may go on for long.
                        finish::closed(request);
                    }
                } else if size > 0 && !(*request).has(STREAMING) {
                    first_chunk(request);
                }
            }
            Type::ResponseStart if (*request).status == 0 => {
                (*request).status = status(code);
                if (*request).has(TIMED)
                    && (*request).span.is_null()
                    && (*(*request).middleware).instrument().traces.is_some()
                {
                    // Here, because the application's span is open now and will not be at the end.
                    look(request);
                }
                if !(*request).id.is_null() && (*request).status >= 200 {
                    return request_id::announce(request, message);
                }
            }
            Type::ResponsePathsend => (*request).flags |= COMPLETE,
            _ => {}
        }
    }
    null_mut()
}

/// Asks for the trace of a request.
#[cold]
unsafe fn look(request: *mut Request) {
    // SAFETY: the request runs, so its middleware is there; it is owned meanwhile, for the one who is asked may end the
    // request.
    unsafe {
        let mut middleware = owned((*request).middleware.cast());
        let instrument = (*middleware.cast::<Middleware>()).instrument();
        if let Some(traces) = &instrument.traces {
            if !traces.look(request as usize) {
                instrument.shared.fault("exemplar");
            }
            if (*request).phase == Phase::Over {
                traces.forget(request as usize);
            }
        }
        clear(&mut middleware);
    }
}

/// The first byte of a stream is on its way. Only streams pay for reading the clock here.
unsafe fn first_chunk(request: *mut Request) {
    // SAFETY: live.
    unsafe {
        (*request).flags |= STREAMING;
        if (*request).has(TIMED) {
            (*request).first_byte = ticks();
        }
    }
}
