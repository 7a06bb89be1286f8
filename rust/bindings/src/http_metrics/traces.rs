//! The trace that a request belongs to, for the exemplar of its duration.

use crate::middleware::header;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use std::cell::RefCell;
use std::collections::HashMap;

/// The characters of an exemplar's labels, of which `trace_id` takes eight.
const LONGEST: usize = 128 - 8;

/// Whom to ask, and what was answered for requests that are still being served.
pub struct Traces {
    ask: Py<PyAny>,
    /// By the request's address. Only touched with the GIL held.
    open: RefCell<HashMap<usize, String>>,
}

impl Traces {
    /// What `exemplars=` means: nothing for False, OpenTelemetry's active span for True, or a function that
    /// returns a trace id or None.
    pub fn new(exemplars: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let ask = match exemplars.cast::<PyBool>() {
            Ok(wanted) if !wanted.is_true() => return Ok(None),
            Ok(_) => exemplars.py().import("ferrometer.tracing.active")?.getattr("active_trace_id")?,
            Err(_) if exemplars.is_callable() => exemplars.clone(),
            Err(_) => {
                return Err(PyTypeError::new_err(format!(
                    "exemplars must be True, False, or a function that returns a trace id or None, not {}",
                    exemplars.repr()?
                )))
            }
        };
        Ok(Some(Traces { ask: ask.unbind(), open: RefCell::default() }))
    }

    /// The function that is asked.
    pub fn ask(&self) -> &Py<PyAny> {
        &self.ask
    }

    /// Asks for the trace that is active now, within the application; `false` when that failed.
    ///
    /// # Safety
    /// With the GIL held and no exception pending.
    #[cold]
    pub unsafe fn look(&self, request: usize) -> bool {
        // Attached, so that the answer and its errors are given back at once and not when PyO3 is next called.
        let answer = Python::try_attach(|py| {
            let answer = self.ask.bind(py).call0().and_then(|answer| answer.extract::<Option<String>>());
            answer.map_err(drop)
        });
        match answer {
            Some(Ok(Some(trace_id))) if trace_id.len() <= LONGEST => {
                self.open.borrow_mut().insert(request, trace_id);
                true
            }
            Some(Ok(None)) => true,
            _ => false,
        }
    }

    /// Drops what was answered for a request.
    pub fn forget(&self, request: usize) {
        self.open.borrow_mut().remove(&request);
    }

    /// The trace of a request that ends: the one it was seen in, else the one its caller says it is in.
    ///
    /// # Safety
    /// With the GIL held; `scope` is a live dict.
    pub unsafe fn of(&self, request: usize, scope: *mut ffi::PyObject) -> Option<String> {
        let seen = self.open.borrow_mut().remove(&request);
        // SAFETY: as the caller says.
        seen.or_else(|| unsafe { header(scope, b"traceparent") }.and_then(trace_id))
    }
}

/// The trace id in a W3C `traceparent` header, where the caller records that trace: only then can it be looked up.
fn trace_id(header: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(header).ok()?.trim();
    let mut parts = text.split('-');
    let [version, trace, parent, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let hexadecimal = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let nonzero = |part: &str| part.bytes().any(|byte| byte != b'0');
    let known = hexadecimal(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    let sampled = hexadecimal(flags, 2) && u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
    let named = hexadecimal(trace, 32) && nonzero(trace) && hexadecimal(parent, 16) && nonzero(parent);
    (known && sampled && named).then(|| trace.to_owned())
}
