//! The state of `MetricsMiddleware`, and how it finds the endpoint of a request.

use super::ffi::Obj;
use super::scope::Skip;
use crate::http_metrics::{Endpoint, Instrument, Scope};
use pyo3::ffi;
use pyo3::prelude::*;
use std::rc::Rc;

/// The native object. Everything is decided when it is made; afterwards it is only read.
#[repr(C)]
pub struct Middleware {
    head: ffi::PyObject,
    pub face: ffi::vectorcallfunc,
    pub weak_references: Obj,
    /// Owned.
    pub app: Obj,
    /// Owned: the [`HttpMetrics`] that holds the instrument.
    pub metrics: Obj,
    /// Where the instrument lies in it.
    pub instrument: *const Instrument,
    pub skip: Box<Skip>,
    /// There is nothing to skip, nothing to be traced, and no hook.
    pub measures_all: bool,
    /// The user's function from a scope to a template; owned, or null.
    pub hook: Obj,
    pub names_requests: bool,
}

impl Middleware {
    /// What it records into.
    #[inline(always)]
    pub fn instrument(&self) -> &Instrument {
        // SAFETY: an object does not move, and `metrics` is owned as long as anything calls this.
        unsafe { &*self.instrument }
    }

    /// The endpoint of a request that is not known by identity: by the user's hook, or by what the framework left.
    ///
    /// # Safety
    /// The scope is live; no exception is pending.
    #[cold]
    #[inline(never)]
    pub unsafe fn endpoint(&self, scope: &Scope) -> Rc<Endpoint> {
        let instrument = self.instrument();
        // Attached, so that errors are given back at once and not when PyO3 is next called.
        Python::attach(|py| {
            // SAFETY: the hook, if any, and the scope are alive; errors are taken as values.
            match unsafe { hooked(py, scope, self) } {
                Ok(Some(name)) => return instrument.table.named(&name),
                Ok(None) => {}
                Err(error) => forget(py, error, instrument, "route"),
            }
            // SAFETY: the scope is alive. The hook may have changed it.
            let scope = unsafe { scope.again() };
            match instrument.table.find(py, &scope) {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    forget(py, error, instrument, "template");
                    instrument.table.unmatched()
                }
            }
        })
    }
}

unsafe fn hooked(py: Python<'_>, scope: &Scope, middleware: &Middleware) -> PyResult<Option<String>> {
    if middleware.hook.is_null() {
        return Ok(None);
    }
    // SAFETY: both are alive.
    let (hook, scope) = unsafe { (Bound::from_borrowed_ptr(py, middleware.hook), scope.object(py)) };
    hook.call1((scope,))?.extract()
}

fn forget(_: Python<'_>, error: PyErr, instrument: &Instrument, reason: &str) {
    drop(error);
    instrument.shared.fault(reason);
}
