//! From a scope to the series of its endpoint, by identity of the route object.

use super::endpoint::Endpoint;
use super::resolve::{resolve, Reach, Resolved, Scope};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// So many route objects, and so many templates, are remembered; then all are forgotten. Applications have fewer; one that
/// makes route objects as it goes must not keep them all alive here.
const MOST: usize = 8192;

/// The label value of requests that no route matched.
const UNMATCHED: &str = "unmatched";

struct Slot {
    /// The address of the route object, kept alive by `Table::routes`; zero when free.
    key: Cell<usize>,
    /// Null when the route leaves the template to `scope["endpoint"]`, as a mount does.
    endpoint: Cell<*const Endpoint>,
}

/// Routes and endpoints seen so far. Only touched with the GIL held.
#[repr(C)]
pub struct Table {
    /// The slots as a plain address, for the one look-up that every request makes.
    first: Cell<*const Slot>,
    shift: Cell<u32>,
    /// The same slots.
    slots: RefCell<Box<[Slot]>>,
    routes: RefCell<Vec<Py<PyAny>>>,
    /// Templates of routes that are reached in several ways, by route and FastAPI's context of the inclusion.
    contexts: RefCell<HashMap<(usize, usize), Rc<Endpoint>>>,
    by_name: RefCell<HashMap<Box<str>, Rc<Endpoint>>>,
    unmatched: RefCell<Rc<Endpoint>>,
}

// SAFETY: only touched with the GIL held, as part of an object that Python owns.
unsafe impl Send for Table {}
// SAFETY: shared references are only used with the GIL held, one at a time.
unsafe impl Sync for Table {}

const MULTIPLIER: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;

fn free_slots(bits: u32) -> Box<[Slot]> {
    (0..1usize << bits).map(|_| Slot { key: Cell::new(0), endpoint: Cell::new(std::ptr::null()) }).collect()
}

impl Table {
    pub fn new() -> Self {
        let slots = free_slots(6);
        Self {
            first: Cell::new(slots.as_ptr()),
            shift: Cell::new(usize::BITS - 6),
            slots: RefCell::new(slots),
            routes: RefCell::default(),
            contexts: RefCell::default(),
            by_name: RefCell::default(),
            unmatched: RefCell::new(Rc::new(Endpoint::new(UNMATCHED))),
        }
    }

    #[inline(always)]
    fn slot(&self, key: usize) -> Option<&Slot> {
        let mut index = key.wrapping_mul(MULTIPLIER) >> self.shift.get();
        loop {
            // SAFETY: `first` heads 2^(bits - shift) slots, the shifted product is below that, and the wrap below
            // keeps it so.
            let slot = unsafe { &*self.first.get().add(index) };
            if slot.key.get() == key {
                return Some(slot);
            }
            // At least half of the slots are free, so the loop ends.
            if slot.key.get() == 0 {
                return None;
            }
            index = (index + 1) & ((1 << (usize::BITS - self.shift.get())) - 1);
        }
    }

    /// The endpoint of a scope, if its route has been seen and decides the template by itself.
    #[inline(always)]
    pub fn known(&self, scope: &Scope) -> Option<&Endpoint> {
        let key = scope.route_or_endpoint();
        if key == 0 {
            // SAFETY: `unmatched` is replaced only by `forget`, which nobody calls who holds what this returns.
            return (!scope.may_hide_a_route()).then(|| unsafe { &*Rc::as_ptr(&self.unmatched.borrow()) });
        }
        let mut slot = self.slot(key)?;
        if slot.endpoint.get().is_null() {
            slot = self.slot(Some(scope.endpoint()).filter(|&key| key != 0)?)?;
        }
        // SAFETY: the endpoint of a slot is kept alive by `by_name`, or is `unmatched`, until `forget`, which clears
        // the slots first, and which nobody calls who holds what this returns.
        unsafe { slot.endpoint.get().as_ref() }
    }

    /// The same, to keep while Python code may run.
    pub fn kept(&self, scope: &Scope) -> Option<Rc<Endpoint>> {
        let known = std::ptr::from_ref(self.known(scope)?);
        // SAFETY: the endpoints that are known lie in an `Rc` each, which `by_name` or `unmatched` holds.
        unsafe {
            Rc::increment_strong_count(known);
            Some(Rc::from_raw(known))
        }
    }

