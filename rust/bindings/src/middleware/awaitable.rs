//! Driving an awaitable as `await` does: its iterator, a step, an exception thrown in, its end.

use super::ffi::{clear, Obj};
use super::keys::keys;
use pyo3::ffi;
use pyo3::ffi::PySendResult;
use std::ptr::null_mut;

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

/// `PyIter_Send`, without its way through the linker's tables for what is a coroutine nearly always.
///
/// # Safety
/// `inner` is a live iterator.
#[inline(always)]
pub unsafe fn step(inner: Obj, argument: Obj, result: *mut Obj) -> PySendResult {
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

/// Raises an exception of this kind.
///
/// # Safety
/// The GIL is held.
#[cold]
pub unsafe fn raise(kind: Obj, text: &std::ffi::CStr) {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_SetString(kind, text.as_ptr()) };
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
///
/// # Safety
/// All are live.
pub unsafe fn raise_from(given: &[Obj]) {
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
