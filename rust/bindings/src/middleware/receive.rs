//! What `receive()` returns: the server's awaitable, driven with an eye on the message that comes out.

use super::awaitable::{close_inner, iterator, set_stop_iteration, throw_into};
use super::ffi::{clear, make_type, owned, Global, Obj};
use super::message::{read, Type};
use super::request::{Phase, Request, COMPLETE, DISCONNECTED};
use super::socket;
use pyo3::ffi;
use pyo3::ffi::PySendResult::{self, PYGEN_ERROR, PYGEN_NEXT, PYGEN_RETURN};
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// One call of `receive`.
#[repr(C)]
struct Receive {
    head: ffi::PyObject,
    /// Owned until the message is there.
    request: *mut Request,
    /// What `await` drives; owned as long.
    inner: Obj,
}

static KIND: Global<*mut ffi::PyTypeObject> = Global::new();

/// Wraps what the server's `receive` returned, taking the reference.
///
/// # Safety
/// Both are live; the GIL is held.
pub unsafe fn wrap(request: *mut Request, awaitable: Obj) -> Obj {
    // SAFETY: the new object's fields are all set before it is tracked or returned.
    unsafe {
        let inner = iterator(awaitable);
        if inner.is_null() {
            return inner;
        }
        let receive: *mut Receive = ffi::PyObject_GC_New(*KIND.get());
        if receive.is_null() {
            ffi::Py_DECREF(inner);
            return null_mut();
        }
        (*receive).request = owned(request.cast()).cast();
        (*receive).inner = inner;
        ffi::PyObject_GC_Track(receive.cast());
        receive.cast()
    }
}

/// Notes what a received message says.
unsafe fn observe(request: *mut Request, message: Obj) {
    // SAFETY: both live.
    unsafe {
        if (*request).phase == Phase::Over {
            return;
        }
        match read(message).map(|message| message.kind) {
            // Servers say so after a complete response, too; that is no disconnect.
            Some(Type::Disconnect) if !(*request).has(COMPLETE) => (*request).flags |= DISCONNECTED,
            Some(kind @ (Type::SocketReceive | Type::SocketDisconnect)) => socket::received(request, kind),
            _ => {}
        }
    }
}

unsafe fn finish(receive: *mut Receive) {
    // SAFETY: each slot is emptied before its reference is given back.
    unsafe {
        clear(&mut (*receive).inner);
        clear(&mut *(&raw mut (*receive).request).cast());
    }
}

unsafe extern "C" fn send(object: Obj, argument: Obj, result: *mut Obj) -> PySendResult {
    let receive: *mut Receive = object.cast();
    // SAFETY: the caller holds the object; `inner` is kept alive over the step, for the step may come back here.
    unsafe {
        *result = null_mut();
        if (*receive).inner.is_null() {
            ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"cannot reuse already awaited coroutine".as_ptr());
            return PYGEN_ERROR;
        }
        let mut inner = owned((*receive).inner);
        let outcome = ffi::PyIter_Send(inner, argument, result);
        clear(&mut inner);
        if outcome == PYGEN_RETURN && !(*receive).request.is_null() {
            observe((*receive).request, *result);
        }
        if outcome != PYGEN_NEXT {
            finish(receive);
        }
        outcome
    }
}

unsafe extern "C" fn next(object: Obj) -> Obj {
    // SAFETY: the interpreter calls it with an object of this type and holds that.
    unsafe { send_method(object, ffi::Py_None()) }
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

unsafe extern "C" fn throw(object: Obj, arguments: *mut Obj, count: isize) -> Obj {
    let receive: *mut Receive = object.cast();
    // SAFETY: a method of this type, whose caller holds object and arguments; those are as many as `count` says, three at the most. `inner` is owned while it runs.
    unsafe {
        if (*receive).inner.is_null() || !(1..=3).contains(&count) {
            ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"cannot reuse already awaited coroutine".as_ptr());
            return null_mut();
        }
        let mut inner = owned((*receive).inner);
        let result = throw_into(inner, arguments, count as usize);
        clear(&mut inner);
        if result.is_null() {
            // A message that came out of a throw is none that anybody waited for.
            let pending = super::ffi::Pending::take();
            finish(receive);
            pending.restore();
        }
        result
    }
}

unsafe extern "C" fn close(object: Obj, _: Obj) -> Obj {
    let receive: *mut Receive = object.cast();
    // SAFETY: a method of this type, whose caller holds the object; `inner` is owned while it runs.
    unsafe {
        if !(*receive).inner.is_null() {
            let mut inner = owned((*receive).inner);
            let done = close_inner(inner);
            clear(&mut inner);
            if !done {
                return null_mut();
            }
            finish(receive);
        }
        owned(ffi::Py_None())
    }
}

unsafe extern "C" fn itself(object: Obj) -> Obj {
    // SAFETY: live.
    unsafe { owned(object) }
}

unsafe extern "C" fn dealloc(object: Obj) {
    // SAFETY: the last reference is gone; untracked before it is taken apart.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        finish(object.cast());
        let kind = ffi::Py_TYPE(object);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

unsafe extern "C" fn traverse(object: Obj, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let receive: *mut Receive = object.cast();
    // SAFETY: live; what is shown is what is owned.
    unsafe {
        for object in [ffi::Py_TYPE(object).cast(), (*receive).request.cast(), (*receive).inner] {
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
    // SAFETY: live.
    unsafe { finish(object.cast()) };
    0
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
        ml_doc: std::ptr::null(),
    },
    ffi::PyMethodDef {
        ml_name: c"throw".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: throw },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: std::ptr::null(),
    },
    ffi::PyMethodDef {
        ml_name: c"close".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: close },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: std::ptr::null(),
    },
    ffi::PyMethodDef::zeroed(),
]);

/// Makes the type.
///
/// # Safety
/// At import, with the GIL held.
pub unsafe fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, tp_clear as *mut c_void),
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_am_send, send as *mut c_void),
        slot(ffi::Py_tp_iter, itself as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_tp_methods, METHODS.0.as_ptr().cast_mut().cast()),
        slot(0, null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_GC
        | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION
        | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    // SAFETY: the slots are those of `Receive`.
    unsafe { KIND.set(make_type::<Receive>(module, c"ferrometer._core.Receive", flags, &mut slots)?) };
    Ok(())
}
