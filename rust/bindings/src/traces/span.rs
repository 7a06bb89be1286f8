//! `ferrometer.span(...)`: the Python object of a span. It begins with `with`, `async with`, a decorated function, or
//! `start()`.

use super::core::{place, End, Parent, Place, Recording, ERROR, KINDS, OK, UNSET};
use super::tracer::{buffer, give_back, tracer, Tracer};
use super::{current, value};
use crate::gil::GilCell;
use crate::logs::value::{text_of, with_utf8};
use crate::thread_exit::protect;
use ferrometer_traces::context::{Context, SAMPLED};
use ferrometer_traces::ids::{hex, read_hex};
use ferrometer_traces::tracestate;
use ferrometer_traces::write::Pairs;
use pyo3::exceptions::{PyException, PyStopIteration, PyTypeError, PyValueError};
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use std::ptr::null_mut;
use std::sync::Arc;

/// What a span was made with.
struct Given {
    name: Py<PyString>,
    /// The names of its attributes.
    names: Option<Py<PyTuple>>,
    values: Vec<Py<PyAny>>,
}

impl Given {
    fn copy(&self, py: Python<'_>) -> Self {
        Given {
            name: self.name.clone_ref(py),
            names: self.names.as_ref().map(|names| names.clone_ref(py)),
            values: self.values.iter().map(|value| value.clone_ref(py)).collect(),
        }
    }
}

/// What changes in a span's life.
#[derive(Default)]
struct State {
    place: Place,
    /// Whether the place is that of another process.
    is_remote: bool,
    /// From its beginning to its end, if it is recorded.
    recording: Option<Box<Recording>>,
    /// Entered and not left.
    depth: u32,
    /// What undoes the entering.
    token: Option<Py<PyAny>>,
    /// In place of the name it was made with.
    name: Option<Py<PyString>>,
}

/// A span of a trace. All its methods do nothing once it has ended, and where it is not recorded.
#[pyclass(frozen, weakref, freelist = 64, module = "ferrometer._core")]
pub struct Span {
    given: Given,
    state: GilCell<State>,
}

impl Span {
    fn of(given: Given) -> Self {
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
    fn recording<R>(&self, work: impl FnOnce(&mut Recording) -> R) -> Option<R> {
        // SAFETY: the GIL is held, and `work` runs no Python, say the callers.
        unsafe { self.state.with(|state| state.recording.as_deref_mut().map(work)) }
    }

    fn tracer(&self) -> Option<Arc<Tracer>> {
        self.recording(|recording| recording.tracer.clone())
    }

    fn begin(&self, py: Python<'_>, parent: Option<Parent>, kind: u8, start_ns: Option<u64>) {
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

    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        // SAFETY: the GIL is held; a reference is taken.
        let other = unsafe { self.state.peek().name.as_ref().map(|name| name.clone_ref(py)) };
        other.unwrap_or_else(|| self.given.name.clone_ref(py)).into_bound(py)
    }

    fn finish(&self, py: Python<'_>, ended: End) {
        if let Some((recording, place)) = self.take(py) {
            with_utf8(&self.name(py), |name| recording.end(py, &place, name, ended));
        }
    }

    fn enter(slf: &Bound<'_, Self>) {
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

    fn leave(&self, py: Python<'_>, error: Option<&Bound<'_, PyAny>>) {
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
    fn fail(&self, py: Python<'_>, error: &Bound<'_, PyAny>) {
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
    fn add_link(&self, py: Python<'_>, span: &Bound<'_, Span>, attributes: Option<&Bound<'_, PyAny>>) {
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

/// An awaitable whose value is there.
#[pyclass(module = "ferrometer._core")]
pub struct Ready(Option<Py<PyAny>>);

#[pymethods]
impl Ready {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&mut self) -> PyResult<Option<Py<PyAny>>> {
        // Without a value the iterator just ends: the await is None.
        self.0.take().map_or(Ok(None), |value| Err(PyStopIteration::new_err((value,))))
    }
}

/// `span(name, /, **attributes)`
unsafe extern "C" fn span(
    _: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls this with the GIL held, and with `args` heading as many objects as `nargs` and `names` say.
    unsafe {
        let py = Python::assume_attached();
        let made = if nargs == 1 && ffi::PyUnicode_Check(*args) != 0 {
            let count = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) as usize };
            let given = Given {
                name: Bound::from_borrowed_ptr(py, *args).cast_into_unchecked::<PyString>().unbind(),
                names: (count > 0)
                    .then(|| Bound::from_borrowed_ptr(py, names).cast_into_unchecked::<PyTuple>().unbind()),
                values: (0..count).map(|at| Bound::from_borrowed_ptr(py, *args.add(1 + at)).unbind()).collect(),
            };
            Bound::new(py, Span::of(given))
        } else {
            Err(PyTypeError::new_err("span() takes a name, which is a string, and attributes by name"))
        };
        match made {
            Ok(span) => span.into_ptr(),
            Err(error) => {
                error.restore(py);
                null_mut()
            }
        }
    }
}

const SPAN_DOC: &std::ffi::CStr = c"span(name, /, **attributes)\n--\n\nA span that begins with `with`, `async with`, the call of a function that it decorates, or `start()`.";

/// Adds the function.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // The function refers to its definition for ever.
    let definition: *mut ffi::PyMethodDef = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: c"span".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: span },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: SPAN_DOC.as_ptr(),
    }));
    let name = PyString::new(module.py(), "ferrometer._core");
    // SAFETY: a definition that lives for ever, and the name of a module; the result is a new reference, or null.
    let function = unsafe {
        Bound::from_owned_ptr_or_err(module.py(), ffi::PyCFunction_NewEx(definition, null_mut(), name.as_ptr()))?
    };
    module.add("span", function)
}

