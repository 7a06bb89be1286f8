//! Which endpoint a scope was handled by. What a framework leaves in a scope is known to Python code
//! (`ferrometer.http.route_template`); here are the objects whose identity stands for its answer.

use crate::middleware::{keys, lookup, Obj};
use crate::once::Once;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;

/// The parts of a scope that tell the route, read when they are asked for.
pub struct Scope {
    scope: Obj,
    route: Obj,
}

impl Scope {
    /// # Safety
    /// `scope` is a dict that outlives this, the GIL is held, and no exception is pending as long as it is used.
    #[inline(always)]
    pub unsafe fn new(scope: Obj) -> Self {
        // SAFETY: as the caller says.
        Self { scope, route: unsafe { present(lookup(scope, &keys().route)) } }
    }

    /// The scope as it is now.
    ///
    /// # Safety
    /// As for [`new`](Self::new).
    pub unsafe fn again(&self) -> Self {
        // SAFETY: as the caller says.
        unsafe { Self::new(self.scope) }
    }

    /// The dict.
    ///
    /// # Safety
    /// It is alive.
    pub unsafe fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: alive, says the caller.
        unsafe { Bound::from_borrowed_ptr(py, self.scope) }
    }

    /// The address of the route object, or of the endpoint where there is none; zero where there is neither.
    #[inline(always)]
    pub fn route_or_endpoint(&self) -> usize {
        if self.route.is_null() {
            self.endpoint()
        } else {
            self.route as usize
        }
    }

    fn endpoint_object(&self) -> Obj {
        // SAFETY: `scope` is a live dict for as long as this value, by the contract of `new`.
        unsafe { present(lookup(self.scope, &keys().endpoint)) }
    }

    /// The address of the endpoint; zero where there is none.
    pub fn endpoint(&self) -> usize {
        self.endpoint_object() as usize
    }

    fn context_object(&self) -> Obj {
        // SAFETY: `scope` is a live dict for as long as this value, by the contract of `new`; the inner object is searched only if it is a dict.
        unsafe {
            let fastapi = lookup(self.scope, &keys().fastapi);
            if fastapi.is_null() || ffi::PyDict_Check(fastapi) == 0 {
                return null_mut();
            }
            present(lookup(fastapi, &keys().context))
        }
    }

    /// The address of FastAPI's context of the inclusion that the route was reached through; zero where there is none.
    pub fn context(&self) -> usize {
        self.context_object() as usize
    }

    /// Whether a scope without route and endpoint may have been handled all the same: FastAPI's frontends leave
    /// neither, but a dict of their own.
    pub fn may_hide_a_route(&self) -> bool {
        // SAFETY: `scope` is a live dict for as long as this value, by the contract of `new`.
        !unsafe { lookup(self.scope, &keys().fastapi) }.is_null()
    }

    /// References to all of these.
    pub fn identities(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let all = [self.route, self.endpoint_object(), self.context_object()];
        // SAFETY: borrowed from the scope, which is alive, or null.
        all.into_iter()
            .filter_map(|object| unsafe { Bound::from_borrowed_ptr_or_opt(py, object) }.map(Bound::unbind))
            .collect()
    }
}

/// Null for null and `None`.
#[inline(always)]
unsafe fn present(object: Obj) -> Obj {
    // SAFETY: a singleton is compared by address.
    if object == unsafe { ffi::Py_None() } {
        null_mut()
    } else {
        object
    }
}

/// How far an answer reaches.
#[derive(Clone, Copy)]
pub enum Reach {
    /// This request only.
    Request,
    /// Every request to the same route object (or endpoint).
    Route,
    /// Every request to the same route object through the same inclusion.
    Context,
}

/// What the resolver said.
pub struct Resolved {
    /// `None` when nothing matched.
    pub template: Option<String>,
    pub reach: Reach,
    /// Whether the route object says nothing and the endpoint is what to remember.
    pub by_endpoint: bool,
}

/// Asks `ferrometer.http.route_template.resolve`.
#[cold]
pub fn resolve(py: Python<'_>, scope: &Scope) -> PyResult<Resolved> {
    static RESOLVE: Once<Py<PyAny>> = Once::new();
    let function = RESOLVE
        .get_or_try_make(py, || py.import("ferrometer.http.route_template")?.getattr("resolve").map(Bound::unbind))?;
    // SAFETY: the scope is alive.
    let scope = unsafe { scope.object(py) };
    let (template, reach, by_endpoint): (Option<String>, u8, bool) = function.bind(py).call1((scope,))?.extract()?;
    let reach = match reach {
        1 => Reach::Route,
        2 => Reach::Context,
        _ => Reach::Request,
    };
    Ok(Resolved { template, reach, by_endpoint })
}
