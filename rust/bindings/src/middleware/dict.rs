//! Looking into a dict without a call.
//!
//! A request means a dozen look-ups of interned strings in small dicts. `PyDict_GetItemWithError` spends some 110
//! instructions on one, nearly all on what cannot happen here (computing a hash, comparing text, keys that are no
//! strings); looking at the entry where the key was last time takes about twelve, following the hash thirty.
//!
//! The layout below is that of CPython 3.11 to 3.13. It is checked at import against the official functions, which dicts
//! of another shape use. In later versions, and where keys are no strings, a dict is gone through entry by entry: slower,
//! but no key's `__eq__` is run.

use super::ffi::Obj;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// An interned string and its hash.
pub struct Key {
    pub object: Obj,
    hash: usize,
    /// Which entry it was last: a server makes all its scopes alike, so there it will be again.
    last: Cell<usize>,
}

impl Key {
    /// Takes the reference.
    ///
    /// # Safety
    /// `object` is an owned, interned str; the GIL is held.
    pub unsafe fn new(object: Obj) -> Self {
        // SAFETY: hashing a str runs no Python code and cannot fail.
        Self { object, hash: unsafe { ffi::PyObject_Hash(object) } as usize, last: Cell::new(0) }
    }
}

/// `PyDictKeysObject`
#[repr(C)]
struct Table {
    references: isize,
    log2_size: u8,
    log2_index_bytes: u8,
    kind: u8,
    version: u32,
    usable: isize,
    entries: isize,
    // Here follow the indices, then the entries.
}

/// An entry of a table whose keys are all strings.
#[repr(C)]
pub struct Entry {
    pub key: Obj,
    /// Null where the entry was deleted.
    pub value: Obj,
}

/// The kind of a combined table whose keys are all exact strings; [`NEVER`] where the layout is another one.
static STRINGS: AtomicU8 = AtomicU8::new(if cfg!(Py_3_14) { NEVER } else { ALL_STRINGS });
const ALL_STRINGS: u8 = 1;
const NEVER: u8 = 255;
/// The kind of a table with keys of any type.
const GENERAL: u8 = 0;

/// Tables of up to eight places, that is up to five entries, have eight indices of one byte.
const SMALL: u8 = 3;
/// Tables up to this size have indices of one byte.
const BYTE_INDICES: u8 = 7;
const EMPTY: i8 = -1;

/// Where the entries of a table begin.
#[inline(always)]
unsafe fn entries_behind(table: *const Table, index_bytes: usize) -> *const Entry {
    // SAFETY: they lie behind that many bytes of indices, which are a multiple of eight.
    unsafe { table.add(1).cast::<i8>().add(index_bytes).cast() }
}

#[inline(always)]
unsafe fn table(dict: Obj) -> *const Table {
    // SAFETY: every dict has a table, which lives until the dict is changed, and nobody changes it meanwhile.
    unsafe { (*dict.cast::<ffi::PyDictObject>()).ma_keys.cast() }
}

/// All entries in order of insertion of a dict that never had more than five.
///
/// # Safety
/// `dict` is a live dict that nobody changes while the slice is used.
#[inline(always)]
pub unsafe fn entries<'a>(dict: Obj) -> Option<&'a [Entry]> {
    // SAFETY: `entries` of them are initialised, behind eight indices.
    unsafe {
        let table = table(dict);
        if (*table).kind != STRINGS.load(Relaxed) || (*table).log2_size != SMALL {
            return None;
        }
        let first = entries_behind(table, 1 << SMALL);
        Some(std::slice::from_raw_parts(first, (*table).entries as usize))
    }
}

/// The value of the first entry if `key` is its key, as it is for `type` in nearly every scope.
///
/// # Safety
/// `dict` is a live dict.
#[inline(always)]
pub unsafe fn first(dict: Obj, key: &Key) -> Option<Obj> {
    // SAFETY: of the entries, which lie behind the indices, the first is read only if there is one.
    unsafe {
        let table = table(dict);
        if (*table).kind != STRINGS.load(Relaxed) || (*table).entries == 0 {
            return None;
        }
        let first = entries_behind(table, 1 << (*table).log2_index_bytes);
        ((*first).key == key.object).then_some((*first).value)
    }
}

/// The value, `Some(null)` where there is none; `None` to have the official function look.
#[inline(always)]
unsafe fn find(dict: Obj, key: &Key) -> Option<Obj> {
    // SAFETY: as many entries as the table says are initialised.
    unsafe {
        let table = table(dict);
        if (*table).kind != STRINGS.load(Relaxed) || (*table).log2_size > BYTE_INDICES {
            return None;
        }
        let entries = entries_behind(table, 1 << (*table).log2_index_bytes);
        let last = key.last.get();
        if last < (*table).entries as usize && (*entries.add(last)).key == key.object {
            return Some((*entries.add(last)).value);
        }
        search(table, entries, key)
    }
}

