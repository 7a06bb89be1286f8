//! Dictionary keys, interned once at import. Application code spells them as literals, which the compiler interns
//! too, so comparing pointers nearly always suffices.

use super::ffi::{Global, Obj};
use pyo3::ffi;
use std::ffi::CStr;

macro_rules! keys {
    ($($name:ident = $text:literal,)*) => {
        /// The keys; each an owned, interned `str`.
        pub struct Keys {
            $(pub $name: Obj,)*
        }

        impl Keys {
            /// # Safety
            /// With the GIL held.
            unsafe fn new() -> Option<Self> {
                // SAFETY: the GIL is held.
                Some(unsafe { Self { $($name: intern($text)?,)* } })
            }
        }
    };
}

keys! {
    body = c"body",
    close = c"close",
    context = c"effective_route_context",
    endpoint = c"endpoint",
    fastapi = c"fastapi",
    headers = c"headers",
    method = c"method",
    more_body = c"more_body",
    path = c"path",
    root_path = c"root_path",
    route = c"route",
    status = c"status",
    throw = c"throw",
    kind = c"type",
}

static KEYS: Global<Keys> = Global::new();

unsafe fn intern(text: &CStr) -> Option<Obj> {
    // SAFETY: the GIL is held, says the caller.
    let key = unsafe { ffi::PyUnicode_InternFromString(text.as_ptr()) };
    (!key.is_null()).then_some(key)
}

/// Makes the keys; `None` with an exception set when memory is gone.
///
/// # Safety
/// At import, with the GIL held.
pub unsafe fn install() -> Option<()> {
    // SAFETY: at import, says the caller.
    unsafe { KEYS.set(Keys::new()?) };
    Some(())
}

/// The keys.
///
/// # Safety
/// After [`install`], with the GIL held.
#[inline(always)]
pub unsafe fn keys() -> &'static Keys {
    // SAFETY: set at import and never changed.
    unsafe { &*KEYS.get() }
}
