//! How the application of a request ended, and the status that stands for it.

use super::ffi::Obj;
use super::request::{Request, COMPLETE, DISCONNECTED};
use pyo3::ffi;

/// What a server answers for an application that does not.
const FAILED: u16 = 500;
/// What nginx writes into its log when the client has gone before any answer. No client ever sees it.
const CLIENT_GONE: u16 = 499;

/// How the application ended.
#[derive(Clone)]
pub enum Ending {
    /// It returned.
    Returned,
    /// An exception of this type left it.
    Raised(String),
    /// An exception left it that only says that the client has gone.
    Disconnected,
    /// It was cancelled, closed, or never gone on with.
    Cancelled,
}

/// What an exception means.
///
/// # Safety
/// `request` is live; `exception` is null or live.
pub unsafe fn judge(request: *mut Request, exception: Obj) -> Ending {
    // SAFETY: the exception is live, and a type's name lives as long as the type.
    unsafe {
        if exception.is_null() {
            return Ending::Raised("SystemError".into());
        }
        let kind = ffi::Py_TYPE(exception);
        let full = std::ffi::CStr::from_ptr((*kind).tp_name).to_string_lossy();
        let name = full.rsplit('.').next().unwrap_or(&full).to_owned();
        let is = |base: *mut ffi::PyTypeObject| ffi::PyType_IsSubtype(kind, base) != 0;
        match name.as_str() {
            // Cancellation by asyncio, uvloop and trio. Only these two of that name derive from no Exception.
            "CancelledError" | "Cancelled" if !is(ffi::PyExc_Exception.cast()) => Ending::Cancelled,
            "GeneratorExit" if is(ffi::PyExc_GeneratorExit.cast()) => Ending::Cancelled,
            // What Starlette and uvicorn raise for it.
            "ClientDisconnect" | "ClientDisconnected" | "WebSocketDisconnect" => Ending::Disconnected,
            // ASGI 2.4 lets `send` raise any OSError for it; others are the application's own.
            _ if (*request).has(DISCONNECTED) && is(ffi::PyExc_OSError.cast()) => Ending::Disconnected,
            _ => Ending::Raised(name),
        }
    }
}

/// The status that the client saw, or that a server sends for an application that sent none.
pub fn status(request: &Request, ending: &Ending) -> u16 {
    match ending {
        // A response that went out whole keeps its status, whatever happened afterwards.
        _ if request.status != 0 && request.has(COMPLETE) => request.status,
        Ending::Returned if request.status != 0 => request.status,
        Ending::Returned if !request.has(DISCONNECTED) => FAILED,
        Ending::Raised(_) => FAILED,
        _ if request.status != 0 => request.status,
        _ => CLIENT_GONE,
    }
}