    /// The endpoint of a scope, asking the resolver where that is needed.
    pub fn find(&self, py: Python<'_>, scope: &Scope) -> PyResult<Rc<Endpoint>> {
        let context = scope.context();
        for key in [scope.route_or_endpoint(), scope.endpoint()] {
            if let Some(known) = self.contexts.borrow().get(&(key, context)) {
                return Ok(known.clone());
            }
        }
        // Runs Python code, so nothing is borrowed now; that code may change the scope, so what the answer is about is
        // held until it is remembered.
        let (mut key, by) = (scope.route_or_endpoint(), scope.endpoint());
        let held = scope.identities(py);
        let Resolved { template, reach, by_endpoint } = resolve(py, scope)?;
        let endpoint = template.map_or_else(|| self.unmatched(), |name| self.named(&name));
        if by_endpoint && key != by {
            self.remember(py, &held, key, None);
            key = by;
        }
        match reach {
            Reach::Route => self.remember(py, &held, key, Some(&endpoint)),
            Reach::Context => {
                self.hold(py, &held);
                self.contexts.borrow_mut().insert((key, context), endpoint.clone());
            }
            Reach::Request => {}
        }
        Ok(endpoint)
    }

    /// The endpoint of requests that no route matched.
    pub fn unmatched(&self) -> Rc<Endpoint> {
        self.unmatched.borrow().clone()
    }

    /// The endpoint of this name.
    pub fn named(&self, name: &str) -> Rc<Endpoint> {
        if let Some(known) = self.by_name.borrow().get(name) {
            return known.clone();
        }
        if self.by_name.borrow().len() >= MOST {
            self.forget();
        }
        // Forgetting runs Python code, which may have been here with the same name; a slot may have its address by now.
        self.by_name.borrow_mut().entry(name.into()).or_insert_with(|| Rc::new(Endpoint::new(name))).clone()
    }

    fn hold(&self, py: Python<'_>, held: &[Py<PyAny>]) {
        if self.routes.borrow().len() >= MOST {
            self.forget();
        }
        self.routes.borrow_mut().extend(held.iter().map(|object| object.clone_ref(py)));
    }

    fn remember(&self, py: Python<'_>, held: &[Py<PyAny>], key: usize, endpoint: Option<&Rc<Endpoint>>) {
        if key == 0 || self.slot(key).is_some() {
            return;
        }
        self.hold(py, held);
        let used = self.slots.borrow().iter().filter(|slot| slot.key.get() != 0).count();
        if (used + 1) * 2 > self.slots.borrow().len() {
            self.grow();
        }
        // `hold` may have forgotten the name, and the address in the slot needs an owner.
        let address = endpoint.map_or(std::ptr::null(), |endpoint| {
            if Rc::ptr_eq(endpoint, &self.unmatched.borrow()) {
                return Rc::as_ptr(endpoint);
            }
            Rc::as_ptr(self.by_name.borrow_mut().entry(endpoint.name().into()).or_insert_with(|| endpoint.clone()))
        });
        self.place(key, address);
    }

    fn place(&self, key: usize, endpoint: *const Endpoint) {
        let slots = self.slots.borrow();
        let mut index = key.wrapping_mul(MULTIPLIER) >> self.shift.get();
        while slots[index].key.get() != 0 {
            index = (index + 1) % slots.len();
        }
        slots[index].key.set(key);
        slots[index].endpoint.set(endpoint);
    }

    fn grow(&self) {
        let bits = usize::BITS - self.shift.get() + 1;
        let fresh = free_slots(bits);
        self.first.set(fresh.as_ptr());
        self.shift.set(usize::BITS - bits);
        let old = self.slots.replace(fresh);
        for slot in &old {
            if slot.key.get() != 0 {
                self.place(slot.key.get(), slot.endpoint.get());
            }
        }
    }

    /// Drops every route and template. The series stay in their families.
    pub fn forget(&self) {
        for slot in self.slots.borrow().iter() {
            slot.key.set(0);
            slot.endpoint.set(std::ptr::null());
        }
        self.contexts.borrow_mut().clear();
        self.by_name.borrow_mut().clear();
        self.unmatched.replace(Rc::new(Endpoint::new(UNMATCHED)));
        // Dropping routes may run Python code, which may come back here: nothing is borrowed by then.
        let routes = self.routes.take();
        drop(routes);
    }

    /// Shows the garbage collector what is kept alive here.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A collection can start while `routes` is borrowed only if extending it ran Python code, which it does not.
        let Ok(routes) = self.routes.try_borrow() else { return Ok(()) };
        routes.iter().try_for_each(|route| visit.call(route))
    }
}
