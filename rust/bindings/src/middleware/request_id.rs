//! Request ids: taken from the request or made here, kept in a context variable while the request runs, and put into
//! the response's headers. Off unless asked for.

use super::dict::lookup;
use super::ffi::{ascii, clear, owned, Global, Obj, Pending};
use super::guard::shield;
use super::keys::keys;
use super::request::Request;
use super::scope::{header, items};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ptr::null_mut;

/// Longer ids than this are replaced, and so are those with anything but visible ASCII: they go into logs.
const LONGEST: usize = 128;

struct Ids {
    /// The `ContextVar`.
    variable: Obj,
    /// `b"x-request-id"`
    name: Obj,
    /// The state of the generator; all zero when it has no seed, as after a fork.
    state: [u64; 4],
}

static IDS: Global<Ids> = Global::new();

/// Makes the variable.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let name = PyBytes::new(py, b"x-request-id").into_ptr();
    // SAFETY: at import, with the GIL held.
    let variable = unsafe {
        let variable = ffi::PyContextVar_New(c"ferrometer_request_id".as_ptr(), ffi::Py_None());
        let kept = Bound::from_owned_ptr_or_err(py, variable)?;
        IDS.set(Ids { variable, name, state: [0; 4] });
        kept.into_ptr();
        Bound::from_borrowed_ptr(py, variable)
    };
    module.add("request_id_var", variable)?;
    module.add_function(wrap_pyfunction!(new_request_id, module)?)?;
    let os = py.import("os")?;
    if os.hasattr("register_at_fork")? {
        let forget = wrap_pyfunction!(forget_seed, module)?;
        let options = pyo3::types::PyDict::new(py);
        options.set_item("after_in_child", forget)?;
        os.call_method("register_at_fork", (), Some(&options))?;
    }
    Ok(())
}

/// A child process must not repeat its parent's ids.
#[pyfunction]
fn forget_seed() {
    // SAFETY: with the GIL held, after `install`.
    unsafe { (*IDS.get()).state = [0; 4] };
}

/// A fresh request id in the form of a random UUID.
#[pyfunction]
fn new_request_id(py: Python<'_>) -> PyResult<String> {
    let text = fresh(py)?;
    Ok(text.iter().map(|&byte| byte as char).collect())
}

fn seed(py: Python<'_>) -> PyResult<[u64; 4]> {
    let bytes: Vec<u8> = py.import("os")?.call_method1("urandom", (32,))?.extract()?;
    let mut state = [1; 4];
    for (word, bytes) in state.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    Ok(state)
}

/// Thirty-six characters of a version 4 UUID. The numbers are xoshiro256++ (Blackman, Vigna 2019): unique, not secret.
fn fresh(py: Python<'_>) -> PyResult<[u8; 36]> {
    // SAFETY: with the GIL held, after `install`; `seed` runs Python code, so the state is borrowed anew after it.
    let state = unsafe {
        if (*IDS.get()).state == [0; 4] {
            let seed = seed(py)?;
            (*IDS.get()).state = seed;
        }
        &mut (*IDS.get()).state
    };
    let mut next = || {
        let number = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        number
    };
    let high = next() & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    let digits = u128::from(high) << 64 | u128::from(low);
    let mut text = *b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    let mut shift = 128;
    for place in text.iter_mut().filter(|place| **place == b'x') {
        shift -= 4;
        *place = b"0123456789abcdef"[(digits >> shift) as usize & 15];
    }
    Ok(text)
}

