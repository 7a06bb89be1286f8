//! Any Python value as JSON. Nothing of it raises: what cannot be told says so.

use crate::once::interned;
use ferrometer_logs::format::Key;
use ferrometer_logs::line::{Line, Style};
use ferrometer_logs::redact::Action;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple, PyType,
};

/// How deep values may be nested.
const DEEPEST: usize = 8;

/// Appends the value of a field.
pub fn of_field(line: &mut Line<'_>, style: &Style, key: &Key, value: &Bound<'_, PyAny>) {
    if key.is_trace {
        if let Ok(id) = value.cast::<PyString>() {
            return with_utf8(id, |id| line.text(&[style.trace_prefix.as_bytes(), id].concat()));
        }
    }
    write(line, style, value, key.secret, 0);
}

/// Appends a value. `secret`: what the name of its field asks for.
pub fn write(line: &mut Line<'_>, style: &Style, value: &Bound<'_, PyAny>, secret: Option<Action>, depth: usize) {
    if value.is_none() {
        return line.raw(b"null");
    }
    if let Ok(truth) = value.cast_exact::<PyBool>() {
        return line.raw(if truth.is_true() { b"true" } else { b"false" });
    }
    if let Some(action) = secret {
        return with_text(value, |text| line.secret(text, action));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return with_utf8(text, |text| line.text(text));
    }
    if let Ok(number) = value.cast_exact::<PyInt>() {
        return integer(line, number);
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        return line.float(number.value());
    }
    if depth >= DEEPEST {
        line.cut();
        return line.raw(b"\"...\"");
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return mapping(line, style, dict, depth);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return sequence(line, style, list.iter(), depth);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return sequence(line, style, tuple.iter(), depth);
    }
    if let Ok(set) = value.cast::<PySet>() {
        return sequence(
            line,
            style,
            PyList::new(set.py(), set.iter()).into_iter().flat_map(|list| list.iter().collect::<Vec<_>>()),
            depth,
        );
    }
    if let Ok(set) = value.cast::<PyFrozenSet>() {
        return sequence(line, style, set.iter(), depth);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return line.text(String::from_utf8_lossy(bytes.as_bytes()).as_bytes());
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return line.text(String::from_utf8_lossy(&bytes.to_vec()).as_bytes());
    }
    other(line, style, value, depth);
}

/// What says by a method or an attribute how it is told; everything else by `str`.
fn other(line: &mut Line<'_>, style: &Style, value: &Bound<'_, PyAny>, depth: usize) {
    let py = value.py();
    if value.is_instance_of::<pyo3::exceptions::PyBaseException>() {
        return line.text(described(value).as_bytes());
    }
    if let Ok(fields) = value.getattr(crate::once::interned!(py, "__dataclass_fields__")) {
        if let (Ok(fields), false) = (fields.cast_into::<PyDict>(), value.is_instance_of::<PyType>()) {
            let told = PyDict::new(py);
            for name in fields.keys() {
                if let Ok(field) = name.cast_into::<PyString>() {
                    let _ = value.getattr(&field).and_then(|inner| told.set_item(field, inner));
                }
            }
            return mapping(line, style, &told, depth);
        }
    }
    if let Ok(text) =
        value.call_method0(crate::once::interned!(py, "isoformat")).and_then(|text| Ok(text.cast_into::<PyString>()?))
    {
        return with_utf8(&text, |text| line.text(text));
    }
    // Members of an enumeration, by what they stand for.
    if let (Ok(_), Ok(inner)) =
        (value.getattr(crate::once::interned!(py, "_member_map_")), value.getattr(crate::once::interned!(py, "value")))
    {
        return write(line, style, &inner, None, depth + 1);
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return integer(line, number);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return line.float(number.value());
    }
    match plain(value) {
        Some(plain) => write(line, style, &plain, None, depth + 1),
        None => with_text(value, |text| line.text(text)),
    }
}

/// Elements of an array that are told one by one; a larger one is told as it prints itself, which is abbreviated.
const ELEMENTS: usize = 1000;

