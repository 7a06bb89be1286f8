//! What Python code calls on a span.

use super::core::{End, ERROR, OK, UNSET};
use super::ready::Ready;
use super::span::{parent, Span};
use super::tracer::{buffer, give_back};
use super::value;
use crate::logs::value::{text_of, with_utf8};
use crate::thread_exit::protect;
use ferrometer_traces::ids::hex;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};

#[pymethods]
impl Span {
    /// Begins it and makes it the present span.
    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        Span::enter(&slf);
        slf
    }

    /// Ends it; an exception is told, and goes on.
    fn __exit__(&self, py: Python<'_>, _kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        self.leave(py, Some(error).filter(|error| !error.is_none()));
    }

    fn __aenter__(slf: Bound<'_, Self>) -> Ready {
        Span::enter(&slf);
        Ready(Some(slf.into_any().unbind()))
    }

    fn __aexit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> Ready {
        self.leave(py, Some(error).filter(|error| !error.is_none()));
        Ready(None)
    }

    /// As a decorator: each call of the function, also of a coroutine function or a generator function, is such a span.
    fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        protect();
        let py = slf.py();
        if !function.is_callable() {
            let text = format!("a span decorates a function, not {}", function.get_type().name()?);
            return Err(PyTypeError::new_err(text));
        }
        let module = py.import(crate::once::interned!(py, "ferrometer.tracing.decorate"))?;
        module.call_method1(crate::once::interned!(py, "decorated"), (slf, function))
    }

    /// Another span with the same name and attributes, that has not begun.
    fn again(&self, py: Python<'_>) -> Self {
        Span::of(self.given.copy(py))
    }

    /// Begins it, and leaves the present span as it is.
    fn start(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        protect();
        let py = slf.py();
        if slf.get().recording(|_| ()).is_none() {
            slf.get().begin(py, parent(py), 1, None);
        }
        slf
    }

    /// Ends it, now or at nanoseconds since 1970. A second end does nothing.
    #[pyo3(signature = (end_ns=None))]
    fn end(&self, py: Python<'_>, end_ns: Option<u64>) {
        protect();
        self.finish(py, end_ns.map_or(End::Now, End::At));
    }

    /// Tells that an exception left it: an event, and the status. What is no `Exception` says nothing.
    fn record_failure(&self, py: Python<'_>, error: &Bound<'_, PyAny>) {
        protect();
        self.fail(py, error);
    }

    /// Sets an attribute, in place of one of the same name.
    fn set_attribute(&self, py: Python<'_>, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
        protect();
        let Some(tracer) = self.tracer() else { return };
        let name = name.cast::<PyString>().map_or_else(|_| text_of(name), Clone::clone);
        with_utf8(&name, |name| {
            let mut written = buffer(py);
            // Telling the value may run Python, so the span is looked at again afterwards.
            if value::written(&mut written, &tracer, name, value) {
                self.recording(|recording| recording.set(name, &written));
            }
            give_back(py, written);
        });
    }

    /// Sets attributes by name.
    #[pyo3(signature = (**attributes))]
    fn set(&self, py: Python<'_>, attributes: Option<&Bound<'_, PyDict>>) {
        for (name, value) in attributes.into_iter().flat_map(|attributes| attributes.iter().collect::<Vec<_>>()) {
            self.set_attribute(py, &name, &value);
        }
    }

    /// Adds an event. Attributes that are no mapping are left out, and counted.
    #[pyo3(signature = (name, attributes=None, time_ns=None))]
    fn add_event(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        time_ns: Option<u64>,
    ) {
        protect();
        let Some(tracer) = self.tracer() else { return };
        let pairs = value::pairs(py, &tracer, tracer.limits.event_attributes, attributes);
        let name = name.cast::<PyString>().map_or_else(|_| text_of(name), Clone::clone);
        with_utf8(&name, |name| self.recording(|recording| recording.add_event(time_ns, name, &pairs)));
        give_back(py, pairs.into_bytes());
    }

    /// Adds a link to another span.
    #[pyo3(signature = (span, attributes=None))]
    pub fn add_link(&self, py: Python<'_>, span: &Bound<'_, Span>, attributes: Option<&Bound<'_, PyAny>>) {
        protect();
        let (Some(tracer), Some(to)) = (self.tracer(), span.get().as_parent()) else { return };
        let pairs = value::pairs(py, &tracer, tracer.limits.link_attributes, attributes);
        self.recording(|recording| recording.add_link(&to.place, &pairs));
        give_back(py, pairs.into_bytes());
    }

    /// Adds an event for an exception; the status stays as it is.
    #[pyo3(signature = (error, attributes=None))]
    fn record_exception(&self, py: Python<'_>, error: &Bound<'_, PyAny>, attributes: Option<&Bound<'_, PyAny>>) {
        protect();
        let Some(tracer) = self.tracer() else { return };
        let pairs = value::exception(py, &tracer, error, attributes);
        self.recording(|recording| recording.add_event(None, b"exception", &pairs));
        give_back(py, pairs.into_bytes());
    }

    /// Sets the status: `ok`, which is final, or `error`, with a description. Raises `ValueError` for another word.
    #[pyo3(signature = (status, description=None))]
    fn set_status(&self, status: &str, description: Option<&str>) -> PyResult<()> {
        let status = match status {
            "unset" => UNSET,
            "ok" => OK,
            "error" => ERROR,
            other => {
                return Err(PyValueError::new_err(format!("status must be 'ok', 'error' or 'unset', not {other:?}")))
            }
        };
        self.recording(|recording| recording.set_status(status, description.unwrap_or_default().as_bytes()));
        Ok(())
    }

    /// Gives it another name.
    fn update_name(&self, name: Bound<'_, PyString>) {
        protect();
        // SAFETY: the GIL is held. What is taken out is a string, or one of its subclasses, and dropped outside.
        let old = unsafe { self.state.with(|state| state.name.replace(name.unbind())) };
        drop(old);
    }

    /// Whether what is told it now will be seen.
    #[getter]
    fn is_recording(&self) -> bool {
        self.recording(|_| ()).is_some()
    }

    /// Whether its trace is recorded.
    #[getter]
    fn is_sampled(&self) -> bool {
        self.as_parent().is_some_and(|parent| parent.place.context.is_sampled())
    }

    /// Whether it is a span of another process.
    #[getter]
    fn is_remote(&self) -> bool {
        self.as_parent().is_some_and(|parent| parent.is_remote)
    }

    /// 32 hexadecimal digits; None before it begins.
    #[getter]
    fn trace_id(&self) -> Option<String> {
        self.as_parent().map(|parent| hex(&parent.place.context.trace_id))
    }

    /// 16 hexadecimal digits; None before it begins.
    #[getter]
    fn span_id(&self) -> Option<String> {
        self.as_parent().map(|parent| hex(&parent.place.context.span_id))
    }

    /// What it is called.
    #[getter(name)]
    fn shown_name<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        self.name(py)
    }

    /// What other tracing systems said, as the header has it; empty for nothing.
    #[getter]
    fn tracestate(&self) -> String {
        let place = self.as_parent().map(|parent| parent.place);
        place.and_then(|place| place.tracestate).map_or_else(String::new, |state| (*state).to_owned())
    }

    /// The header `traceparent` for a service that this span calls; None before it begins.
    #[getter]
    fn traceparent(&self) -> Option<String> {
        let header = self.as_parent()?.place.context.header();
        Some(header.iter().map(|&byte| char::from(byte)).collect())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = match (self.as_parent(), self.is_recording()) {
            (None, _) => "not begun".to_owned(),
            (Some(_), true) => format!("recording, {}", self.traceparent().unwrap_or_default()),
            (Some(_), false) => format!("not recording, {}", self.traceparent().unwrap_or_default()),
        };
        format!("<ferrometer span {:?}, {state}>", self.name(py).to_string_lossy())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for value in &self.given.values {
            visit.call(value)?;
        }
        // SAFETY: the garbage collector holds the GIL; nothing is changed.
        if let Some(token) = unsafe { &self.state.peek().token } {
            visit.call(token)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        // SAFETY: the GIL is held; the token is dropped outside.
        let token = unsafe { self.state.with(|state| state.token.take()) };
        drop(token);
    }
}
