//! `ferrometer.span(...)`: the Python object of a span. It begins with `with`, `async with`, a decorated function, or
//! `start()`.

use super::core::{place, End, Parent, Place, Recording, ERROR};
use super::tracer::{give_back, tracer, Tracer};
use super::{current, value};
use crate::gil::GilCell;
use crate::logs::value::{text_of, with_utf8};
use crate::thread_exit::protect;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::sync::Arc;

/// What a span was made with.
pub struct Given {
    pub name: Py<PyString>,
    /// The names of its attributes.
    pub names: Option<Py<PyTuple>>,
    pub values: Vec<Py<PyAny>>,
}

impl Given {
    pub fn copy(&self, py: Python<'_>) -> Self {
        Given {
            name: self.name.clone_ref(py),
            names: self.names.as_ref().map(|names| names.clone_ref(py)),
            values: self.values.iter().map(|value| value.clone_ref(py)).collect(),
        }
    }
}

/// What changes in a span's life.
#[derive(Default)]
pub(super) struct State {
    place: Place,
    /// Whether the place is that of another process.
    is_remote: bool,
    /// From its beginning to its end, if it is recorded.
    recording: Option<Box<Recording>>,
    /// Entered and not left.
    depth: u32,
    /// What undoes the entering.
    pub(super) token: Option<Py<PyAny>>,
    /// In place of the name it was made with.
    pub(super) name: Option<Py<PyString>>,
}

/// A span of a trace. All its methods do nothing once it has ended, and where it is not recorded.
#[pyclass(frozen, weakref, freelist = 64, module = "ferrometer._core")]
pub struct Span {
    pub(super) given: Given,
    pub(super) state: GilCell<State>,
}

impl Span {
    pub fn of(given: Given) -> Self {
        Span { given, state: GilCell::new(State::default()) }
    }

    /// A span that another process, or nobody, records, at that place.
    pub fn elsewhere(py: Python<'_>, place: Place, is_remote: bool) -> Self {
        let name = crate::once::interned!(py, "").clone().unbind();
        let span = Span::of(Given { name, names: None, values: Vec::new() });
        // SAFETY: the GIL is held; nothing in here runs Python.
        unsafe { span.state.with(|state| (state.place, state.is_remote) = (place, is_remote)) };
        span
    }

    /// A span that is recorded from now on, of an empty name.
    pub fn recorded(py: Python<'_>, place: Place, recording: Recording) -> Self {
        let span = Span::elsewhere(py, place, false);
        // SAFETY: the GIL is held; storing a value runs no Python.
        unsafe { span.state.with(|state| state.recording = Some(Box::new(recording))) };
        span
    }

    /// As the parent of another one; nothing where it has not begun.
    #[inline]
    pub fn as_parent(&self) -> Option<Parent> {
        // SAFETY: the GIL is held; cloning runs no Python.
        let state = unsafe { self.state.peek() };
        let is_there = state.place.context.is_valid();
        is_there.then(|| Parent { place: state.place.clone(), is_remote: state.is_remote })
    }

    /// Takes what is recorded, and its place, for its end.
    pub fn take(&self, _py: Python<'_>) -> Option<(Box<Recording>, Place)> {
        // SAFETY: the GIL is held; moving and cloning run no Python.
        unsafe { self.state.with(|state| state.recording.take().map(|recording| (recording, state.place.clone()))) }
    }

    /// Works on what is recorded; nothing where there is nothing. `work` runs no Python.
    pub fn recording<R>(&self, work: impl FnOnce(&mut Recording) -> R) -> Option<R> {
        // SAFETY: the GIL is held, and `work` runs no Python, say the callers.
        unsafe { self.state.with(|state| state.recording.as_deref_mut().map(work)) }
    }

    pub fn tracer(&self) -> Option<Arc<Tracer>> {
        self.recording(|recording| recording.tracer.clone())
    }

    pub fn begin(&self, py: Python<'_>, parent: Option<Parent>, kind: u8, start_ns: Option<u64>) {
        let Some(tracer) = tracer(py) else { return };
        let (place, is_recorded) = match parent {
            // Nothing of the trace is recorded here: its other spans need no place of their own.
            Some(parent)
                if !parent.is_remote
                    && !tracer.sampler.decide(Some(&parent.place.context), &parent.place.context.trace_id) =>
            {
                (parent.place, None)
            }
            parent => {
                let (place, is_sampled) = place(py, &tracer, parent.as_ref());
                (place, is_sampled.then_some(parent))
            }
        };
        let recording = is_recorded.map(|parent| {
            let mut recording = Box::new(Recording::begin(py, tracer, kind, parent.as_ref(), start_ns));
            self.describe(py, &mut recording);
            recording
        });
        // SAFETY: the GIL is held; what is replaced holds no Python object.
        unsafe {
            self.state.with(|state| {
                state.place = place;
                state.recording = recording;
            });
        }
    }