/// Searches by hash.
#[inline(never)]
unsafe fn search(table: *const Table, entries: *const Entry, key: &Key) -> Option<Obj> {
    // SAFETY: indices below 2^log2_size are read, and entries that an index names; one index at least is free, so the
    // loop, which visits all of them, ends. A table's keys are strings whose hash is known.
    unsafe {
        let indices = table.add(1).cast::<i8>();
        let mask = (1usize << (*table).log2_size) - 1;
        let mut perturb = key.hash;
        let mut place = perturb & mask;
        loop {
            let index = *indices.add(place);
            if index >= 0 {
                let entry = &*entries.add(index as usize);
                if entry.key == key.object {
                    key.last.set(index as usize);
                    return Some(entry.value);
                }
                if (*entry.key.cast::<ffi::PyASCIIObject>()).hash as usize == key.hash {
                    // Perhaps the same text in another object.
                    return None;
                }
            } else if index == EMPTY {
                return Some(null_mut());
            }
            perturb >>= 5;
            place = place.wrapping_mul(5).wrapping_add(perturb).wrapping_add(1) & mask;
        }
    }
}

/// `dict[key]`, borrowed, or null with no exception set.
///
/// # Safety
/// `dict` is a live dict (or of a subclass); no exception may be pending, for a miss clears it.
#[inline(always)]
pub unsafe fn lookup(dict: Obj, key: &Key) -> Obj {
    // SAFETY: as the caller says.
    unsafe { find(dict, key).unwrap_or_else(|| ask(dict, key)) }
}

#[cold]
#[inline(never)]
unsafe fn ask(dict: Obj, key: &Key) -> Obj {
    // SAFETY: a live dict and a key that lives for ever. Where the layout is not known, nor is whether all keys are strings.
    unsafe {
        if STRINGS.load(Relaxed) == NEVER || (*table(dict)).kind == GENERAL {
            return scan(dict, key);
        }
        let found = ffi::PyDict_GetItemWithError(dict, key.object);
        if found.is_null() && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
        }
        found
    }
}

/// Searches a dict with keys of any type, and never runs the `__eq__` of one: that could change the dict, whose values
/// the callers borrow.
unsafe fn scan(dict: Obj, key: &Key) -> Obj {
    let (mut place, mut found, mut value) = (0, null_mut(), null_mut());
    // SAFETY: nothing here runs Python code, so the dict stays as it is; strings are compared as strings.
    unsafe {
        while ffi::PyDict_Next(dict, &raw mut place, &raw mut found, &raw mut value) != 0 {
            if found == key.object
                || (ffi::PyUnicode_Check(found) != 0 && ffi::PyUnicode_Compare(found, key.object) == 0)
            {
                return value;
            }
        }
    }
    null_mut()
}

/// Whether the layout is this interpreter's, as found at import.
static FITS: AtomicBool = AtomicBool::new(false);

/// Whether dicts are read by CPython's own layout. `wanted` turns that on, where it is this interpreter's layout, and off.
#[pyfunction]
#[pyo3(signature = (wanted=None))]
pub fn private_dict_layout(wanted: Option<bool>) -> bool {
    if let Some(wanted) = wanted {
        STRINGS.store(if wanted && FITS.load(Relaxed) { ALL_STRINGS } else { NEVER }, Relaxed);
    }
    STRINGS.load(Relaxed) != NEVER
}

/// Compares the layout above with what the official functions say, and gives it up where they differ.
///
/// # Safety
/// At import, with the GIL held; the keys are different ones, more than five.
pub unsafe fn check(keys: &[&Key]) {
    // SAFETY: dicts of our own; values are the keys themselves.
    unsafe {
        let found_alike = |dict: Obj| {
            keys.iter().all(|key| {
                let expected = ffi::PyDict_GetItemWithError(dict, key.object);
                find(dict, key).is_none_or(|found| found == expected)
            })
        };
        let set = |dict: Obj, key: &Key| ffi::PyDict_SetItem(dict, key.object, key.object) == 0;
        // Few keys, in the order of insertion.
        let small = ffi::PyDict_New();
        let mut fits = !small.is_null() && keys[..3].iter().all(|key| set(small, key)) && found_alike(small);
        fits = fits
            && entries(small).is_none_or(|entries| {
                first(small, keys[0]) == Some(keys[0].object)
                    && entries.len() == 3
                    && entries.iter().zip(keys).all(|(entry, key)| (entry.key, entry.value) == (key.object, key.object))
            });
        ffi::Py_XDECREF(small);
        // Many keys, growing, and with every other one deleted.
        let large = ffi::PyDict_New();
        fits = fits && !large.is_null();
        for key in keys {
            fits = fits && set(large, key) && found_alike(large);
        }
        for key in keys.iter().step_by(2) {
            fits = fits && ffi::PyDict_DelItem(large, key.object) == 0 && found_alike(large);
        }
        ffi::Py_XDECREF(large);
        ffi::PyErr_Clear();
        if !fits {
            STRINGS.store(NEVER, Relaxed);
        }
        FITS.store(STRINGS.load(Relaxed) != NEVER, Relaxed);
    }
}
