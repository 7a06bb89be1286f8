//! A value that the first use makes, and that no fork can find half made.
//!
//! `PyOnceLock` and `intern!` of PyO3 give up the GIL while they are about to make their value, so another
//! thread can fork then; its child waits for ever for a thread that it does not have. Here the value is
//! made first and stored afterwards, in one step under the GIL, which a thread that forks has too. Two
//! threads may both make it: the first to store its value wins.

use std::convert::Infallible;
use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// A value made at its first use.
pub struct Once<T>(OnceLock<T>);

impl<T> Once<T> {
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The value, if it has been made.
    #[inline]
    pub fn get(&self, _py: Python<'_>) -> Option<&T> {
        self.0.get()
    }

    /// Stores a value, unless there is one.
    pub fn set(&self, _py: Python<'_>, value: T) {
        // A second value is as good as the first, and is dropped.
        let _ = self.0.set(value);
    }

    /// The value, which `make` makes where there is none.
    #[inline]
    pub fn get_or_try_make<E>(&self, py: Python<'_>, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.0.get() {
            return Ok(value);
        }
        let value = make()?;
        self.set(py, value);
        Ok(self.0.get().expect("a value was stored above, and none is ever taken out"))
    }
}

/// A Python string made at its first use; see [`interned!`].
pub struct Interned(&'static str, Once<Py<PyString>>);

impl Interned {
    pub const fn new(text: &'static str) -> Self {
        Self(text, Once::new())
    }

    #[inline]
    pub fn get<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        let made: Result<_, Infallible> = self.1.get_or_try_make(py, || Ok(PyString::intern(py, self.0).unbind()));
        let Ok(text) = made;
        text.bind(py)
    }
}

/// The interned Python string of a literal, made once.
macro_rules! interned {
    ($py:expr, $text:expr) => {{
        static INTERNED: $crate::once::Interned = $crate::once::Interned::new($text);
        INTERNED.get($py)
    }};
}

pub(crate) use interned;
