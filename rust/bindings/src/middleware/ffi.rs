//! The few C-level helpers every raw slot of the middleware needs.
//!
//! All of them run with the GIL held; that is the one assumption behind every `unsafe` here.

use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// A pointer to a Python object; whether it is owned or borrowed is said where it is stored.
pub type Obj = *mut ffi::PyObject;

/// A process-wide value written once at import and read under the GIL afterwards.
pub struct Global<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: written only by `set` during module import, read only with the GIL held; the GIL orders both.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// # Safety
    /// Once, at import, with the GIL held, before any `get`.
    pub unsafe fn set(&self, value: T) {
        // SAFETY: the caller is the only one to look at the cell now.
        unsafe { (*self.0.get()).write(value) };
    }

    /// # Safety
    /// After `set`, with the GIL held. The pointer may be written through only by its one owner module.
    #[inline(always)]
    pub unsafe fn get(&self) -> *mut T {
        // SAFETY: initialised, says the caller.
        unsafe { (*self.0.get()).as_mut_ptr() }
    }
}

/// The bytes of a compact ASCII `str`, as nearly every key, method and message type is; `None` for anything else.
///
/// # Safety
/// `op` is a live object and outlives the slice.
#[inline(always)]
pub unsafe fn ascii<'a>(op: Obj) -> Option<&'a [u8]> {
    // SAFETY: the type is checked before the layout of a str is relied on; an exact str is never anything but ready.
    unsafe {
        if ffi::PyUnicode_CheckExact(op) == 0 {
            return None;
        }
        #[cfg(not(Py_3_14))]
        {
            if ffi::PyUnicode_IS_COMPACT_ASCII(op) == 0 {
                return None;
            }
            // Data follows the header of a compact ASCII string.
            let data = op.cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
            Some(std::slice::from_raw_parts(data, ffi::PyUnicode_GET_LENGTH(op) as usize))
        }
        #[cfg(Py_3_14)]
        {
            utf8(op)
        }
    }
}

/// The UTF-8 bytes of any `str`; `None` (and no exception set) for other types and for lone surrogates.
///
/// # Safety
/// As [`ascii`]; no exception may be pending.
pub unsafe fn utf8<'a>(op: Obj) -> Option<&'a [u8]> {
    // SAFETY: the type is checked; the buffer belongs to the string.
    unsafe {
        if ffi::PyUnicode_Check(op) == 0 {
            return None;
        }
        let mut size = 0;
        let data = ffi::PyUnicode_AsUTF8AndSize(op, &raw mut size);
        if data.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        Some(std::slice::from_raw_parts(data.cast(), size as usize))
    }
}

/// The bytes of a `bytes` object.
///
/// # Safety
/// `op` is a live object and outlives the slice.
#[inline(always)]
pub unsafe fn bytes<'a>(op: Obj) -> Option<&'a [u8]> {
    // SAFETY: the type is checked first.
    unsafe {
        if ffi::PyBytes_Check(op) == 0 {
            return None;
        }
        let data = ffi::PyBytes_AS_STRING(op).cast();
        Some(std::slice::from_raw_parts(data, ffi::Py_SIZE(op) as usize))
    }
}

/// Call `callable` as `PyObject_Vectorcall` does, but without its look-up of the thread state and its check of the
/// result, which the interpreter repeats on ours.
///
/// # Safety
/// The vectorcall protocol: `args` holds the arguments, `args[-1]` is free if the flag in `nargsf` says so.
#[inline(always)]
pub unsafe fn vectorcall(callable: Obj, args: *const Obj, nargsf: usize, kwnames: Obj) -> Obj {
    // SAFETY: the flag says that an offset to a function pointer is there.
    unsafe {
        let kind = ffi::Py_TYPE(callable);
        if ffi::PyType_HasFeature(kind, ffi::Py_TPFLAGS_HAVE_VECTORCALL) != 0 {
            let slot = callable.byte_offset((*kind).tp_vectorcall_offset);
            if let Some(function) = *slot.cast::<Option<ffi::vectorcallfunc>>() {
                return function(callable, args, nargsf, kwnames);
            }
        }
        ffi::PyObject_Vectorcall(callable, args, nargsf, kwnames)
    }
}

