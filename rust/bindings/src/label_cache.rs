//! From label *objects* to their child: what makes `family.labels("a", "b").inc()` cheap.
//!
//! A program passes the same string objects again and again: literals, enum values, attributes. The
//! cache is keyed by their addresses, which it keeps valid by owning a reference, so a hit compares a
//! few pointers and hashes no text. It is bounded; a miss falls back to the text.
//!
//! What comes first takes a free place. Only what comes again takes one from another: strings that are made
//! anew for each call come once, and leave those that stay in peace. What comes again and finds no place is
//! also why the cache grows beyond [`MODEST`], up to twice as many entries as the family has series.
//!
//! What it knows is void once the family has lost a series, to whomever: the child may be that one's.

use crate::thread_exit::protect;
use ferrometer_core::family::Family;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};
use std::ptr;
use std::sync::Arc;

/// Entries that a family gets for its size alone; half a mebibyte where there are three labels.
const MODEST: usize = 16_384;

/// So many entries in a row can hold a child, from the one that its labels lead to.
const ROW: usize = 4;

const MULTIPLIER: usize = 0x9e37_79b9_7f4a_7c15;

type Object = *mut ffi::PyObject;

/// Addresses of label values, each with the child that they lead to.
pub struct LabelCache {
    /// Per entry: the child, then its label values. Null or owned references. In a row, entries are
    /// taken from the first on, and given up only all together.
    slots: Vec<Object>,
    /// Entries that can be the first of a row, less one; there are `ROW - 1` more.
    mask: usize,
    labels: usize,
    family: Arc<Family>,
    /// The family's `removals` when this was empty.
    removals: u64,
    used: usize,
    /// Marks of what found its row full, by hash; empty until then.
    marks: Vec<u16>,
    /// How often something came again and found its row full, since the last growth.
    crowded: usize,
    /// The children that a user's subclass made, which live as long as their series.
    children: Option<Py<PyDict>>,
}

// SAFETY: the pointers are Python references, touched only under the GIL (see `GilCell`).
unsafe impl Send for LabelCache {}

impl LabelCache {
    pub fn new(family: Arc<Family>, children: Option<Py<PyDict>>) -> Self {
        let labels = family.labels().names().len();
        let removals = family.removals();
        let (slots, marks) = (Vec::new(), Vec::new());
        let mut cache = LabelCache { slots, mask: 0, labels, family, removals, used: 0, marks, crowded: 0, children };
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
        self.slots = vec![ptr::null_mut(); (entries + ROW - 1) * (self.labels + 1)];
        self.mask = entries - 1;
    }

    /// Whether this is the number of labels.
    #[inline(always)]
    pub fn fits(&self, count: ffi::Py_ssize_t) -> bool {
        self.labels == count.cast_unsigned()
    }

    /// Whether nothing of what it knows may be void.
    #[inline(always)]
    pub fn is_current(&self) -> bool {
        self.removals == self.family.removals()
    }

    /// The first entry of the row for these objects.
    ///
    /// # Safety
    /// `key` heads `labels` pointers, and that is the cache's number of labels. Likewise below.
    #[inline(always)]
    unsafe fn row(&self, key: *const Object, labels: usize) -> *const Object {
        let mut hash = 0usize;
        for label in 0..labels {
            // SAFETY: by contract.
            hash = (hash ^ unsafe { *key.add(label) } as usize).wrapping_mul(MULTIPLIER);
        }
        // SAFETY: a masked index is that of an entry.
        unsafe { self.slots.as_ptr().add((hash >> 40 & self.mask) * (labels + 1)) }
    }

    #[inline(always)]
    unsafe fn is_at(entry: *const Object, key: *const Object, labels: usize) -> bool {
        // SAFETY: an entry is `labels + 1` pointers long.
        (0..labels).all(|label| unsafe { *entry.add(1 + label) == *key.add(label) })
    }

    #[inline(always)]
    unsafe fn look(&self, key: *const Object, labels: usize) -> Object {
        // SAFETY: by contract.
        unsafe {
            let entry = self.row(key, labels);
            if Self::is_at(entry, key, labels) {
                *entry
            } else if (*entry).is_null() {
                ptr::null_mut()
            } else {
                Self::look_further(entry, key, labels)
            }
        }
    }

    /// The other entries of a row.
    #[inline(never)]
    unsafe fn look_further(mut entry: *const Object, key: *const Object, labels: usize) -> Object {
        for _ in 1..ROW {
            // SAFETY: a row has that many entries.
            unsafe {
                entry = entry.add(labels + 1);
                if Self::is_at(entry, key, labels) {
                    return *entry;
                }
            }
        }
        ptr::null_mut()
    }

