//! Any Python value as an attribute's. Nothing of it raises: what cannot be told says so. Texts lose their secrets here.

use super::tracer::{buffer, Tracer};
use crate::gil::GilCell;
use crate::logs::value::{text_of, with_utf8};
use ferrometer_logs::redact::{name, Action, Rule};
use ferrometer_logs::text::redact;
use ferrometer_traces::limits::LONGEST;
use ferrometer_traces::write::{self, Pairs};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// How deep values may be nested.
const DEEPEST: usize = 8;

/// Sets an attribute; None is no value, and sets nothing. `is_new`: there is none of that name, as the caller knows. Telling
/// a value may run Python, so nobody else may know of `pairs`.
#[inline]
pub fn set(
    pairs: &mut Pairs,
    tracer: &Tracer,
    most: u32,
    name: &Bound<'_, PyString>,
    value: &Bound<'_, PyAny>,
    is_new: bool,
) {
    if value.is_none() {
        return;
    }
    with_utf8(name, |text| {
        let secret = secret_of(name, text);
        pairs.set(text, most, is_new, |out| put(out, tracer, value, secret, 0));
    });
}

/// A name that was looked up, and what is done with its values.
type Known = (Py<PyString>, Option<Action>);

/// Names of attributes, by the address of the string; a power of two of them.
static KNOWN: GilCell<Vec<Option<Known>>> = GilCell::new(Vec::new());
const PLACES: usize = 512;

/// What is done with the values of a name; names of keywords are looked up once.
fn secret_of(name: &Bound<'_, PyString>, text: &[u8]) -> Option<Action> {
    let place = (name.as_ptr() as usize >> 4) & (PLACES - 1);
    // SAFETY: the GIL is held; comparing addresses runs no Python.
    let known = unsafe {
        KNOWN.with(|known| match known.get(place) {
            Some(Some((other, action))) if other.as_ptr() == name.as_ptr() => Some(*action),
            _ => None,
        })
    };
    known.unwrap_or_else(|| {
        let action = name::action(text);
        // SAFETY: a live object. A subclass of str may run Python when it ends, and is not kept.
        if unsafe { pyo3::ffi::PyUnicode_CheckExact(name.as_ptr()) } != 0 {
            let kept = Some((name.clone().unbind(), action));
            // SAFETY: the GIL is held; what is replaced is an exact str, whose end runs no Python.
            unsafe {
                KNOWN.with(|known| {
                    if known.is_empty() {
                        known.resize_with(PLACES, || None);
                    }
                    known[place] = kept;
                });
            }
        }
        action
    })
}

/// Writes the value of an attribute of that name; `false` for None, which is no value.
pub fn written(out: &mut Vec<u8>, tracer: &Tracer, name: &[u8], value: &Bound<'_, PyAny>) -> bool {
    if !value.is_none() {
        put(out, tracer, value, name::action(name), 0);
    }
    !value.is_none()
}

/// The attributes of an event or a link.
pub fn pairs(py: Python<'_>, tracer: &Tracer, most: u32, given: Option<&Bound<'_, PyAny>>) -> Pairs {
    let mut pairs = Pairs::within(buffer(py));
    if let Some(given) = given.filter(|given| !given.is_none()) {
        set_all(&mut pairs, tracer, most, given);
    }
    pairs
}

/// The attributes of an exception's event; local variables are not told.
pub fn exception(py: Python<'_>, tracer: &Tracer, error: &Bound<'_, PyAny>, given: Option<&Bound<'_, PyAny>>) -> Pairs {
    let mut pairs = Pairs::within(buffer(py));
    set_text(&mut pairs, tracer, b"exception.type", type_name(error).as_bytes());
    with_utf8(&text_of(error), |text| set_text(&mut pairs, tracer, b"exception.message", text));
    let trace = py
        .import(crate::once::interned!(py, "ferrometer._process.stack"))
        .and_then(|module| module.call_method1(crate::once::interned!(py, "stack_trace"), (error,)));
    if let Ok(text) = trace {
        with_utf8(&text_of(&text), |text| set_text(&mut pairs, tracer, b"exception.stacktrace", text));
    }
    if let Some(given) = given.filter(|given| !given.is_none()) {
        set_all(&mut pairs, tracer, tracer.limits.event_attributes, given);
    }
    pairs
}

