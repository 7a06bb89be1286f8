//! The Python type of [`Request`]: its life and death.

use super::ffi::{clear, make_type, member, Obj, NO_MEMBER};
use super::request::{keep, set_kind, Phase, Request, TRACKED};
use super::{drive, finish};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

unsafe extern "C" fn dealloc(object: Obj) {
    let request: *mut Request = object.cast();
    // SAFETY: the last reference is gone, so this is the only user. The collector must not see it half dead, so it is
    // untracked first. A revived object (refcount one again) belongs to the free list, untracked and owning nothing.
    unsafe {
        let tracked = (*request).has(TRACKED);
        if tracked {
            ffi::PyObject_GC_UnTrack(object.cast());
        }
        if (*request).phase == Phase::Over {
            clear(&mut (*request).receive);
            clear(&mut (*request).send);
        } else {
            finalize(object);
            release_all(request);
        }
        // An object that the collector has finalised once would not be finalised a second time.
        if !(tracked && ffi::PyObject_GC_IsFinalized(object) != 0) && keep(request) {
            return;
        }
        let kind = ffi::Py_TYPE(object);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// A request that nobody will go on with is counted as cancelled.
unsafe extern "C" fn finalize(object: Obj) {
    let request: *mut Request = object.cast();
    // SAFETY: live.
    unsafe {
        if (*request).phase == Phase::Suspended {
            // Counting may run Python code that finds its way here, through the scope for one.
            (*request).phase = Phase::Executing;
            finish::abandoned(request);
        }
    }
}

unsafe fn release_all(request: *mut Request) {
    // SAFETY: each slot holds null or an owned reference and is emptied before that is given back.
    unsafe {
        clear(&mut *(&raw mut (*request).middleware).cast());
        clear(&mut (*request).scope);
        clear(&mut (*request).inner);
        clear(&mut (*request).receive);
        clear(&mut (*request).send);
        clear(&mut (*request).trace_token);
        clear(&mut (*request).span);
        clear(&mut (*request).baggage_token);
        if !(*request).id.is_null() {
            clear(&mut (*request).id);
            clear(&mut (*request).token);
        }
    }
}

unsafe extern "C" fn traverse(object: Obj, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let request: *mut Request = object.cast();
    // SAFETY: live; what is shown is what is owned.
    unsafe {
        let owned = [
            ffi::Py_TYPE(object).cast(),
            (*request).middleware.cast(),
            (*request).scope,
            (*request).inner,
            (*request).receive,
            (*request).send,
            (*request).id,
            (*request).token,
            (*request).trace_token,
            (*request).span,
            (*request).baggage_token,
        ];
        for object in owned {
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
    let request: *mut Request = object.cast();
    // SAFETY: live. Nobody can reach it any more, and should a finaliser have a way all the same, it finds it over.
    unsafe {
        finalize(object);
        (*request).phase = Phase::Over;
        release_all(request);
    }
    0
}

/// Makes the type.
///
/// # Safety
/// At import, with the GIL held.
pub unsafe fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut members = [member(c"__vectorcalloffset__", std::mem::offset_of!(Request, face)), NO_MEMBER];
    let mut slots = vec![
        slot(
            ffi::Py_tp_doc,
            c"A request being measured: an awaitable, and its own `receive` and `send`.".as_ptr().cast_mut().cast(),
        ),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_finalize, finalize as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, tp_clear as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
    ];
    slots.extend(drive::slots());
    slots.push(slot(0, null_mut()));
    let flags = ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_GC
        | ffi::Py_TPFLAGS_HAVE_VECTORCALL
        | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION
        | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    // SAFETY: the slots are those of `Request`, whose size is given.
    unsafe {
        let kind = make_type::<Request>(module, c"ferrometer._core.Request", flags, &mut slots)?;
        set_kind(kind);
    }
    Ok(())
}
