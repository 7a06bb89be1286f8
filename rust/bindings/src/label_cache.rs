//! From label *objects* to their child: what makes `family.labels("a", "b").inc()` cheap.
//!
//! A program passes the same string objects again and again: literals, enum values, attributes. The
//! cache is keyed by their addresses, which it keeps valid by owning a reference, so a hit compares a
//! few pointers and hashes no text. It is direct-mapped and bounded; a miss falls back to the text.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};
use std::ptr;

/// Entries at the most; 32 KiB for a family with three labels.
const MOST: usize = 1024;

/// Addresses of label values, each with the child that they lead to.
pub struct LabelCache {
    labels: usize,
    /// Per entry: the child, then its label values. Null or owned references.
    slots: Vec<*mut ffi::PyObject>,
    mask: usize,
    /// The children that a user's subclass made, which live as long as their series.
    children: Option<Py<PyDict>>,
}

// SAFETY: the pointers are Python references, touched only under the GIL (see `GilCell`).
unsafe impl Send for LabelCache {}

impl LabelCache {
    pub fn new(labels: usize, children: Option<Py<PyDict>>) -> Self {
        let mut cache = LabelCache { labels, slots: Vec::new(), mask: 0, children };
        cache.resize(8);
        cache
    }

    /// The children that a user's subclass made, by label values.
    pub fn children<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyDict>> {
        self.children.as_ref().map(|children| children.bind(py).clone())
    }

    /// Gives up those children.
    pub fn forget(&mut self) -> Option<Py<PyDict>> {
        self.children.take()
    }

    /// Shows the garbage collector every reference.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.children)?;
        for slot in &self.slots {
            if !slot.is_null() {
                // SAFETY: an owned reference, which has the layout of a `Py`: it is a pointer to an object.
                visit.call(unsafe { &*ptr::from_ref(slot).cast::<Py<PyAny>>() })?;
            }
        }
        Ok(())
    }

    fn resize(&mut self, entries: usize) {
        self.slots = vec![ptr::null_mut(); entries * (self.labels + 1)];
        self.mask = entries - 1;
    }

    /// Whether this is the number of labels.
    #[inline(always)]
    pub fn fits(&self, count: ffi::Py_ssize_t) -> bool {
        self.labels == count.cast_unsigned()
    }

    #[inline(always)]
    fn slot(&self, key: &[*mut ffi::PyObject]) -> usize {
        let mut hash = 0usize;
        for &value in key {
            // Objects are 16 bytes apart at least; a multiplication spreads the rest.
            hash = (hash.rotate_left(5) ^ (value as usize >> 4)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        (hash >> 40 & self.mask) * (self.labels + 1)
    }

    /// The child for these very objects, borrowed, or null.
    ///
    /// # Safety
    /// `key` heads as many pointers as there are labels.
    #[inline(always)]
    pub unsafe fn find(&self, key: *const *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: by contract.
        let key = unsafe { std::slice::from_raw_parts(key, self.labels) };
        let slot = self.slot(key);
        // SAFETY: `slot` heads `labels + 1` pointers: it is a masked index times that many.
        let entry = unsafe { self.slots.get_unchecked(slot..=slot + self.labels) };
        if entry[1..].iter().zip(key).all(|(a, b)| ptr::eq(*a, *b)) {
            entry[0]
        } else {
            ptr::null_mut()
        }
    }

    /// Remembers a child; returns the references that it replaced, for the caller to drop once the
    /// cache is no longer borrowed.
    ///
    /// # Safety
    /// The GIL is held; the pointers are live objects, as many values as labels.
    #[must_use]
    pub unsafe fn insert(&mut self, key: &[*mut ffi::PyObject], child: *mut ffi::PyObject, series: usize) -> Evicted {
        let mut evicted = Evicted(Vec::new());
        // Grow with the family, so that small families stay small; four times as many entries as series,
        // so that few of them want the same one.
        if series * 2 > self.mask + 1 && self.mask + 1 < MOST {
            evicted = self.take_all();
            self.resize((series * 4).next_power_of_two().min(MOST));
        }
        let slot = self.slot(key);
        for (place, &object) in self.slots[slot..].iter_mut().zip([child].iter().chain(key)) {
            // SAFETY: `object` is live by contract.
            unsafe { ffi::Py_INCREF(object) };
            if !place.is_null() {
                evicted.0.push(*place);
            }
            *place = object;
        }
        evicted
    }

    /// Forgets everything.
    #[must_use]
    pub fn take_all(&mut self) -> Evicted {
        let all = self.slots.iter_mut().map(|place| std::mem::replace(place, ptr::null_mut()));
        Evicted(all.filter(|object| !object.is_null()).collect())
    }
}

impl Drop for LabelCache {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

/// References on their way out. Dropping them can run Python code.
pub struct Evicted(Vec<*mut ffi::PyObject>);

impl Drop for Evicted {
    fn drop(&mut self) {
        for &object in &self.0 {
            // SAFETY: each is an owned reference. Evictions are dropped by methods and deallocators,
            // that is with the GIL; `Python::attach` is re-entrant and makes it certain.
            Python::attach(|_| unsafe { ffi::Py_DECREF(object) });
        }
    }
}
