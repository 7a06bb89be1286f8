//! The native ASGI middleware. The road of one request:
//!
//! 1. [`entry`] is called by the server: it reads the scope's type, and makes a [`Request`];
//! 2. [`drive`]: the server awaits that object, which starts the inner application and hands itself over as
//!    `receive` and `send`;
//! 3. [`face`]: called with a message it is `send`, called with nothing it is `receive`; [`message`] reads what passes;
//! 4. [`finish`]: the inner application has ended; the scope now tells the route, and the cells are counted up.
//!
//! No Python frame runs on this road, nothing is allocated (requests come from a free list), no string is hashed.
//!
//! # Panics
//! A panic must not cross into the interpreter, and `extern "C"` makes it an abort. The slots themselves only check
//! types, compare bytes and follow pointers; nothing there can panic. Everything that can (making series, asking the
//! resolver, request ids, recording into cells) runs inside [`guard::shield`].

#[cfg(target_os = "linux")]
mod access_line;
mod awaitable;
mod dict;
mod drive;
mod ending;
mod entry;
mod face;
mod ffi;
mod finish;
mod guard;
mod keys;
mod literal;
mod message;
mod object;
mod receive;
mod request;
mod request_id;
mod request_type;
mod scope;
mod socket;
#[cfg(target_os = "linux")]
mod trace;

pub use dict::lookup;
pub use ffi::Obj;
pub use keys::keys;
pub use scope::{header, METHODS};

use pyo3::prelude::*;

/// Adds the raw types to the module.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // SAFETY: called once, at import, with the GIL held.
    unsafe {
        if keys::install().is_none() {
            return Err(PyErr::fetch(module.py()));
        }
        receive::install(module)?;
        request_type::install(module)?;
    }
    module.add_function(wrap_pyfunction!(dict::private_dict_layout, module)?)?;
    request_id::install(module)?;
    entry::install(module)
}
