//! The request as an awaitable: it starts the application, drives its coroutine, and sees it end.
//!
//! Python 3.11 steps an awaitable by `am_send`; later versions call `tp_iternext` when nothing is sent in. Both end
//! here, as do the methods that other awaitables and event loops use.

use super::awaitable::{close_inner, iterator, raise, raise_from, set_stop_iteration, step, throw_into};
use super::ffi::{vectorcall, Obj};
use super::finish;
use super::request::{Phase, Request, COUNTED, ENDED, SPECIAL, TIMED, TOTALLED};
use super::request_id;
use super::scope::Kind;
use crate::http_metrics::Instrument;
use ferrometer_core::clock::ticks;
use pyo3::ffi;
use pyo3::ffi::PySendResult::{self, PYGEN_ERROR, PYGEN_NEXT, PYGEN_RETURN};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Puts a request among those being measured.
#[inline(always)]
unsafe fn enter(request: *mut Request, instrument: &Instrument) {
    // SAFETY: the request is live and in no chain, and it does not move.
    unsafe {
        instrument.shared.active.enter((*request).links(), (*request).scope as usize, (*request).middleware as usize);
    }
}

/// A request is being served from now on.
#[inline(always)]
unsafe fn begin(request: *mut Request, instrument: &Instrument) {
    // SAFETY: the request is live and in no chain.
    unsafe {
        enter(request, instrument);
        instrument.in_flight().add(1.0);
        if instrument.times() {
            (*request).flags |= TIMED;
            (*request).started = ticks();
        }
    }
}

/// The same for other kinds than plain HTTP.
#[inline(never)]
unsafe fn begin_special(request: *mut Request, instrument: &Instrument) {
    // SAFETY: the request is live, fresh and in no chain, so it may enter one.
    unsafe {
        match (*request).kind {
            Kind::Named => {}
            Kind::Websocket => enter(request, instrument),
            Kind::Http | Kind::Traced => {
                begin(request, instrument);
                if let Some(totals) = instrument.application.totals() {
                    totals.begin();
                    (*request).flags |= TOTALLED;
                }
            }
        }
    }
}

/// Starts the application; `false` with an exception set when there is nothing to drive.
#[inline(always)]
unsafe fn start(request: *mut Request) -> bool {
    // SAFETY: the request is live and fresh, so everything it starts from is there.
    unsafe {
        let middleware = &*(*request).middleware;
        let instrument = middleware.instrument();
        (*request).phase = Phase::Executing;
        if (*request).has(SPECIAL) {
            begin_special(request, instrument);
        } else {
            begin(request, instrument);
        }
        if middleware.names_requests {
            request_id::begin(request);
        }
        #[cfg(target_os = "linux")]
        if crate::traces::tracer::is_on() {
            super::trace::begin(request);
        } else if crate::logs::event::has_lines() {
            super::access_line::begin(request);
        }
        let mut arguments = [null_mut(), (*request).scope, request.cast(), request.cast()];
        let awaitable = vectorcall(
            middleware.app,
            arguments.as_mut_ptr().add(1),
            3 | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
            null_mut(),
        );
        if !awaitable.is_null() {
            (*request).inner = iterator(awaitable);
        }
        !(*request).inner.is_null()
    }
}

/// One step.
unsafe extern "C" fn send(object: Obj, argument: Obj, result: *mut Obj) -> PySendResult {
    let request: *mut Request = object.cast();
    // SAFETY: the caller holds a reference to the request for the duration; its fields are re-read after each call.
    unsafe {
        *result = null_mut();
        match (*request).phase {
            Phase::Suspended => (*request).phase = Phase::Executing,
            Phase::Fresh => {
                if argument != ffi::Py_None() {
                    raise(ffi::PyExc_TypeError, c"can't send non-None value to a just-started coroutine");
                    return PYGEN_ERROR;
                }
                if !start(request) {
                    finish::raised(request);
                    return PYGEN_ERROR;
                }
            }
            Phase::Over | Phase::Executing => {
                refuse((*request).phase);
                return PYGEN_ERROR;
            }
        }
        let outcome = step((*request).inner, argument, result);
        match outcome {
            PYGEN_RETURN => finish::returned(request),
            PYGEN_NEXT => suspend(request),
            PYGEN_ERROR => finish::raised(request),
        }
        outcome
    }
}

/// The application waits for something: after its response is complete, in a background task.
#[inline(always)]
unsafe fn suspend(request: *mut Request) {
    // SAFETY: the request is on the stack of `send` or `throw`, whose caller holds it.
    unsafe {
        if (*request).flags & (ENDED | COUNTED) == ENDED {
            finish::closed(request);
        }
        Request::suspend(request);
    }
}

