//! The hot calls as raw method slots: `inc`, `dec`, `set`, `observe`, `labels`.
//!
//! PyO3's own trampoline costs as much as the work done here (a thread-local attach count, a panic
//! guard, argument extraction through `Result`s), so these few functions are plain C functions with
//! CPython's `METH_FASTCALL | METH_KEYWORDS`, added to the PyO3 classes as method descriptors, which
//! the interpreter's specialised calls know. Everything that is not the fast path goes through
//! [`guarded`](call::guarded): PyO3 again, with errors and panics turned into exceptions.
//!
//! What every `unsafe` in here rests on:
//! - CPython calls a method descriptor only with a `self` of its type (it raises `TypeError`
//!   otherwise), with the GIL, and with `args` heading as many objects as `nargs` and `kwnames` say;
//! - a `Metric`'s `cell` is zero or the address of its cell, kept alive by its `series`, with a bit that says of which
//!   kind the cell is. `Metric::bind` is the only writer.
//! - no fast path can panic: no indexing, no allocation, no arithmetic that checks.

mod arguments;
mod call;
mod counter;
mod gauge;
mod histogram;
mod labels;
pub mod methods;

use crate::metric::{Counter, Enum, Gauge, Histogram, Info, Metric, Summary};
pub use call::object_of;
use call::OFFSET;
use methods::add;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

/// A new, empty object of a metric class, past whatever `__new__` and `__init__` Python defined.
pub fn new_child<'py>(kind: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = kind.py();
    let natives = natives(py);
    let mut native = kind.as_type_ptr();
    while !natives.iter().any(|known| ptr::eq(known.as_type_ptr(), native)) {
        // SAFETY: a live type; the chain of bases ends with null.
        native = unsafe { (*native).tp_base };
        if native.is_null() {
            return Err(PyTypeError::new_err(format!("{} is no metric class", kind.name()?)));
        }
    }
    let arguments = PyTuple::empty(py);
    // SAFETY: a PyO3 class has a `tp_new`; the subtype derives from it; it takes any arguments.
    unsafe {
        let new = (*native).tp_new.ok_or_else(|| PyRuntimeError::new_err("a metric class without tp_new"))?;
        Bound::from_owned_ptr_or_err(py, new(kind.as_type_ptr(), arguments.as_ptr(), ptr::null_mut()))
    }
}

pub fn natives(py: Python<'_>) -> [Bound<'_, PyType>; 6] {
    [
        py.get_type::<Counter>(),
        py.get_type::<Gauge>(),
        py.get_type::<Histogram>(),
        py.get_type::<Summary>(),
        py.get_type::<Info>(),
        py.get_type::<Enum>(),
    ]
}

/// Adds the raw methods to the classes.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let probe = Bound::new(py, Metric::with(Counter))?;
    let native = ptr::from_ref(probe.as_super().get()) as usize;
    OFFSET.store(native - probe.as_ptr() as usize, Relaxed);

    let [counter, gauge, histogram, summary, ..] = natives(py);
    let metric = py.get_type::<Metric>();
    add(
        &metric,
        c"labels",
        c"labels($self, /, *labelvalues, **labelkwargs)\n--\n\nThe child with these label values, \
        made when it is not there; ValueError when they do not match the label names.",
        labels::labels,
    )?;
    add(
        &counter,
        c"inc",
        c"inc($self, /, amount=1, exemplar=None)\n--\n\nIncrements by the amount, which is finite and \
        not negative.",
        counter::counter_inc,
    )?;
    add(&gauge, c"inc", c"inc($self, /, amount=1)\n--\n\nIncrements by the amount.", gauge::gauge_inc)?;
    add(&gauge, c"dec", c"dec($self, /, amount=1)\n--\n\nDecrements by the amount.", gauge::gauge_dec)?;
    add(&gauge, c"set", c"set($self, /, value)\n--\n\nSets the value.", gauge::gauge_set)?;
    add(
        &histogram,
        c"observe",
        c"observe($self, /, amount, exemplar=None)\n--\n\nRecords an amount, in the metric's \
        unit. NaN is counted in a self-metric and nowhere else.",
        histogram::observe,
    )?;
    add(
        &summary,
        c"observe",
        c"observe($self, /, amount)\n--\n\nRecords an amount, in the metric's unit. NaN is \
        counted in a self-metric and nowhere else.",
        histogram::observe,
    )
}