    /// The attributes that the span was made with.
    fn describe(&self, py: Python<'_>, recording: &mut Recording) {
        let Some(names) = &self.given.names else { return };
        let most = recording.tracer.limits.attributes;
        let tracer = recording.tracer.clone();
        for (name, value) in names.bind(py).iter().zip(&self.given.values) {
            // SAFETY: names of keywords are strings.
            let name = unsafe { name.cast_into_unchecked::<PyString>() };
            value::set(&mut recording.attributes, &tracer, most, &name, value.bind(py), true);
        }
    }

    pub fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        // SAFETY: the GIL is held; a reference is taken.
        let other = unsafe { self.state.peek().name.as_ref().map(|name| name.clone_ref(py)) };
        other.unwrap_or_else(|| self.given.name.clone_ref(py)).into_bound(py)
    }

    pub fn finish(&self, py: Python<'_>, ended: End) {
        if let Some((recording, place)) = self.take(py) {
            with_utf8(&self.name(py), |name| recording.end(py, &place, name, ended));
        }
    }

    pub fn enter(slf: &Bound<'_, Self>) {
        let py = slf.py();
        protect();
        // SAFETY: the GIL is held; a number is counted up.
        let depth = unsafe {
            slf.get().state.with(|state| {
                state.depth += 1;
                state.depth
            })
        };
        if depth > 1 {
            return;
        }
        let around = parent(py);
        let is_open = slf.get().recording(|_| ()).is_some();
        if !is_open {
            slf.get().begin(py, around.clone(), 1, None);
        }
        // SAFETY: the GIL is held; contexts are compared.
        let here = unsafe { slf.get().state.peek().place.context };
        if here.is_valid() && around.is_none_or(|around| around.place.context != here) {
            let token = current::set(py, slf.as_any());
            // SAFETY: the GIL is held; there was no token, so nothing ends here.
            unsafe { slf.get().state.with(|state| state.token = token) };
        }
    }

    /// Makes it the present span, until [`Span::make_past`].
    pub fn make_present(slf: &Bound<'_, Self>) {
        let token = current::set(slf.py(), slf.as_any());
        // SAFETY: the GIL is held; what is replaced is dropped outside.
        let old = unsafe { slf.get().state.with(|state| std::mem::replace(&mut state.token, token)) };
        drop(old);
    }

    /// Undoes it.
    pub fn make_past(slf: &Bound<'_, Self>) {
        // SAFETY: the GIL is held; what is taken is dropped outside.
        if let Some(token) = unsafe { slf.get().state.with(|state| state.token.take()) } {
            current::reset(slf.py(), &token);
        }
    }

    pub fn leave(&self, py: Python<'_>, error: Option<&Bound<'_, PyAny>>) {
        protect();
        // SAFETY: the GIL is held; moving runs no Python.
        let (depth, token) = unsafe {
            self.state.with(|state| {
                state.depth = state.depth.saturating_sub(1);
                (state.depth, if state.depth == 0 { state.token.take() } else { None })
            })
        };
        if depth > 0 {
            return;
        }
        if let Some(error) = error {
            self.fail(py, error);
        }
        self.finish(py, End::Now);
        if let Some(token) = token {
            current::reset(py, &token);
        }
    }

    /// What left it says that it failed; what only ends a task, a generator or the process does not.
    pub fn fail(&self, py: Python<'_>, error: &Bound<'_, PyAny>) {
        if !error.is_instance_of::<PyException>() {
            return;
        }
        let Some(tracer) = self.tracer() else { return };
        let pairs = value::exception(py, &tracer, error, None);
        let (kind, text) = (value::type_name(error), text_of(error));
        let message = format!("{kind}: {}", text.to_string_lossy());
        self.recording(|recording| {
            recording.add_event(None, b"exception", &pairs);
            recording.set_status(ERROR, message.as_bytes());
            recording.set_plain(b"error.type", kind.as_bytes());
        });
        give_back(py, pairs.into_bytes());
    }
}

/// The parent of a span that begins now.
#[inline]
pub fn parent(py: Python<'_>) -> Option<Parent> {
    current::get(py)?.cast::<Span>().ok()?.get().as_parent()
}

/// The span that the running code is in, recorded or not; None outside of all spans.
#[pyfunction]
pub fn current_span(py: Python<'_>) -> Option<Bound<'_, Span>> {
    current::get(py)?.cast_into::<Span>().ok()
}
