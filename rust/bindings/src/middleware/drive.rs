//! The request as an awaitable: it starts the application, drives its coroutine, and sees it end.
//!
//! Python 3.11 steps an awaitable by `am_send`; later versions call `tp_iternext` when nothing is sent in. Both end
//! here, as do the methods that other awaitables and event loops use.

use super::ffi::{clear, vectorcall, Obj};
use super::finish;
use super::keys::keys;
use super::request::{Phase, Request, COUNTED, ENDED, SPECIAL, TIMED, TOTALLED};
use super::request_id;
use super::scope::Kind;
use crate::http_metrics::Instrument;
use ferrometer_core::clock::ticks;
use pyo3::ffi;
use pyo3::ffi::PySendResult::{self, PYGEN_ERROR, PYGEN_NEXT, PYGEN_RETURN};
use std::ffi::c_void;
use std::ptr::null_mut;

/// A request is being served from now on.
#[inline(always)]
unsafe fn begin(request: *mut Request, instrument: &Instrument) {
    // SAFETY: the request is live and in no chain.
    unsafe {
        instrument.shared.active.enter(request);
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
    // SAFETY: as above.
    unsafe {
        match (*request).kind {
            Kind::Named => {}
            Kind::Websocket => instrument.shared.active.enter(request),
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

/// What `await` would drive for this awaitable, whose reference is taken; null with an exception set when it is none.
///
/// # Safety
/// `awaitable` is an owned reference; the GIL is held.
#[inline(always)]
pub unsafe fn iterator(awaitable: Obj) -> Obj {
    // SAFETY: as the caller says.
    unsafe {
        if ffi::PyCoro_CheckExact(awaitable) != 0 {
            awaitable
        } else {
            iterator_of(awaitable)
        }
    }
}

#[cold]
#[inline(never)]
unsafe fn iterator_of(awaitable: Obj) -> Obj {
    // SAFETY: live; slots are checked before they are called.
    unsafe {
        let kind = ffi::Py_TYPE(awaitable);
        let slots = (*kind).tp_as_async;
        let await_ = if slots.is_null() { None } else { (*slots).am_await };
        let Some(await_) = await_ else {
            if is_generator_coroutine(awaitable) {
                return awaitable;
            }
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"object %.100s can't be used in 'await' expression".as_ptr(),
                (*kind).tp_name,
            );
            ffi::Py_DECREF(awaitable);
            return null_mut();
        };
        let mut iterator = await_(awaitable);
        ffi::Py_DECREF(awaitable);
        if !iterator.is_null() && ffi::PyIter_Check(iterator) == 0 {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"__await__() returned non-iterator of type '%.100s'".as_ptr(),
                (*ffi::Py_TYPE(iterator)).tp_name,
            );
            clear(&mut iterator);
        }
        iterator
    }
}

/// A generator made by `types.coroutine`.
unsafe fn is_generator_coroutine(object: Obj) -> bool {
    const CO_ITERABLE_COROUTINE: i64 = 0x100;
    // SAFETY: the references made here are given back; errors are cleared.
    unsafe {
        if ffi::PyGen_CheckExact(object) == 0 {
            return false;
        }
        let mut code = ffi::PyObject_GetAttrString(object, c"gi_code".as_ptr());
        let mut flags =
            if code.is_null() { null_mut() } else { ffi::PyObject_GetAttrString(code, c"co_flags".as_ptr()) };
        let answer = !flags.is_null() && ffi::PyLong_AsLongLong(flags) & CO_ITERABLE_COROUTINE != 0;
        clear(&mut code);
        clear(&mut flags);
        ffi::PyErr_Clear();
        answer
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
    // SAFETY: as for `send`.
    unsafe {
        if (*request).flags & (ENDED | COUNTED) == ENDED {
            finish::closed(request);
        }
        Request::suspend(request);
    }
}

/// `PyIter_Send`, without its way through the linker's tables for what is a coroutine nearly always.
///
/// # Safety
/// `inner` is a live iterator.
#[inline(always)]
unsafe fn step(inner: Obj, argument: Obj, result: *mut Obj) -> PySendResult {
    // SAFETY: the slot belongs to the object's type.
    unsafe {
        let slots = (*ffi::Py_TYPE(inner)).tp_as_async;
        if !slots.is_null() {
            if let Some(send) = (*slots).am_send {
                return send(inner, argument, result);
            }
        }
        ffi::PyIter_Send(inner, argument, result)
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

#[cold]
unsafe fn raise(kind: Obj, text: &std::ffi::CStr) {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_SetString(kind, text.as_ptr()) };
}

/// One step, with the result of the last one as iterators give it: an exception, or nothing at all for `None`.
unsafe extern "C" fn next(object: Obj) -> Obj {
    // SAFETY: as for `send`.
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

/// Raises `StopIteration(value)`, taking the reference.
#[cold]
pub unsafe fn set_stop_iteration(value: Obj) {
    // SAFETY: made as an instance first, because a tuple or an exception as the value would be taken apart.
    unsafe {
        let mut exception =
            ffi::PyObject_CallFunctionObjArgs(ffi::PyExc_StopIteration, value, null_mut::<ffi::PyObject>());
        ffi::Py_DECREF(value);
        if !exception.is_null() {
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, exception);
            clear(&mut exception);
        }
    }
}

unsafe extern "C" fn send_method(object: Obj, argument: Obj) -> Obj {
    // SAFETY: as for `send`.
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

/// An attribute; null with no exception set where there is none.
unsafe fn attribute(object: Obj, name: Obj) -> Obj {
    // SAFETY: both are live, says every caller.
    unsafe {
        let found = ffi::PyObject_GetAttr(object, name);
        if found.is_null() && ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) != 0 {
            ffi::PyErr_Clear();
        }
        found
    }
}

/// Throws into what is awaited, as `await` does: where that cannot be thrown into, the exception is raised here.
///
/// # Safety
/// All are live to the end of the call; `arguments` heads one to three.
pub unsafe fn throw_into(inner: Obj, arguments: *const Obj, count: usize) -> Obj {
    // SAFETY: as the caller says.
    unsafe {
        let mut method = attribute(inner, keys().throw.object);
        if method.is_null() {
            if ffi::PyErr_Occurred().is_null() {
                raise_from(std::slice::from_raw_parts(arguments, count));
            }
            return null_mut();
        }
        let result = ffi::PyObject_Vectorcall(method, arguments, count, null_mut());
        clear(&mut method);
        result
    }
}

/// Closes what is awaited, as `await` does; `false` with an exception set when that failed.
///
/// # Safety
/// `inner` is live to the end of the call.
pub unsafe fn close_inner(inner: Obj) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let mut method = attribute(inner, keys().close.object);
        if method.is_null() {
            // Without `close` there is nothing to clean up.
            return ffi::PyErr_Occurred().is_null();
        }
        let mut result = ffi::PyObject_CallNoArgs(method);
        clear(&mut method);
        let done = !result.is_null();
        clear(&mut result);
        done
    }
}

/// Raises what `throw` was given: an exception, or a class and perhaps a value, and perhaps a traceback.
unsafe fn raise_from(given: &[Obj]) {
    let argument = |index: usize| given.get(index).copied().unwrap_or(null_mut());
    let (kind, value, trace) = (argument(0), argument(1), argument(2));
    // SAFETY: borrowed from the arguments, which the caller holds; what is called takes references of its own.
    unsafe {
        if ffi::PyExceptionInstance_Check(kind) != 0 {
            if !trace.is_null() && ffi::PyTraceBack_Check(trace) != 0 {
                ffi::PyException_SetTraceback(kind, trace);
            }
            ffi::PyErr_SetObject(ffi::Py_TYPE(kind).cast(), kind);
        } else if ffi::PyExceptionClass_Check(kind) == 0 {
            raise(ffi::PyExc_TypeError, c"exceptions must be classes or instances deriving from BaseException");
        } else if value.is_null() {
            ffi::PyErr_SetNone(kind);
        } else {
            ffi::PyErr_SetObject(kind, value);
        }
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
