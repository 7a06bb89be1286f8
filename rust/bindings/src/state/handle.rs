//! What `Breaker` and its calls have in common: the settings of one circuit breaker, and where its words are.

use super::providers::share_settings;
use super::tables::{share_tables, BREAKERS};
use crate::gil::GilCell;
use ferrometer_state::breaker::circuit::Circuit;
use ferrometer_state::breaker::config::Config;
use ferrometer_state::breaker::slot::{Slot, WORDS};
use ferrometer_state::breaker::table::Table;
use ferrometer_state::breaker::word::State;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;

/// Where a breaker's words are: in this table, and there; they stay for ever.
#[derive(Clone, Copy)]
struct Resolved {
    table: Option<&'static Table>,
    slot: Option<Slot<'static>>,
}

/// One breaker.
pub struct Handle {
    name: String,
    group: String,
    pub config: Config,
    resolved: GilCell<Resolved>,
    /// Called with an exception: False for a success, None for nothing, seconds to wait, perhaps 0, for a failure.
    pub judge: Py<PyAny>,
    /// Called with the states before and after.
    changed: Py<PyAny>,
    /// Made with the seconds to wait, or None: what is raised when there is no leave.
    pub refuse: Py<PyAny>,
}

/// The names and groups of all breakers of this process: one that no call went through yet counts in its group, too.
static MADE: GilCell<BTreeMap<String, String>> = GilCell::new(BTreeMap::new());

/// This process shares a directory from now on: every breaker of it gets a slot there. Called with the GIL.
pub fn share(directory: &Path) {
    share_tables(directory);
    share_settings();
    let Some(table) = BREAKERS.look() else { return };
    // SAFETY: the GIL is held, and nothing below runs Python.
    unsafe {
        MADE.with(|made| {
            for (name, group) in &*made {
                table.find_or_add(name, group);
            }
        });
    }
}

impl Handle {
    /// A breaker with a slot in the table that this process uses now.
    pub fn new(name: String, group: String, config: Config, [judge, changed, refuse]: [Py<PyAny>; 3]) -> Self {
        // SAFETY: the GIL is held where Python objects are made of; inserting runs no Python.
        unsafe { MADE.with(|made| made.insert(name.clone(), group.clone())) };
        let resolved = GilCell::new(Resolved { table: None, slot: None });
        let made = Handle { name, group, config, resolved, judge, changed, refuse };
        made.resolve();
        made
    }

    /// The breaker as this process uses it now.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub unsafe fn circuit(&self) -> Option<Circuit<'_>> {
        // SAFETY: the GIL is held, and the value is copied.
        let resolved = unsafe { self.resolved.with(|resolved| *resolved) };
        let current = BREAKERS.look();
        let (table, slot) = match (resolved.table, resolved.slot, current) {
            (Some(table), Some(slot), Some(current)) if std::ptr::eq(table, current) => (table, slot),
            _ => self.resolve()?,
        };
        Some(Circuit { table, slot, config: &self.config })
    }

    #[cold]
    fn resolve(&self) -> Option<(&'static Table, Slot<'static>)> {
        let table = BREAKERS.get().ok()?;
        // SAFETY: the GIL is held: only `circuit` calls this. Nothing below runs Python.
        let before = unsafe { self.resolved.with(|resolved| *resolved) };
        let slot = table.find_or_add(&self.name, &self.group).unwrap_or_else(|| {
            // Beyond the table's room each worker has a state of its own, once.
            before.slot.unwrap_or_else(|| {
                let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
                Slot(Box::leak(words.into_boxed_slice()))
            })
        });
        // SAFETY: the GIL is held; storing two addresses runs no Python.
        unsafe { self.resolved.with(|resolved| *resolved = Resolved { table: Some(table), slot: Some(slot) }) };
        Some((table, slot))
    }

    /// Tells of a change; what goes wrong there is nobody's call.
    #[cold]
    pub fn tell(&self, py: Python<'_>, (before, after): (State, State)) {
        if let Err(error) = self.changed.call1(py, (before.name(), after.name())) {
            error.write_unraisable(py, None);
        }
    }
}