/// What numpy's arrays and scalars, pydantic's and attrs' models, mappings and deques are in plain Python. Asked of
/// the type: an object that answers to every name has none of them.
fn plain<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let (py, class) = (value.py(), value.get_type());
    let has = |name: &Bound<'py, PyString>| class.hasattr(name).unwrap_or(false);
    let call = |name: &Bound<'py, PyString>| value.call_method0(name).ok();
    if has(interned!(py, "dtype")) && has(interned!(py, "tolist")) {
        let size = value.getattr(interned!(py, "size")).and_then(|size| size.extract::<usize>()).unwrap_or(0);
        return if size <= ELEMENTS { call(interned!(py, "tolist")).filter(|plain| !plain.is(value)) } else { None };
    }
    if has(interned!(py, "model_dump")) {
        return call(interned!(py, "model_dump"));
    }
    if has(interned!(py, "__attrs_attrs__")) {
        let told = PyDict::new(py);
        for field in value.getattr(interned!(py, "__attrs_attrs__")).ok()?.try_iter().ok()?.flatten() {
            let name = field.getattr(interned!(py, "name")).ok()?.cast_into::<PyString>().ok()?;
            let _ = value.getattr(&name).and_then(|inner| told.set_item(name, inner));
        }
        return Some(told.into_any());
    }
    let is = |module: &Bound<'py, PyString>, name: &Bound<'py, PyString>| {
        let class = py.import(module).and_then(|module| module.getattr(name));
        class.and_then(|class| value.is_instance(&class)).unwrap_or(false)
    };
    if is(interned!(py, "collections.abc"), interned!(py, "Mapping")) {
        let told = PyDict::new(py);
        told.call_method1(interned!(py, "update"), (value,)).ok()?;
        return Some(told.into_any());
    }
    if is(interned!(py, "collections"), interned!(py, "deque")) {
        return Some(
            value
                .try_iter()
                .ok()?
                .collect::<PyResult<Vec<_>>>()
                .ok()
                .and_then(|all| PyList::new(py, all).ok())?
                .into_any(),
        );
    }
    None
}

fn integer(line: &mut Line<'_>, number: &Bound<'_, PyInt>) {
    match number.extract::<i64>() {
        Ok(number) => line.integer(number),
        // Readers of JSON take it for a double, and lose its end: so it is a text.
        Err(_) => with_text(number.as_any(), |text| line.text(text)),
    }
}

fn mapping(line: &mut Line<'_>, style: &Style, dict: &Bound<'_, PyDict>, depth: usize) {
    line.raw(b"{");
    let mut is_first = true;
    // A copy: telling a value may run Python code, which may change the dict.
    for item in dict.items() {
        let (Ok(name), Ok(value)) = (item.get_item(0), item.get_item(1)) else { continue };
        if !line.has_room() {
            line.cut();
            break;
        }
        if !is_first {
            line.raw(b",");
        }
        is_first = false;
        let name = name.cast_into::<PyString>().unwrap_or_else(|error| text_of(&error.into_inner()));
        let action = {
            let mut folded = None;
            with_utf8(&name, |text| {
                line.text(text);
                folded = style.marker.own.action(text);
            });
            folded
        };
        line.raw(b":");
        write(line, style, &value, action, depth + 1);
    }
    line.raw(b"}");
}

fn sequence<'py>(line: &mut Line<'_>, style: &Style, items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) {
    line.raw(b"[");
    for (place, item) in items.enumerate() {
        if !line.has_room() {
            line.cut();
            break;
        }
        if place > 0 {
            line.raw(b",");
        }
        write(line, style, &item, None, depth + 1);
    }
    line.raw(b"]");
}

/// The type and the message of an exception.
pub fn described(error: &Bound<'_, PyAny>) -> String {
    let name =
        error.get_type().name().map_or_else(|_| "exception".to_owned(), |name| name.to_string_lossy().into_owned());
    let text = text_of(error).to_string_lossy().into_owned();
    if text.is_empty() {
        name
    } else {
        format!("{name}: {text}")
    }
}

/// `str(value)`, or what is wrong with that.
pub fn text_of<'py>(value: &Bound<'py, PyAny>) -> Bound<'py, PyString> {
    value.str().unwrap_or_else(|error| {
        let py = value.py();
        let names = (value.get_type().name(), error.get_type(py).name());
        match names {
            (Ok(value), Ok(error)) => PyString::new(py, &format!("<{value} whose str() raises {error}>")),
            _ => PyString::new(py, "<unprintable>"),
        }
    })
}

fn with_text<R>(value: &Bound<'_, PyAny>, then: impl FnOnce(&[u8]) -> R) -> R {
    with_utf8(&text_of(value), then)
}

/// The UTF-8 of a string; halves of surrogate pairs, which have none, become U+FFFD.
pub fn with_utf8<R>(text: &Bound<'_, PyString>, then: impl FnOnce(&[u8]) -> R) -> R {
    let mut size = 0;
    // SAFETY: a live str; the result is null, with an exception set, or its UTF-8, which lives as long as it.
    let bytes = unsafe { ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut size) };
    if bytes.is_null() {
        drop(PyErr::take(text.py()));
        return then(text.to_string_lossy().as_bytes());
    }
    // SAFETY: that many bytes; `text` is borrowed meanwhile.
    then(unsafe { std::slice::from_raw_parts(bytes.cast(), size.unsigned_abs()) })
}

/// Whether two names are the same; names of keywords are nearly always the same object.
#[inline]
pub fn is_same(one: &Bound<'_, PyString>, other: &Bound<'_, PyString>) -> bool {
    if one.is(other) {
        return true;
    }
    // SAFETY: two live strings.
    if unsafe { ffi::PyUnicode_GET_LENGTH(one.as_ptr()) != ffi::PyUnicode_GET_LENGTH(other.as_ptr()) } {
        return false;
    }
    one.to_str().is_ok_and(|one| other.to_str().is_ok_and(|other| one == other))
}
