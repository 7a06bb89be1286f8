//! `DistinctSubjects`: counts distinct subjects over all workers, and keeps none of them.

use super::breaker_metrics::prefix;
use super::tables::{tell_trouble, DISTINCT};
use crate::gil::GilCell;
use crate::hot::methods::add;
use crate::metric::state::value_error;
use crate::registry::Registry;
use crate::thread_exit::protect;
use ferrometer_core::labels::Labels;
use ferrometer_core::registry::{Computed, Sample, Source, Value};
use ferrometer_core::scrape::Scrape;
use ferrometer_state::distinct::table::{Subjects, Table, KINDS, MAX_KIND, WINDOWS};
use ferrometer_state::time::{coarse_ms, now_ms};
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::ffi::{self, PyObject, Py_ssize_t};
use pyo3::prelude::*;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

#[derive(Clone, Copy)]
struct Resolved {
    table: &'static Table,
    subjects: Subjects<'static>,
    hasher: SipHasher13,
}

/// One kind of subjects. `ferrometer.active_users.ActiveUsers` is the class to use.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct DistinctSubjects {
    kind: String,
    /// The application's secret as a key; without one the first worker makes a key.
    key: Option<[u64; 2]>,
    resolved: GilCell<Option<Resolved>>,
}

impl DistinctSubjects {
    /// Records a subject's bytes.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline(always)]
    unsafe fn record(&self, subject: &[u8]) -> bool {
        // SAFETY: the GIL is held, and the value is read.
        let resolved = unsafe { self.resolved.peek() };
        if let (Some(resolved), Some(table)) = (resolved, DISTINCT.look()) {
            if ptr::eq(resolved.table, table) {
                let mut hasher = resolved.hasher;
                hasher.write(subject);
                resolved.subjects.add(hasher.finish(), coarse_ms());
                return true;
            }
        }
        false
    }

    #[cold]
    fn resolve(&self) -> PyResult<()> {
        let mut table = DISTINCT.get()?;
        let key = if let Some(key) = table.key(self.key)? {
            key
        } else {
            let words = "active users are counted by this worker alone: another worker has another secret; give \
                         all of them the same";
            // SAFETY: the GIL is held in every method of a Python object.
            unsafe { tell_trouble(words.into()) };
            table = Box::leak(Box::new(Table::open(None)?));
            DISTINCT.replace(table);
            self.key.unwrap_or_default()
        };
        let subjects = table.find_or_add(&self.kind).ok_or_else(|| {
            let known: Vec<String> = table.kinds().filter_map(Subjects::name).collect();
            PyValueError::new_err(format!(
                "there is room for {KINDS} kinds of subjects, and there are {}: {:?} is one too many",
                known.join(", "),
                self.kind
            ))
        })?;
        let hasher = SipHasher13::new_with_keys(key[0], key[1]);
        // SAFETY: the GIL is held; nobody borrows the old value, which is copied out under the GIL.
        unsafe { self.resolved.with(|resolved| *resolved = Some(Resolved { table, subjects, hasher })) };
        Ok(())
    }

    fn add_bytes(&self, subject: &[u8]) -> PyResult<()> {
        // SAFETY: the GIL is held in every method of a Python object.
        if unsafe { !self.record(subject) } {
            self.resolve()?;
            // SAFETY: the GIL is held; what `resolve` may have let happen meanwhile is seen, for the table is looked up anew.
            unsafe { self.record(subject) };
        }
        Ok(())
    }
}

#[pymethods]
impl DistinctSubjects {
    #[new]
    #[pyo3(signature = (kind, key=None))]
    fn new(kind: String, key: Option<(u64, u64)>) -> PyResult<Self> {
        if kind.is_empty() || kind.len() > MAX_KIND {
            return Err(PyValueError::new_err(format!("a kind has 1 to {MAX_KIND} bytes, not {}", kind.len())));
        }
        let key = key.map(|key| [key.0, key.1]);
        let made = DistinctSubjects { kind, key, resolved: GilCell::new(None) };
        made.resolve()?;
        Ok(made)
    }