/// Take the pointer out of `slot` and give its reference back, which may run any Python code.
///
/// # Safety
/// `slot` holds null or an owned reference, and is consistent before the call.
#[inline(always)]
pub unsafe fn clear(slot: &mut Obj) {
    let old = std::mem::replace(slot, null_mut());
    // SAFETY: the slot owned it.
    unsafe { ffi::Py_XDECREF(old) };
}

/// A new reference to `op`.
///
/// # Safety
/// `op` is live.
#[inline(always)]
pub unsafe fn owned(op: Obj) -> Obj {
    // SAFETY: live, says the caller.
    unsafe { ffi::Py_INCREF(op) };
    op
}

/// The exception that was pending, set aside while other Python code runs.
pub struct Pending(Obj);

impl Pending {
    /// # Safety
    /// With the GIL held; pair with [`Pending::restore`].
    pub unsafe fn take() -> Self {
        #[cfg(Py_3_12)]
        // SAFETY: the GIL is held.
        unsafe {
            Self(ffi::PyErr_GetRaisedException())
        }
        #[cfg(not(Py_3_12))]
        // SAFETY: the GIL is held; a normalised exception carries its own type and traceback.
        unsafe {
            let (mut kind, mut value, mut trace) = (null_mut(), null_mut(), null_mut());
            ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut trace);
            if kind.is_null() {
                return Self(null_mut());
            }
            ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut trace);
            if !trace.is_null() {
                ffi::PyException_SetTraceback(value, trace);
                ffi::Py_DECREF(trace);
            }
            ffi::Py_DECREF(kind);
            Self(value)
        }
    }

    /// The exception itself, borrowed; null when none was pending.
    pub fn value(&self) -> Obj {
        self.0
    }

    /// # Safety
    /// With the GIL held.
    pub unsafe fn restore(self) {
        if self.0.is_null() {
            return;
        }
        #[cfg(Py_3_12)]
        // SAFETY: the reference is ours and goes back to the interpreter.
        unsafe {
            ffi::PyErr_SetRaisedException(self.0);
        }
        #[cfg(not(Py_3_12))]
        // SAFETY: the GIL is held and the exception is owned, which the call takes; type and traceback are read from it and owned by the call.
        unsafe {
            let kind = owned(ffi::Py_TYPE(self.0).cast());
            let trace = ffi::PyException_GetTraceback(self.0);
            ffi::PyErr_Restore(kind, self.0, trace);
        }
    }
}

/// A read-only member that tells Python where something lies in an object (`__vectorcalloffset__` and the like).
pub fn member(name: &'static std::ffi::CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    }
}

/// What ends a list of members.
pub const NO_MEMBER: ffi::PyMemberDef =
    ffi::PyMemberDef { name: std::ptr::null(), type_code: 0, offset: 0, flags: 0, doc: std::ptr::null() };

/// A heap type for objects laid out as `T`.
///
/// # Safety
/// The slots fit `T`; the lists they point to live until this returns, names and docs for ever.
pub unsafe fn make_type<T>(
    module: &Bound<'_, PyModule>,
    name: &'static std::ffi::CStr,
    flags: std::ffi::c_ulong,
    slots: &mut [ffi::PyType_Slot],
) -> PyResult<*mut ffi::PyTypeObject> {
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: size_of::<T>() as i32,
        itemsize: 0,
        flags: flags as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: as the caller says.
    let kind = unsafe { ffi::PyType_FromSpec(&raw mut spec) };
    if kind.is_null() {
        return Err(PyErr::fetch(module.py()));
    }
    Ok(kind.cast())
}
