//! The style of this process's lines, and what is known of the names of fields in it. All with the GIL held.

use crate::gil::GilCell;
use ferrometer_logs::format::{format, Key, FORMATS};
use ferrometer_logs::line::Style;
use ferrometer_logs::redact::mark::{count, Marker};
use ferrometer_logs::redact::own::Own;
use ferrometer_logs::redact::Rule;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;

static STYLE: GilCell<Option<Arc<Style>>> = GilCell::new(None);

static IS_CONFIGURED: AtomicBool = AtomicBool::new(false);

/// Whether the style was chosen.
#[inline(always)]
pub fn is_configured() -> bool {
    IS_CONFIGURED.load(Relaxed)
}

/// Whether lines are for people, and coloured.
static CONSOLE: GilCell<Option<bool>> = GilCell::new(None);

/// Names that were looked up, by the address of the string; a power of two.
const PLACES: usize = 512;

struct Known {
    name: Py<PyString>,
    key: Arc<Key>,
}

static KEYS: GilCell<Vec<Option<Known>>> = GilCell::new(Vec::new());

/// Buffers that are not in use: of a line, and of its group.
static BUFFERS: GilCell<Vec<(Vec<u8>, Vec<u8>)>> = GilCell::new(Vec::new());

/// How lines are written: the format's name, the service, and the secret with which API keys are hashed. `console`: lines
/// for people, coloured or not, instead of JSON. `project`: of Google's cloud, before a trace's id. `redact_names`,
/// `redact_patterns`: rules of the user's own.
#[pyfunction]
#[pyo3(signature = (name, service, version, environment, hash_key, console=None, *, project="", redact_names=None,
    redact_patterns=None))]
#[expect(clippy::too_many_arguments, reason = "keywords, of which ferrometer.logs.pipeline gives all")]
pub fn configure_logs(
    name: &str,
    service: &str,
    version: &str,
    environment: &str,
    hash_key: &[u8],
    console: Option<bool>,
    project: &str,
    redact_names: Option<Vec<String>>,
    redact_patterns: Option<Vec<String>>,
) -> PyResult<()> {
    let format = format(name).ok_or_else(|| {
        let known: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
        PyValueError::new_err(format!("format must be one of {}, not {name:?}", known.join(", ")))
    })?;
    let own = Own::new(&redact_names.unwrap_or_default(), &redact_patterns.unwrap_or_default());
    let marker = Marker::new(hash_key).with(own.map_err(PyValueError::new_err)?);
    let style = Arc::new(Style::new(format, marker, service, version, environment).in_project(project));
    // SAFETY: the GIL is held. A style holds no Python object; the keys' names are strings, whose end runs no Python.
    unsafe {
        STYLE.with(|current| *current = Some(style));
        KEYS.with(Vec::clear);
        IS_CONFIGURED.store(true, Relaxed);
        CONSOLE.with(|current| *current = console);
    }
    Ok(())
}

/// How the keys of a format are called: time, level, warning, message, `trace_id`, `span_id`.
#[pyfunction]
pub fn log_format_keys<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    if let Some(format) = format(name) {
        let renamed = |field: &str| {
            format
                .renamed
                .iter()
                .find(|(from, _)| *from == field)
                .map_or_else(|| field.to_owned(), |(_, to)| (*to).to_owned())
        };
        found.set_item("time", format.time)?;
        found.set_item("level", format.level)?;
        found.set_item("warning", format.levels[2])?;
        found.set_item("message", format.message)?;
        found.set_item("trace_id", renamed("trace_id"))?;
        found.set_item("span_id", renamed("span_id"))?;
    }
    Ok(found)
}

/// How many secrets this process took out of its lines, by rule.
#[pyfunction]
pub fn log_redactions(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let found = PyDict::new(py);
    for rule in Rule::ALL {
        found.set_item(rule.name(), count(rule))?;
    }
    Ok(found)
}

/// The present style; the default one before any was chosen.
pub fn current(_py: Python<'_>) -> Arc<Style> {
    // SAFETY: the GIL is held; nothing in here runs Python.
    unsafe {
        STYLE.with(|current| {
            current.get_or_insert_with(|| Arc::new(Style::new(&FORMATS[0], Marker::new(b""), "", "", ""))).clone()
        })
    }
}

/// Whether lines are for people, and coloured.
pub fn console(_py: Python<'_>) -> Option<bool> {
    // SAFETY: the GIL is held; a flag is copied.
    unsafe { *CONSOLE.peek() }
}

/// What is known of a field's name.
pub fn key(style: &Style, name: &Bound<'_, PyString>) -> Arc<Key> {
    let place = (name.as_ptr() as usize >> 4) & (PLACES - 1);
    // SAFETY: the GIL is held; comparing and cloning runs no Python.
    let known = unsafe {
        KEYS.with(|keys| match keys.get(place) {
            Some(Some(known)) if known.name.as_ptr() == name.as_ptr() => Some(known.key.clone()),
            _ => None,
        })
    };
    if let Some(key) = known {
        return key;
    }
    let key = Arc::new(style.key(&name.to_string_lossy()));
    // SAFETY: a live object. A subclass of str may run Python when it ends, and is not kept.
    if unsafe { ffi::PyUnicode_CheckExact(name.as_ptr()) } != 0 {
        let known = Known { name: name.clone().unbind(), key: key.clone() };
        // SAFETY: the GIL is held; what is replaced is an exact str, whose end runs no Python.
        unsafe {
            KEYS.with(|keys| {
                if keys.is_empty() {
                    keys.resize_with(PLACES, || None);
                }
                keys[place] = Some(known);
            });
        }
    }
    key
}

/// Two empty buffers.
pub fn buffers() -> (Vec<u8>, Vec<u8>) {
    // SAFETY: the GIL is held; vectors of bytes run no Python.
    unsafe { BUFFERS.with(Vec::pop) }.unwrap_or_default()
}

/// Keeps two buffers for later.
pub fn give_back(mut line: Vec<u8>, mut group: Vec<u8>) {
    line.clear();
    group.clear();
    // SAFETY: the GIL is held; vectors of bytes run no Python.
    unsafe {
        BUFFERS.with(|all| {
            if all.len() < 8 {
                all.push((line, group));
            }
        });
    }
}