fn acceptable(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Finds or makes the id of a request that starts, and sets the variable. On any failure the request has no id.
///
/// # Safety
/// The request has just been started; no exception is pending.
#[cold]
#[inline(never)]
pub unsafe fn begin(request: *mut Request) {
    // SAFETY: the request runs, so its middleware is there.
    let shared = unsafe { &*(*(*request).middleware).instrument().shared };
    let begun = shield(shared, || {
        // SAFETY: the GIL is held; references made here go into the request or are given back.
        unsafe {
            let py = Python::assume_attached();
            let given = header((*request).scope, b"x-request-id").filter(|id| acceptable(id));
            let mut id = match given {
                Some(given) => text(given),
                None => text(&fresh(py)?),
            };
            let token = if id.is_null() { null_mut() } else { ffi::PyContextVar_Set((*IDS.get()).variable, id) };
            if token.is_null() {
                clear(&mut id);
                return Err(PyErr::fetch(py));
            }
            (*request).id = id;
            (*request).token = token;
        }
        Ok(())
    });
    if !matches!(begun, Some(Ok(()))) {
        drop(begun);
        shared.fault("request_id");
    }
}

unsafe fn text(bytes: &[u8]) -> Obj {
    // SAFETY: all bytes are ASCII.
    unsafe { ffi::PyUnicode_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as ffi::Py_ssize_t) }
}

/// Puts the variable back.
///
/// # Safety
/// The request has an id.
#[cold]
#[inline(never)]
pub unsafe fn end(request: *mut Request) {
    // SAFETY: the token is that of our own `PyContextVar_Set`. Where the request ends in another context than it began
    // in, the variable was never set in this one, and the error that says so is dropped.
    unsafe {
        let pending = Pending::take();
        if ffi::PyContextVar_Reset((*IDS.get()).variable, (*request).token) != 0 {
            ffi::PyErr_Clear();
        }
        pending.restore();
        clear(&mut (*request).token);
        clear(&mut (*request).id);
    }
}

/// A copy of a `http.response.start` with the id among its headers; null to send the message as it is, because it has
/// such a header already or because its headers are nothing that could be copied.
///
/// # Safety
/// The request has an id; `message` is a live dict; no exception is pending.
#[cold]
#[inline(never)]
pub unsafe fn announce(request: *mut Request, message: Obj) -> Obj {
    // SAFETY: every reference made here is returned or given back.
    unsafe {
        let keys = keys();
        // Going through strange headers runs Python code, which can change the message and end the request.
        let mut id = owned((*request).id);
        let mut given = lookup(message, &keys.headers);
        ffi::Py_XINCREF(given);
        let mut headers = if given.is_null() { ffi::PyList_New(0) } else { ffi::PySequence_List(given) };
        let mut copy = null_mut();
        if !headers.is_null() && !has_id(headers) && append(headers, id) {
            copy = ffi::PyDict_Copy(message);
            if !copy.is_null() && ffi::PyDict_SetItem(copy, keys.headers.object, headers) != 0 {
                clear(&mut copy);
            }
        }
        if copy.is_null() {
            ffi::PyErr_Clear();
        }
        clear(&mut headers);
        clear(&mut given);
        clear(&mut id);
        copy
    }
}

unsafe fn has_id(headers: Obj) -> bool {
    // SAFETY: a list of our own; items are checked before their layout is used.
    unsafe {
        items(headers).unwrap_or_default().iter().any(|&pair| {
            let name = items(pair).and_then(|pair| super::ffi::bytes(*pair.first()?));
            name.is_some_and(|name| name.eq_ignore_ascii_case(b"x-request-id"))
        })
    }
}

unsafe fn append(headers: Obj, id: Obj) -> bool {
    // SAFETY: `headers` is a list of ours and `id` a str; every reference made here is given back, and `PyTuple_Pack` takes its own.
    unsafe {
        let id = ascii(id).unwrap_or_default();
        let mut value = ffi::PyBytes_FromStringAndSize(id.as_ptr().cast(), id.len() as ffi::Py_ssize_t);
        if value.is_null() {
            return false;
        }
        let mut pair = ffi::PyTuple_Pack(2, owned((*IDS.get()).name), value);
        ffi::Py_DECREF((*IDS.get()).name);
        clear(&mut value);
        let done = !pair.is_null() && ffi::PyList_Append(headers, pair) == 0;
        clear(&mut pair);
        done
    }
}
