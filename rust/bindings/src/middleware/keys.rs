//! Dictionary keys, interned once at import. Application code spells them as literals, which the compiler interns
//! too, so comparing pointers nearly always suffices.

use super::dict::{check, Key};
use super::ffi::{Global, Obj};
use pyo3::ffi;
use std::ffi::CStr;

macro_rules! keys {
    ($($name:ident = $text:literal,)*) => {
        /// The keys.
        #[repr(C)]
        pub struct Keys {
            /// The integer 200, which like all small ones exists once.
            pub ok: Obj,
            $(pub $name: Key,)*
        }

        impl Keys {
            /// # Safety
            /// With the GIL held.
            unsafe fn new() -> Option<Self> {
                // SAFETY: the GIL is held.
                Some(unsafe { Self { $($name: intern($text)?,)* ok: ffi::PyLong_FromLong(200) } })
            }

            fn all(&self) -> Vec<&Key> {
                vec![$(&self.$name,)*]
            }
        }
    };
}

// Those that every request needs come first, to share a cache line or two.
keys! {
    kind = c"type",
    method = c"method",
    route = c"route",
    status = c"status",
    body = c"body",
    client = c"client",
    close = c"close",
    context = c"effective_route_context",
    endpoint = c"endpoint",
    fastapi = c"fastapi",
    headers = c"headers",
    http_version = c"http_version",
    more_body = c"more_body",
    path = c"path",
    query_string = c"query_string",
    root_path = c"root_path",
    scheme = c"scheme",
    server = c"server",
    state = c"state",
    throw = c"throw",
}

static KEYS: Global<Keys> = Global::new();

unsafe fn intern(text: &CStr) -> Option<Key> {
    // SAFETY: the GIL is held, says the caller.
    unsafe {
        let key = ffi::PyUnicode_InternFromString(text.as_ptr());
        (!key.is_null()).then(|| Key::new(key))
    }
}

/// Makes the keys; `None` with an exception set when memory is gone.
///
/// # Safety
/// At import, with the GIL held.
pub unsafe fn install() -> Option<()> {
    // SAFETY: at import, says the caller.
    unsafe {
        KEYS.set(Keys::new()?);
        check(&keys().all());
    }
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
