//! Records of the standard library's `logging`.

use super::event::{emit, Event};
use super::level;
use super::value;
use crate::once::Once;
use crate::thread_exit::protect;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// What every record has; all else is a field that somebody passed as `extra`.
const STANDARD: [&str; 25] = [
    "name",
    "msg",
    "args",
    "levelname",
    "levelno",
    "pathname",
    "filename",
    "module",
    "exc_info",
    "exc_text",
    "stack_info",
    "lineno",
    "funcName",
    "created",
    "msecs",
    "relativeCreated",
    "thread",
    "threadName",
    "processName",
    "process",
    "taskName",
    "message",
    "asctime",
    "color_message",
    "stacklevel",
];

/// The names that every record has, as the interpreter's one string each, found by its address.
struct Standard {
    /// Addresses; zero is a free place. Never more than half of them are taken.
    places: [usize; PLACES],
    /// Keeps them alive.
    _names: Py<PyTuple>,
}

const PLACES: usize = 128;

static NAMES: Once<Standard> = Once::new();

impl Standard {
    fn new(py: Python<'_>) -> PyResult<Self> {
        let names = PyTuple::new(py, STANDARD.map(|name| PyString::intern(py, name)))?;
        let mut places = [0; PLACES];
        for name in &names {
            let mut place = start(name.as_ptr() as usize);
            while places[place] != 0 {
                place = (place + 1) % PLACES;
            }
            places[place] = name.as_ptr() as usize;
        }
        Ok(Standard { places, _names: names.unbind() })
    }

    /// Attributes' names are the interpreter's one string each; a name that somebody made by hand is compared.
    #[inline]
    fn has(&self, name: &Bound<'_, PyString>) -> bool {
        let mut place = start(name.as_ptr() as usize);
        while self.places[place] != 0 {
            if self.places[place] == name.as_ptr() as usize {
                return true;
            }
            place = (place + 1) % PLACES;
        }
        name.to_str().is_ok_and(|name| STANDARD.contains(&name))
    }
}

fn start(address: usize) -> usize {
    (address >> 4).wrapping_mul(0x9e37_79b9) % PLACES
}

/// Whether every record has an attribute of that name, so that it is no field.
pub fn is_standard(name: &Bound<'_, PyString>) -> bool {
    let py = name.py();
    NAMES.get_or_try_make(py, || Standard::new(py)).map_or(true, |standard| standard.has(name))
}

/// Our level for a number of `logging`, rounded down.
pub fn level_of(number: i64) -> u32 {
    match number {
        ..20 => 0,
        20..30 => 1,
        30..40 => 2,
        40..50 => 3,
        _ => 4,
    }
}

/// Logs a record of `logging`.
#[pyfunction]
pub fn log_record<'py>(record: &Bound<'py, PyAny>) -> PyResult<()> {
    protect();
    let py = record.py();
    // SAFETY: a live object; the result is a new reference, or null with an exception.
    let dict = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyObject_GenericGetDict(record.as_ptr(), std::ptr::null_mut()))?
    };
    let dict = dict.cast_into::<PyDict>()?;
    let get = |name: &Bound<'py, PyString>| dict.get_item(name).ok().flatten().filter(|value| !value.is_none());
    let number = get(crate::once::interned!(py, "levelno")).and_then(|number| number.extract().ok()).unwrap_or(20);
    let level = level_of(number);
    if !level::is_on(level) {
        return Ok(());
    }
    let standard = NAMES.get_or_try_make(py, || Standard::new(py))?;
    let mut fields = Vec::new();
    for (name, value) in &dict {
        if let Ok(name) = name.cast_into::<PyString>() {
            if !standard.has(&name) {
                fields.push((name, value));
            }
        }
    }
    let has_fields = |name: &str| fields.iter().any(|(field, _)| field == name);
    if let (Some(stack), false) = (get(crate::once::interned!(py, "stack_info")), has_fields("stack_trace")) {
        fields.push((PyString::intern(py, "stack_trace"), stack));
    }
    let name = get(crate::once::interned!(py, "name"));
    let name = name.as_ref().map(|name| name.cast::<PyString>().map_or_else(|_| value::text_of(name), Clone::clone));
    let name = name.as_ref().map_or("", |name| name.to_str().unwrap_or(""));
    let message = get(crate::once::interned!(py, "msg")).unwrap_or_else(|| PyString::intern(py, "None").into_any());
    let arguments = get(crate::once::interned!(py, "args"));
    let arguments = arguments.filter(|all| all.cast::<PyTuple>().map_or(true, |all| !all.is_empty()));
    let message = match arguments {
        None => message,
        Some(arguments) => formatted(&message, &arguments),
    };
    let error = get(crate::once::interned!(py, "exc_info")).and_then(|told| match told.cast::<PyTuple>() {
        Ok(triple) => triple.get_item(1).ok().filter(|error| !error.is_none()),
        Err(_) => told.is_instance_of::<pyo3::exceptions::PyBaseException>().then_some(told),
    });
    let created = get(crate::once::interned!(py, "created")).and_then(|created| created.extract::<f64>().ok());
    let time_ns = created.filter(|created| *created > 0.0).map(|created| (created * 1e6) as u64 * 1000);
    emit(
        py,
        &Event {
            level: level as usize,
            logger: name,
            message: &message,
            bound: None,
            fields: &fields,
            error,
            time_ns,
            trace: None,
        },
    );
    Ok(())
}

/// `message % arguments`; both, one after the other, where they do not fit.
pub fn formatted<'py>(message: &Bound<'py, PyAny>, arguments: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    let text = message.cast::<PyString>().map_or_else(|_| value::text_of(message), Clone::clone);
    text.rem(arguments).unwrap_or_else(|_| {
        let arguments = value::text_of(arguments);
        let both = format!("{} {}", text.to_string_lossy(), arguments.to_string_lossy());
        PyString::new(message.py(), &both).into_any()
    })
}