/// The type of an exception, with its module but for the builtins'.
pub fn type_name(error: &Bound<'_, PyAny>) -> String {
    let name = error.get_type().fully_qualified_name();
    name.map_or_else(|_| "exception".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Sets an attribute to a text.
pub fn set_text(pairs: &mut Pairs, tracer: &Tracer, name: &[u8], text: &[u8]) {
    pairs.set(name, tracer.limits.attributes, true, |out| put_text(out, tracer, text));
}

/// Sets all attributes of a mapping, or of anything that `dict()` takes; others are counted as left out.
pub fn set_all(pairs: &mut Pairs, tracer: &Tracer, most: u32, given: &Bound<'_, PyAny>) {
    let dict = if let Ok(dict) = given.cast::<PyDict>() {
        dict.clone()
    } else {
        let made = PyDict::new(given.py());
        if made.call_method1("update", (given,)).is_err() {
            return pairs.leave_out(1);
        }
        made
    };
    // A copy: telling a value may run Python code, which may change the dict.
    for (count, item) in dict.items().iter().enumerate() {
        if count >= most as usize + 1024 {
            pairs.leave_out((dict.len() - count) as u32);
            break;
        }
        let (Ok(name), Ok(value)) = (item.get_item(0), item.get_item(1)) else { continue };
        let name = name.cast_into::<PyString>().unwrap_or_else(|error| text_of(&error.into_inner()));
        set(pairs, tracer, most, &name, &value, false);
    }
}

fn put(out: &mut Vec<u8>, tracer: &Tracer, value: &Bound<'_, PyAny>, secret: Option<Action>, depth: usize) {
    if value.is_none() {
        return write::none(out);
    }
    if let Ok(truth) = value.cast_exact::<PyBool>() {
        return write::truth(out, truth.is_true());
    }
    if let Some(action) = secret {
        return with_utf8(&text_of(value), |text| {
            write::text(out, |out| tracer.marker.write(out, text, Rule::Name, action));
        });
    }
    if let Ok(text) = value.cast::<PyString>() {
        return with_utf8(text, |text| put_text(out, tracer, text));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return match number.extract::<i64>() {
            Ok(number) => write::int(out, number),
            // Protobuf has none that great.
            Err(_) => with_utf8(&text_of(value), |text| put_text(out, tracer, text)),
        };
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return write::float(out, number.value());
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        let bytes = bytes.as_bytes();
        return write::bytes(out, &bytes[..bytes.len().min(tracer.limits.text)]);
    }
    if depth < DEEPEST {
        if let Ok(list) = value.cast::<PyList>() {
            return sequence(out, tracer, list.iter(), depth);
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return sequence(out, tracer, tuple.iter(), depth);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return mapping(out, tracer, dict, depth);
        }
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyDict>()
    {
        return put_text(out, tracer, b"...");
    }
    with_utf8(&text_of(value), |text| put_text(out, tracer, text));
}

/// How far behind its end a text is looked at, so that no half of a secret stays.
const BEHIND: usize = 512;

/// A text of so many characters at most, without its secrets.
pub fn put_text(out: &mut Vec<u8>, tracer: &Tracer, text: &[u8]) {
    let most = tracer.limits.text.min(LONGEST / 2);
    let shown = if text.len() <= most + BEHIND { text } else { &text[..end_of(text, most + BEHIND)] };
    write::text(out, |out| {
        let before = out.len();
        redact(out, shown, &tracer.marker);
        if out.len() - before > most {
            let end = end_of(&out[before..], most);
            out.truncate(before + end);
        }
    });
}

/// Where a text ends that has so many characters; most have one byte each.
fn end_of(text: &[u8], most: usize) -> usize {
    let is_start = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    let starts = text.iter().enumerate().filter(|(_, byte)| is_start(byte));
    starts.map(|(at, _)| at).nth(most).unwrap_or(text.len())
}

fn sequence<'py>(out: &mut Vec<u8>, tracer: &Tracer, items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) {
    write::list(out, |out| {
        let mut count = 0;
        for item in items {
            if out.len() > LONGEST {
                // Too long; the attribute as a whole is left out.
                break;
            }
            put(out, tracer, &item, None, depth + 1);
            count += 1;
        }
        count
    });
}

fn mapping(out: &mut Vec<u8>, tracer: &Tracer, dict: &Bound<'_, PyDict>, depth: usize) {
    write::map(out, |out| {
        let mut count = 0;
        for item in dict.items() {
            let (Ok(name), Ok(value)) = (item.get_item(0), item.get_item(1)) else { continue };
            if out.len() > LONGEST {
                break;
            }
            let name = name.cast_into::<PyString>().unwrap_or_else(|error| text_of(&error.into_inner()));
            with_utf8(&name, |name| {
                write::short(out, name);
                put(out, tracer, &value, name::action(name), depth + 1);
            });
            count += 1;
        }
        count
    });
}
