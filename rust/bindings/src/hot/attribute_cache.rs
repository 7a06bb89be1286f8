//! From the attributes of a measurement to its series: what makes `counter.add(1, {"a": "b"})` of OpenTelemetry's API
//! cheap.
//!
//! The attributes come in a dict that is usually made anew for each call, so they are compared by what they say: strings
//! by their text, whose hash CPython remembers, whole numbers by their value. Only exact strings, ints, floats and bools
//! are looked up here, so that no Python code runs; all else goes by its text.

use ferrometer_core::series::SeriesRef;
use hashbrown::HashTable;
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use std::ptr::{self, null_mut};

/// So many sets of attributes are remembered; with one more all are forgotten.
const MOST: usize = 16_384;

/// Attributes of one measurement that are looked up here.
const WIDEST: usize = 16;

type Object = *mut PyObject;

/// A dict's items, names and values in turn, borrowed, and their hash.
pub struct Key {
    items: [Object; 2 * WIDEST],
    len: usize,
    hash: u64,
}

struct Entry {
    hash: u64,
    items: Box<[Py<PyAny>]>,
    series: SeriesRef,
}

/// Sets of attributes, each with the series that it leads to.
#[derive(Default)]
pub struct AttributeCache {
    entries: HashTable<Entry>,
    /// The family's `removals` when this was empty.
    removals: u64,
}

impl Key {
    /// The items of a dict; `None` where they are too many, or of other types.
    ///
    /// # Safety
    /// The GIL is held, and `attributes` is an exact dict that lives, unchanged, as long as the key.
    #[inline]
    pub unsafe fn of(attributes: Object) -> Option<Self> {
        let mut key = Key { items: [null_mut(); 2 * WIDEST], len: 0, hash: 0 };
        let mut position: Py_ssize_t = 0;
        let (mut name, mut value) = (null_mut(), null_mut());
        // SAFETY: by contract; the items are borrowed from the dict.
        unsafe {
            while ffi::PyDict_Next(attributes, &raw mut position, &raw mut name, &raw mut value) != 0 {
                if key.len == 2 * WIDEST {
                    return None;
                }
                for object in [name, value] {
                    key.items[key.len] = object;
                    key.len += 1;
                    key.hash = (key.hash ^ hash_of(object)?).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
                }
            }
        }
        Some(key)
    }

    /// No attributes.
    pub fn empty() -> Self {
        Key { items: [null_mut(); 2 * WIDEST], len: 0, hash: 0 }
    }

    fn items(&self) -> &[Object] {
        &self.items[..self.len]
    }
}

/// The hash of what can be looked up.
#[inline]
unsafe fn hash_of(object: Object) -> Option<u64> {
    // SAFETY: a live object, and the GIL is held, says the caller; none of these runs Python code for an exact type.
    unsafe {
        if ffi::PyUnicode_CheckExact(object) != 0 {
            return Some(ffi::PyObject_Hash(object).cast_unsigned() as u64);
        }
        if ffi::PyLong_CheckExact(object) != 0 {
            let mut overflow = 0;
            let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
            return (overflow == 0).then_some(value.cast_unsigned());
        }
        if ffi::PyBool_Check(object) != 0 {
            return Some(object as u64);
        }
        (ffi::PyFloat_CheckExact(object) != 0).then(|| ffi::PyFloat_AS_DOUBLE(object).to_bits())
    }
}

/// Whether two objects that can be looked up say the same, in the same type.
#[inline]
unsafe fn is_same(one: Object, other: Object) -> bool {
    if ptr::eq(one, other) {
        return true;
    }
    // SAFETY: live objects of the types that `hash_of` takes, and the GIL is held, says the caller.
    unsafe {
        if ffi::Py_TYPE(one) != ffi::Py_TYPE(other) {
            return false;
        }
        if ffi::PyUnicode_CheckExact(one) != 0 {
            return ffi::PyUnicode_Compare(one, other) == 0;
        }
        // There is one object for each bool.
        ffi::PyBool_Check(one) == 0 && hash_of(one) == hash_of(other)
    }
}

impl AttributeCache {
    /// The series for these attributes, if it is known and the family has lost none since.
    #[inline]
    pub fn find(&self, key: &Key, removals: u64) -> Option<&SeriesRef> {
        if self.removals != removals {
            return None;
        }
        let is_it = |entry: &Entry| {
            entry.items.len() == key.len
                // SAFETY: the cache owns its items, the key's live by the contract of `Key::of`; the GIL is held.
                && entry.items.iter().zip(key.items()).all(|(known, &given)| unsafe { is_same(known.as_ptr(), given) })
        };
        self.entries.find(key.hash, is_it).map(|entry| &entry.series)
    }

    /// Remembers the series for these attributes, looked up when the family had seen so many `removals`. Nothing that
    /// is dropped runs Python code: strings and numbers have no finalisers.
    pub fn insert(&mut self, py: Python<'_>, key: &Key, series: SeriesRef, removals: u64) {
        if self.removals != removals || self.entries.len() >= MOST {
            self.entries.clear();
            self.removals = removals;
        }
        // SAFETY: the key's objects are alive.
        let own = |&object: &Object| unsafe { Bound::from_borrowed_ptr(py, object) }.unbind();
        let items = key.items().iter().map(own).collect();
        self.entries.insert_unique(key.hash, Entry { hash: key.hash, items, series }, |entry| entry.hash);
    }
}
