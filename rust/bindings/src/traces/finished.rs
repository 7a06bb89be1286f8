//! The span of a call that is over: what watches calls for metrics records it with the same look at the clock.

use super::core::{place, End, Recording, ERROR};
use super::tracer::tracer;
use super::{span, value};
use crate::logs::value::with_utf8;
use crate::thread_exit::protect;
use ferrometer_ship::time::now_ns;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// OTLP's number of the kind "client".
const CLIENT: u8 = 3;

/// Records a client span below the present span, that began `seconds` ago and ends now. `error`: the type of what it
/// failed with.
#[pyfunction]
#[pyo3(signature = (name, seconds, attributes=None, error=None))]
pub fn client_span(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    seconds: f64,
    attributes: Option<&Bound<'_, PyAny>>,
    error: Option<&str>,
) {
    let Some(tracer) = tracer(py) else { return };
    protect();
    let parent = span::parent(py);
    // Nothing of the trace is recorded here.
    if parent.as_ref().is_some_and(|parent| {
        let context = &parent.place.context;
        !parent.is_remote && !tracer.sampler.decide(Some(context), &context.trace_id)
    }) {
        return;
    }
    let (place, is_sampled) = place(py, &tracer, parent.as_ref());
    if !is_sampled {
        return;
    }
    let now = now_ns();
    #[expect(clippy::cast_sign_loss, reason = "negative seconds saturate at zero")]
    let start = now.saturating_sub((seconds * 1e9) as u64);
    let mut recording = Recording::begin(py, tracer.clone(), CLIENT, parent.as_ref(), Some(start));
    if let Some(attributes) = attributes.filter(|attributes| !attributes.is_none()) {
        value::set_all(&mut recording.attributes, &tracer, tracer.limits.attributes, attributes);
    }
    if let Some(error) = error {
        recording.set_status(ERROR, b"");
        recording.set_plain(b"error.type", error.as_bytes());
    }
    with_utf8(name, |name| recording.end(py, &place, name, End::At(now)));
}
