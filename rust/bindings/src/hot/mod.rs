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
mod attribute_cache;
mod call;
pub mod child;
mod counter;
mod gauge;
mod histogram;
pub mod instrument;
mod labels;
pub mod methods;

use crate::metric::kinds::{natives, Counter};
use crate::metric::state::Metric;
use call::OFFSET;
use methods::add;
use pyo3::prelude::*;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

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
    )?;
    instrument::install(py)
}
