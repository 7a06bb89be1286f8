//! One event: a line is written on the caller's thread and put into the ring.

use super::context::{self, LogContext};
use super::{console, level, opentelemetry, redactions, sampling, style, value};
use crate::once::interned;
use crate::thread_exit::protect;
use crate::traces::{span, tracer};
use ferrometer_logs::line::{Line, Style};
use ferrometer_ring::{flags, own as ring, Head, Kind, Level};
use ferrometer_traces::context::Context;
use ferrometer_traces::ids::write_hex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

/// Events that could not be told, whatever the reason.
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Whether the middleware writes a line for each request.
static REQUESTS: AtomicBool = AtomicBool::new(false);

/// Whether the middleware writes a line for each request.
#[inline(always)]
pub fn wants_requests() -> bool {
    REQUESTS.load(Relaxed)
}

/// Whether lines were set up, so that a request's trace is worth a look.
#[inline(always)]
pub fn has_lines() -> bool {
    style::is_configured()
}

/// Whether the application has ended: nobody flushes any more, so each line waits until it has left.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Has each line from now on wait a quarter of a second at most until it has left, or not.
#[pyfunction]
pub fn log_lines_wait(wanted: bool) {
    IS_ENDING.store(wanted, Relaxed);
}

/// Has the middleware write a line for each request from now on, or not.
#[pyfunction]
pub fn log_requests(wanted: bool) {
    REQUESTS.store(wanted, Relaxed);
}

/// What is logged.
pub struct Event<'a, 'py> {
    /// 0 to 4.
    pub level: usize,
    /// The logger's name.
    pub logger: &'a str,
    /// For people.
    pub message: &'a Bound<'py, PyAny>,
    /// The logger's own fields.
    pub bound: Option<&'a LogContext>,
    /// The fields of this event, one by one.
    pub fields: &'a [(Bound<'py, PyString>, Bound<'py, PyAny>)],
    /// The exception, if there is one.
    pub error: Option<Bound<'py, PyAny>>,
    /// Nanoseconds since 1970; None is now.
    pub time_ns: Option<u64>,
    /// Where in a trace it happened; None is where the running code is.
    pub trace: Option<Context>,
}

/// Writes it down. Nothing of it raises into the application.
pub fn emit(py: Python<'_>, event: &Event<'_, '_>) {
    // SAFETY: the GIL is held.
    if !unsafe { ring::takes(Kind::Lines) } && !open_by_default(py) {
        FAILED.fetch_add(1, Relaxed);
        return;
    }
    let time_ns = event.time_ns.unwrap_or_else(ferrometer_ship::time::now_ns);
    // SAFETY: the GIL is held.
    let Some(left_out) = (unsafe { sampling::admit(event.level as u32, event.message, time_ns / 1_000_000_000) })
    else {
        return;
    };
    redactions::begin();
    let style = style::current(py);
    let (mut out, mut group) = style::buffers();
    let mut head = Head { level: Level::of(event.level as u64), time_ns, ..Head::default() };
    let context = context::current(py);
    let context = context.as_ref().map(Bound::get);
    let message = event.message.cast::<PyString>().map_or_else(|_| value::text_of(event.message), Clone::clone);
    let is_cut = value::with_utf8(&message, |message| {
        let mut line = style.line(&mut out, &mut group, event.level, time_ns, event.logger, message);
        if !event.fields.iter().any(|(name, _)| value::is_same(name, interned!(py, "request_id"))) {
            request_id(py, &style, &mut line, context);
        }
        let place = event.trace.or_else(|| {
            if tracer::is_on() {
                span::parent(py).map(|parent| parent.place.context)
            } else {
                None
            }
        });
        if let Some(place) = place {
            trace(py, &style, &mut line, &place, context, event);
            (head.trace_id, head.span_id) = (place.trace_id, place.span_id);
            head.flags |= if place.is_sampled() { flags::SAMPLED } else { 0 };
        }
        for scope in [context, event.bound].into_iter().flatten() {
            if scope.trace_id != [0; 16] {
                (head.trace_id, head.span_id) = (scope.trace_id, scope.span_id);
            }
            inherited(py, &style, &mut line, scope, event);
        }
        if head.trace_id == [0; 16] {
            foreign_span(py, &style, &mut line, &mut head, event);
        }
        for (name, value) in event.fields {
            field(&style, &mut line, name, value);
        }
        if let Some(error) = &event.error {
            failure(py, &style, &mut line, error);
        }
        if left_out > 0 && line.field(&style.key("sampled_out")) {
            line.integer(left_out.into());
        }
        line.close()
    });
    if is_cut {
        head.flags |= flags::TRUNCATED;
    }
    let readable = style::console(py).map(|is_coloured| console::readable(&out, style.format, is_coloured));
    // SAFETY: the GIL is held, and no Python runs in there.
    let _counted = unsafe { ring::append(Kind::Lines, &head, &[readable.as_ref().unwrap_or(&out)]) };
    style::give_back(out, group);
    redactions::tell();
    if IS_ENDING.load(Relaxed) {
        let _ = crate::shipping::flush_records(py, 0.25, "lines");
    }
}

/// The ids of the span that OpenTelemetry's own SDK has open, where there is no other.
fn foreign_span(py: Python<'_>, style: &Style, line: &mut Line<'_>, head: &mut Head, event: &Event<'_, '_>) {
    let Some((trace_id, span_id)) = opentelemetry::active_span(py) else { return };
    let is_told = |name: &str| event.fields.iter().any(|(field, _)| field == name);
    if is_told("trace_id") || is_told("span_id") {
        return;
    }
    context::unhex(&trace_id.to_string_lossy(), &mut head.trace_id);
    context::unhex(&span_id.to_string_lossy(), &mut head.span_id);
    field(style, line, interned!(py, "trace_id"), trace_id.as_any());
    field(style, line, interned!(py, "span_id"), span_id.as_any());
}