    /// About how many were seen in each window, by its name.
    fn counts(&self) -> PyResult<Vec<(&'static str, f64)>> {
        let table = DISTINCT.get()?;
        let subjects = table.find_or_add(&self.kind).ok_or_else(|| PyOSError::new_err("no room"))?;
        Ok(WINDOWS.iter().map(|window| window.name).zip(subjects.estimates(now_ms())).collect())
    }
}

/// DistinctSubjects.seen(subject)
unsafe extern "C" fn seen(
    slf: *mut PyObject,
    args: *const *mut PyObject,
    nargs: Py_ssize_t,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls with an object of this class as `self`, under the GIL, and with `nargs` live objects at `args`.
    // The buffers of a string and of bytes live as long as these.
    unsafe {
        let py = Python::assume_attached();
        let this = &*ptr::from_ref(Borrowed::from_ptr(py, slf).cast_unchecked::<DistinctSubjects>().get());
        if nargs != 1 || !kwnames.is_null() {
            PyTypeError::new_err("seen() takes one argument, a subject").restore(py);
            return ptr::null_mut();
        }
        let mut length = 0;
        let start = if ffi::PyUnicode_Check(*args) != 0 {
            ffi::PyUnicode_AsUTF8AndSize(*args, &raw mut length)
        } else if ffi::PyBytes_Check(*args) != 0 {
            length = ffi::PyBytes_Size(*args);
            ffi::PyBytes_AsString(*args)
        } else {
            protect();
            PyTypeError::new_err("a subject is a str or bytes: give str(user.id)").restore(py);
            return ptr::null_mut();
        };
        if start.is_null() {
            return ptr::null_mut();
        }
        let subject = std::slice::from_raw_parts(start.cast::<u8>(), length.unsigned_abs());
        if !this.record(subject) {
            if let Err(error) = this.add_bytes(subject) {
                error.restore(py);
                return ptr::null_mut();
            }
        }
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}

/// Adds the raw method.
pub fn install(py: Python<'_>) -> PyResult<()> {
    add(
        &py.get_type::<DistinctSubjects>(),
        c"seen",
        c"seen($self, subject, /)\n--\n\nCounts a subject, a str or bytes, which is hashed and not kept.",
        seen,
    )
}

/// Those of a directory; without one, of this process's table.
struct Distinct {
    name: String,
    directory: Option<PathBuf>,
}

/// The metric of a directory's active users.
pub fn of_directory(prefix: &str, directory: &Path) -> Arc<dyn Source> {
    Arc::new(Distinct { name: format!("{prefix}active_users"), directory: Some(directory.into()) })
}

impl Source for Distinct {
    fn collect(&self, _: &Scrape, out: &mut Vec<Computed>) {
        let Ok(Some(table)) = DISTINCT.of(self.directory.as_deref()) else { return };
        let now = now_ms();
        let mut samples = Vec::new();
        for subjects in table.kinds() {
            let Some(kind) = subjects.name() else { continue };
            for (window, estimate) in WINDOWS.iter().zip(subjects.estimates(now)) {
                let mut labels = Vec::new();
                Labels::new(&["kind", "window"]).render(&[&kind, window.name], &mut labels);
                let labels = String::from_utf8_lossy(&labels).into_owned();
                samples.push(Sample { suffix: String::new(), labels, value: Value::Float(estimate.round()) });
            }
        }
        if !samples.is_empty() {
            let help = "Distinct subjects seen in the window by all workers, to 1 % or so".into();
            out.push(Computed { name: self.name.clone(), help, kind: "gauge".into(), samples });
        }
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

/// Shows the distinct subjects of all workers in a registry.
#[pyfunction]
pub fn register_distinct_metrics(registry: &Bound<'_, Registry>, namespace: &str) -> PyResult<()> {
    let name = format!("{}active_users", prefix(namespace));
    let core = &registry.get().core;
    core.register_source(Arc::new(Distinct { name, directory: None }), "the metric of active users")
        .map_err(value_error)
}