/// The errors that a coroutine has for a second awaiter, or for one that is itself being awaited.
#[cold]
unsafe fn refuse(phase: Phase) {
    // SAFETY: the GIL is held.
    unsafe {
        if phase == Phase::Executing {
            raise(ffi::PyExc_ValueError, c"coroutine already executing");
        } else {
            raise(ffi::PyExc_RuntimeError, c"cannot reuse already awaited coroutine");
        }
    }
}

/// One step, with the result of the last one as iterators give it: an exception, or nothing at all for `None`.
unsafe extern "C" fn next(object: Obj) -> Obj {
    // SAFETY: the interpreter calls it with an object of this type and holds that; the result is handed on or given back.
    unsafe {
        let mut result = null_mut();
        match send(object, ffi::Py_None(), &raw mut result) {
            PYGEN_NEXT => result,
            PYGEN_ERROR => null_mut(),
            PYGEN_RETURN => {
                if result == ffi::Py_None() {
                    // No exception at all reads as "returned None", and spares making one.
                    ffi::Py_DECREF(result);
                } else {
                    set_stop_iteration(result);
                }
                null_mut()
            }
        }
    }
}

unsafe extern "C" fn send_method(object: Obj, argument: Obj) -> Obj {
    // SAFETY: a method of this type: `object` is one, and held by the caller; the result is handed on.
    unsafe {
        let mut result = null_mut();
        match send(object, argument, &raw mut result) {
            PYGEN_NEXT => result,
            PYGEN_ERROR => null_mut(),
            PYGEN_RETURN => {
                set_stop_iteration(result);
                null_mut()
            }
        }
    }
}

/// `throw(type_or_exception[, value[, traceback]])`
unsafe extern "C" fn throw(object: Obj, arguments: *mut Obj, count: isize) -> Obj {
    let request: *mut Request = object.cast();
    // SAFETY: the arguments are those of the call; three at the most.
    unsafe {
        if !(1..=3).contains(&count) {
            raise(ffi::PyExc_TypeError, c"throw expected 1 to 3 arguments");
            return null_mut();
        }
        match (*request).phase {
            Phase::Suspended => (*request).phase = Phase::Executing,
            Phase::Fresh => {
                // As for a coroutine: it ends before it has begun. Nothing has been counted.
                finish::unstarted(request);
                raise_from(std::slice::from_raw_parts(arguments, count as usize));
                return null_mut();
            }
            Phase::Over | Phase::Executing => {
                refuse((*request).phase);
                return null_mut();
            }
        }
        let result = throw_into((*request).inner, arguments, count as usize);
        if !result.is_null() {
            suspend(request);
        } else if ffi::PyErr_ExceptionMatches(ffi::PyExc_StopIteration) != 0 {
            finish::returned_by_exception(request);
        } else {
            finish::raised(request);
        }
        result
    }
}

unsafe extern "C" fn close(object: Obj, _: Obj) -> Obj {
    let request: *mut Request = object.cast();
    // SAFETY: the caller holds the request; `inner` is there while it runs.
    unsafe {
        match (*request).phase {
            Phase::Over => {}
            Phase::Fresh => finish::unstarted(request),
            Phase::Executing => {
                refuse(Phase::Executing);
                return null_mut();
            }
            Phase::Suspended => {
                (*request).phase = Phase::Executing;
                if !close_inner((*request).inner) {
                    finish::raised(request);
                    return null_mut();
                }
                finish::abandoned(request);
            }
        }
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

unsafe extern "C" fn itself(object: Obj) -> Obj {
    // SAFETY: live.
    unsafe { ffi::Py_INCREF(object) };
    object
}

/// The methods, which must outlive the type.
struct Methods([ffi::PyMethodDef; 4]);

// SAFETY: read only, and never written after compilation.
unsafe impl Sync for Methods {}

static METHODS: Methods = Methods([
    ffi::PyMethodDef {
        ml_name: c"send".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: send_method },
        ml_flags: ffi::METH_O,
        ml_doc: c"send(value)\n--\n\nGo on with the coroutine.".as_ptr(),
    },
    ffi::PyMethodDef {
        ml_name: c"throw".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: throw },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: c"throw(exception)\n--\n\nRaise an exception in the coroutine.".as_ptr(),
    },
    ffi::PyMethodDef {
        ml_name: c"close".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: close },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"close()\n--\n\nEnd the coroutine.".as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
]);

/// The slots of this file.
pub fn slots() -> [ffi::PyType_Slot; 6] {
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    [
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_am_send, send as *mut c_void),
        slot(ffi::Py_tp_iter, itself as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_methods, METHODS.0.as_ptr().cast_mut().cast()),
    ]
}