/// A span that is linked to, and attributes of the link.
type Linked<'py> = (Bound<'py, Span>, Option<Bound<'py, PyAny>>);

/// Makes a span and begins it. `kind`: internal, server, client, producer, consumer. `parent`: a span; without it, the
/// present one. `is_root`: it begins a trace. `scope`: the library that makes it, and its version. Raises
/// `ValueError` for an unknown kind.
#[pyfunction]
#[pyo3(signature = (name, kind="internal", *, parent=None, is_root=false, attributes=None, start_ns=None, links=None, scope=None))]
#[expect(clippy::too_many_arguments, reason = "they are the keyword arguments of the Python function")]
pub fn start_span<'py>(
    py: Python<'py>,
    name: Bound<'py, PyString>,
    kind: &str,
    parent: Option<&Bound<'py, Span>>,
    is_root: bool,
    attributes: Option<&Bound<'py, PyAny>>,
    start_ns: Option<u64>,
    links: Option<Vec<Linked<'py>>>,
    scope: Option<(String, String)>,
) -> PyResult<Bound<'py, Span>> {
    protect();
    let number = KINDS
        .iter()
        .position(|&known| known == kind)
        .ok_or_else(|| PyValueError::new_err(format!("kind must be one of {}, not {kind:?}", KINDS.join(", "))))?;
    let parent = match parent {
        _ if is_root => None,
        None => self::parent(py),
        Some(parent) => parent.get().as_parent(),
    };
    let span = Bound::new(py, Span::of(Given { name: name.unbind(), names: None, values: Vec::new() }))?;
    span.get().begin(py, parent, number as u8 + 1, start_ns);
    if let Some(tracer) = span.get().tracer() {
        let mut pairs = Pairs::within(buffer(py));
        if let Some(attributes) = attributes.filter(|attributes| !attributes.is_none()) {
            value::set_all(&mut pairs, &tracer, tracer.limits.attributes, attributes);
        }
        let old = span.get().recording(|recording| {
            recording.scope = scope.map(Box::new);
            std::mem::replace(&mut recording.attributes, pairs)
        });
        if let Some(old) = old {
            give_back(py, old.into_bytes());
        }
        for (to, attributes) in links.into_iter().flatten() {
            span.get().add_link(py, &to, attributes.as_ref());
        }
    }
    Ok(span)
}

/// A span of another process, by its ids in hexadecimal digits; None when they are none.
#[pyfunction]
#[pyo3(signature = (trace_id, span_id, is_sampled=true, tracestate="", is_remote=true))]
pub fn span_elsewhere<'py>(
    py: Python<'py>,
    trace_id: &str,
    span_id: &str,
    is_sampled: bool,
    tracestate: &str,
    is_remote: bool,
) -> PyResult<Option<Bound<'py, Span>>> {
    let mut context = Context { flags: if is_sampled { SAMPLED } else { 0 }, ..Context::default() };
    let is_read =
        read_hex(trace_id.as_bytes(), &mut context.trace_id) && read_hex(span_id.as_bytes(), &mut context.span_id);
    if !is_read || !context.is_valid() {
        return Ok(None);
    }
    let tracestate = tracestate::parse(tracestate.as_bytes()).filter(|state| !state.is_empty()).map(Arc::from);
    Bound::new(py, Span::elsewhere(py, Place { context, tracestate }, is_remote)).map(Some)
}