fn field(style: &Style, line: &mut Line<'_>, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) {
    let key = style::key(style, name);
    if !line.field(&key) {
        return;
    }
    if key.is_latency {
        if let Ok(milliseconds) = value.extract::<f64>() {
            return line.latency(milliseconds);
        }
    }
    value::of_field(line, style, &key, value);
}

/// The id of the request, unless a context says another.
fn request_id(py: Python<'_>, style: &Style, line: &mut Line<'_>, context: Option<&LogContext>) {
    let name = interned!(py, "request_id");
    if context.is_some_and(|context| context.fields.iter().any(|field| value::is_same(field.name.bind(py), name))) {
        return;
    }
    if let Some(id) = context::request_id(py) {
        field(style, line, name, &id);
    }
}

/// The ids of a span, unless a context or the event says others.
fn trace(
    py: Python<'_>,
    style: &Style,
    line: &mut Line<'_>,
    place: &Context,
    context: Option<&LogContext>,
    event: &Event<'_, '_>,
) {
    let (mut trace_id, mut span_id, mut is_ours) = ([0; 32], [0; 16], false);
    write_hex(&place.trace_id, &mut trace_id);
    write_hex(&place.span_id, &mut span_id);
    for (name, digits) in
        [(crate::once::interned!(py, "trace_id"), &trace_id[..]), (crate::once::interned!(py, "span_id"), &span_id[..])]
    {
        let has = |scope: &LogContext| scope.fields.iter().any(|field| value::is_same(field.name.bind(py), name));
        let is_said = [context, event.bound].into_iter().flatten().any(has)
            || event.fields.iter().any(|(field, _)| value::is_same(field, name));
        if !is_said && line.field(&style::key(style, name)) {
            line.raw(b"\"");
            line.raw(digits);
            line.raw(b"\"");
            is_ours = true;
        }
    }
    if is_ours && style.format.tells_sampling() && line.field(&style::key(style, interned!(py, "trace_sampled"))) {
        line.raw(if place.is_sampled() { b"true" } else { b"false" });
    }
}

/// The fields of a context, without those that the event has itself.
fn inherited(py: Python<'_>, style: &Arc<Style>, line: &mut Line<'_>, scope: &LogContext, event: &Event<'_, '_>) {
    let is_rendered = scope.style == Arc::as_ptr(style) as usize;
    for one in &scope.fields {
        let name = one.name.bind(py);
        if event.fields.iter().any(|(other, _)| value::is_same(other, name)) {
            continue;
        }
        if is_rendered && !one.in_group {
            line.rendered(&one.json);
        } else {
            field(style, line, name, one.value.bind(py));
        }
    }
}

/// What went wrong, and where. Local variables are not told: they hold what nobody expects in a log.
fn failure(py: Python<'_>, style: &Style, line: &mut Line<'_>, error: &Bound<'_, PyAny>) {
    let described = PyString::new(py, &value::described(error));
    field(style, line, interned!(py, "error"), described.as_any());
    let traced = py
        .import(interned!(py, "ferrometer._process.stack"))
        .and_then(|module| module.call_method1(interned!(py, "stack_trace"), (error,)));
    if let Ok(text) = traced {
        field(style, line, interned!(py, "stack_trace"), &text);
    }
}

/// Before anything was set up, lines go to stdout.
fn open_by_default(py: Python<'_>) -> bool {
    let opened = py
        .import(interned!(py, "ferrometer.logs.pipeline"))
        .and_then(|module| module.call_method0(interned!(py, "open_by_default")));
    opened.is_ok() && ring::is_open(Kind::Lines)
}

/// Logs one event of another library's logger; level 0 to 4. It happened in `span`; without one, in the present span.
#[pyfunction]
#[pyo3(signature = (level, logger, message, fields=None, error=None, time_ns=None, span=None))]
#[expect(clippy::too_many_arguments, reason = "they are the arguments of the Python function")]
pub fn log_event(
    py: Python<'_>,
    level: u32,
    logger: &str,
    message: &Bound<'_, PyAny>,
    fields: Option<&Bound<'_, PyDict>>,
    error: Option<Bound<'_, PyAny>>,
    time_ns: Option<u64>,
    span: Option<&Bound<'_, span::Span>>,
) {
    protect();
    if !level::is_on(level) {
        return;
    }
    let mut all = Vec::new();
    for (name, value) in fields.into_iter().flat_map(PyDictMethods::iter) {
        let name = name.cast_into::<PyString>().unwrap_or_else(|error| value::text_of(&error.into_inner()));
        all.push((name, value));
    }
    let level = level.min(4) as usize;
    let trace = span.and_then(|span| span.get().as_parent()).map(|parent| parent.place.context);
    emit(py, &Event { level, logger, message, bound: None, fields: &all, error, time_ns, trace });
}

/// Events of this process that could not be told.
#[pyfunction]
pub fn log_failures() -> u64 {
    FAILED.load(Relaxed)
}

/// The least level that is logged, 0 to 4; 5 is none.
#[pyfunction]
pub fn log_level() -> u32 {
    level::get()
}

/// Sets the least level, in all processes that share it.
#[pyfunction]
pub fn set_log_level(level: u32) {
    level::set(level);
}

/// Shares the least level with all processes that name the same file.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "an argument from Python is owned")]
pub fn share_log_level(path: std::path::PathBuf) -> PyResult<()> {
    Ok(level::share(&path)?)
}
