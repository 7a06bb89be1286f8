//! Headers of W3C Trace Context and Baggage, in and out.

use super::core::Place;
use super::span::{self, Span};
use crate::logs::value::{text_of, with_utf8};
use crate::once::Once;
use crate::thread_exit::protect;
use ferrometer_traces::context::Context;
use ferrometer_traces::{baggage, tracestate};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::Arc;

static BAGGAGE: Once<Py<PyAny>> = Once::new();

/// Makes the variable that holds the baggage: a dict that nobody changes, or None.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let fallback = PyDict::new(py);
    fallback.set_item("default", py.None())?;
    let variable = py.import("contextvars")?.getattr("ContextVar")?.call(("ferrometer_baggage",), Some(&fallback))?;
    module.add("baggage_var", &variable)?;
    BAGGAGE.set(py, variable.unbind());
    Ok(())
}

/// The variable.
pub fn baggage_variable(py: Python<'_>) -> Option<&Py<PyAny>> {
    BAGGAGE.get(py)
}

/// What the headers of a request say about its caller's span; nothing for a malformed `traceparent`, without which
/// `tracestate` means nothing.
pub fn read(traceparent: &[u8], tracestate: &[u8]) -> Option<Place> {
    let context = Context::parse(traceparent)?;
    let tracestate = tracestate::parse(tracestate).filter(|state| !state.is_empty()).map(Arc::from);
    Some(Place { context, tracestate })
}

/// The members of a `baggage` header as a dict; None when there are none.
pub fn read_baggage<'py>(py: Python<'py>, header: &[u8]) -> Option<Bound<'py, PyDict>> {
    let members = baggage::parse(header);
    if members.is_empty() {
        return None;
    }
    let dict = PyDict::new(py);
    for (name, value) in members {
        dict.set_item(name, value).ok()?;
    }
    Some(dict)
}

/// The span of the caller that sent these headers; None when they tell of none.
#[pyfunction]
#[pyo3(signature = (traceparent, tracestate=""))]
pub fn parse_traceparent<'py>(
    py: Python<'py>,
    traceparent: &str,
    tracestate: &str,
) -> PyResult<Option<Bound<'py, Span>>> {
    let place = read(traceparent.as_bytes(), tracestate.as_bytes());
    place.map(|place| Bound::new(py, Span::elsewhere(py, place, true))).transpose()
}

/// The members of a `baggage` header; malformed ones are left out.
#[pyfunction]
pub fn parse_baggage<'py>(py: Python<'py>, header: &str) -> Bound<'py, PyDict> {
    read_baggage(py, header.as_bytes()).unwrap_or_else(|| PyDict::new(py))
}

/// The headers for a service that the running code calls, by name; none outside of a trace.
#[pyfunction]
pub fn trace_headers(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    protect();
    let headers = PyDict::new(py);
    if let Some(place) = span::parent(py).map(|parent| parent.place) {
        let header = place.context.header();
        headers.set_item(crate::once::interned!(py, "traceparent"), String::from_utf8_lossy(&header))?;
        if let Some(state) = &place.tracestate {
            headers.set_item(crate::once::interned!(py, "tracestate"), &**state)?;
        }
    }
    let members = baggage_variable(py).map(|variable| variable.bind(py).call_method0("get")).transpose()?;
    if let Some(members) = members.as_ref().and_then(|members| members.cast::<PyDict>().ok()) {
        let mut pairs = Vec::new();
        for (name, value) in members {
            let text = |value: &Bound<'_, PyAny>| {
                let text = value.cast::<PyString>().map_or_else(|_| text_of(value), Clone::clone);
                with_utf8(&text, |text| String::from_utf8_lossy(text).into_owned())
            };
            pairs.push((text(&name), text(&value)));
        }
        let (header, _) = baggage::write(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if !header.is_empty() {
            headers.set_item(crate::once::interned!(py, "baggage"), header)?;
        }
    }
    Ok(headers)
}