    /// The child for these very objects, borrowed, or null.
    ///
    /// # Safety
    /// `key` heads as many pointers as there are labels.
    #[inline(always)]
    pub unsafe fn find(&self, key: *const Object) -> Object {
        // SAFETY: by contract. With the number known, nothing is left of the loops.
        unsafe {
            match self.labels {
                1 => self.look(key, 1),
                2 => self.look(key, 2),
                3 => self.look(key, 3),
                labels => self.look(key, labels),
            }
        }
    }

    /// Remembers a child that was looked up when the family had seen so many `removals`; returns the
    /// references that it replaced, for the caller to drop once the cache is no longer borrowed.
    ///
    /// # Safety
    /// The GIL is held; the pointers are live objects, as many as labels: strings, or others that are hashed and dropped
    /// without running Python code.
    #[must_use]
    pub unsafe fn insert(&mut self, key: &[Object], child: Object, removals: u64) -> Evicted {
        if removals != self.removals || !self.is_current() {
            // Python code that ran meanwhile has removed series: perhaps this one.
            return Evicted(Vec::new());
        }
        let mut evicted = Evicted(Vec::new());
        // Grow with the family, so that small families stay small; more than twice as many entries as
        // series, so that few rows are full.
        let series = self.family.len();
        if series * 2 > self.mask + 1 && self.mask + 1 < MODEST {
            evicted = self.grow((series * 4).next_power_of_two().min(MODEST));
        }
        let size = self.labels + 1;
        // SAFETY: by contract.
        let mut row = unsafe { self.place(key) };
        let mut free = (0..ROW).find(|entry| self.slots[row + entry * size].is_null());
        if free.is_none() {
            // SAFETY: by contract.
            if !unsafe { self.comes_again(key) } {
                return evicted;
            }
            self.crowded += 1;
            if self.crowded > self.mask / 8 && self.mask + 1 < series * 2 {
                evicted = self.grow((series * 2).next_power_of_two());
                // SAFETY: by contract.
                row = unsafe { self.place(key) };
                free = Some(0);
            }
        }
        // Which one has to go is as good as any other, but not always the same one.
        let place = row + free.unwrap_or(self.used % ROW) * size;
        self.used += 1;
        for (place, &object) in self.slots[place..].iter_mut().zip([child].iter().chain(key)) {
            // SAFETY: `object` is live by contract.
            unsafe { ffi::Py_INCREF(object) };
            if !place.is_null() {
                evicted.0.push(*place);
            }
            *place = object;
        }
        evicted
    }

    /// Where the row for these objects begins, in `slots`.
    ///
    /// # Safety
    /// As `row`, for all labels.
    unsafe fn place(&self, key: &[Object]) -> usize {
        // SAFETY: by contract; a row lies in `slots`.
        unsafe { self.row(key.as_ptr(), self.labels).offset_from_unsigned(self.slots.as_ptr()) }
    }

    /// Forgets everything, for a table of so many entries.
    fn grow(&mut self, entries: usize) -> Evicted {
        let evicted = self.take_all();
        self.resize(entries);
        self.marks = Vec::new();
        self.crowded = 0;
        evicted
    }

    /// Whether these objects were here before, as far as a mark remembers; marks them.
    ///
    /// # Safety
    /// As `insert`.
    unsafe fn comes_again(&mut self, key: &[Object]) -> bool {
        if self.marks.is_empty() {
            // As many as there are series to remember, for each of them has to come twice.
            self.marks = vec![0; (self.family.len() * 2).next_power_of_two().max(self.mask + 1)];
        }
        let mut hash = 0usize;
        for &object in key {
            // The text too: strings that are made anew lie where others lay before.
            // SAFETY: a live object, whose hash is computed without running Python code, by contract.
            let text = unsafe { ffi::PyObject_Hash(object) }.cast_unsigned();
            hash = (hash ^ object as usize).wrapping_mul(MULTIPLIER);
            hash = (hash.rotate_left(23) ^ text).wrapping_mul(MULTIPLIER);
        }
        let place = hash >> 20 & (self.marks.len() - 1);
        let mark = &mut self.marks[place];
        let own = (hash >> 48) as u16 | 1;
        std::mem::replace(mark, own) == own
    }

    /// Forgets everything if some of it may be void.
    #[must_use]
    pub fn refresh(&mut self) -> Option<Evicted> {
        (!self.is_current()).then(|| self.take_all())
    }

    /// Forgets everything.
    #[must_use]
    pub fn take_all(&mut self) -> Evicted {
        self.removals = self.family.removals();
        if std::mem::take(&mut self.used) == 0 {
            return Evicted(Vec::new());
        }
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
pub struct Evicted(Vec<Object>);

impl Drop for Evicted {
    fn drop(&mut self) {
        protect();
        for &object in &self.0 {
            // SAFETY: each is an owned reference. Evictions are dropped by methods and deallocators,
            // that is with the GIL; `Python::attach` is re-entrant and makes it certain.
            Python::attach(|_| unsafe { ffi::Py_DECREF(object) });
        }
    }
}
