//! Which tables this process uses: those of the directory that it shares, as soon as it does, else its own memory.

use crate::gil::GilCell;
use ferrometer_core::segment::writer::shared_directory;
use ferrometer_state::breaker::table::Table as Breakers;
use ferrometer_state::distinct::table::Table as Distinct;
use ferrometer_state::jobs::table::Table as Jobs;
use ferrometer_state::providers::table::Table as Providers;
use ferrometer_state::region::Region;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::ptr::{self, null_mut};
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Release},
};
use std::sync::{Mutex, PoisonError};

/// A kind of table.
pub trait StateTable: Sized + 'static {
    /// That of a directory, if there is one.
    fn existing(directory: &Path) -> io::Result<Option<Self>>;
    /// Its memory.
    fn region(&self) -> &Region;
    /// Takes over what this process had for itself until now.
    fn take_over(&self, before: &Self);
}

macro_rules! state_table {
    ($($table:ty),*) => {$(
        impl StateTable for $table {
            fn existing(directory: &Path) -> io::Result<Option<Self>> {
                Self::existing(directory)
            }

            fn region(&self) -> &Region {
                &self.region
            }

            fn take_over(&self, before: &Self) {
                self.take_over(before);
            }
        }
    )*};
}
state_table!(Breakers, Jobs, Providers);

impl StateTable for Distinct {
    fn existing(directory: &Path) -> io::Result<Option<Self>> {
        Self::existing(directory)
    }

    fn region(&self) -> &Region {
        &self.region
    }

    /// Its subjects were hashed with another key.
    fn take_over(&self, _before: &Self) {}
}

/// A table that this process opens at its first use, and again when it begins to share. What is replaced is leaked:
/// handles and readers without the GIL keep addresses of it.
pub struct Current<T: 'static> {
    table: AtomicPtr<T>,
    open: fn(Option<&Path>) -> io::Result<T>,
    /// Those of directories that this process only looks at, by directory.
    others: Mutex<BTreeMap<PathBuf, &'static T>>,
}

impl<T: StateTable> Current<T> {
    const fn new(open: fn(Option<&Path>) -> io::Result<T>) -> Self {
        Current { table: AtomicPtr::new(null_mut()), open, others: Mutex::new(BTreeMap::new()) }
    }

    /// The table of a directory, or of this process, for whoever asks about it; nothing where nobody made one. Opened
    /// once, and again when its file was replaced.
    pub fn of(&self, directory: Option<&Path>) -> io::Result<Option<&'static T>> {
        let directory = match directory {
            Some(directory) if shared_directory().as_deref() != Some(directory) => directory,
            // Open already: opening it twice would give back the locks of the first.
            _ => return Ok(self.attach()),
        };
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = others.get(directory).filter(|known| known.region().is_shared()) {
            return Ok(Some(known));
        }
        others.remove(directory);
        let Some(table) = T::existing(directory)? else { return Ok(None) };
        let table: &'static T = Box::leak(Box::new(table));
        others.insert(directory.to_owned(), table);
        Ok(Some(table))
    }

    /// The table, opened when it is not yet.
    pub fn get(&self) -> io::Result<&'static T> {
        match self.look() {
            Some(table) => Ok(table),
            None => self.open_in(shared_directory().as_deref()),
        }
    }

    /// The table, if this process uses one.
    #[inline]
    pub fn look(&self) -> Option<&'static T> {
        // SAFETY: null, or leaked below.
        unsafe { self.table.load(Acquire).as_ref() }
    }

    fn open_in(&self, directory: Option<&Path>) -> io::Result<&'static T> {
        let opened = match (self.open)(directory) {
            Err(error) if directory.is_some() => {
                let trouble = format!("this worker's state is not shared with the others: {error}");
                // SAFETY: the GIL is held: `get` and `share` are for Python's calls alone; pushing runs no Python.
                unsafe { TROUBLE.with(|all| all.push(trouble)) };
                (self.open)(None)?
            }
            opened => opened?,
        };
        Ok(self.put(null_mut(), opened))
    }

    /// Puts a table in the place of another, unless somebody was faster.
    fn put(&self, before: *mut T, table: T) -> &'static T {
        let table: *mut T = Box::leak(Box::new(table));
        let now = match self.table.compare_exchange(before, table, AcqRel, Acquire) {
            Ok(_) => table,
            Err(other) => other,
        };
        // SAFETY: leaked above, or by whoever was faster.
        unsafe { &*now }
    }

    /// The table, or the one that other workers have made in the directory. Without the GIL.
    pub fn attach(&self) -> Option<&'static T> {
        self.look().or_else(|| {
            let table = T::existing(&shared_directory()?).ok()??;
            Some(self.put(null_mut(), table))
        })
    }

    /// Uses this table from now on.
    pub fn replace(&self, table: &'static T) {
        self.table.store(ptr::from_ref(table).cast_mut(), Release);
    }

    /// Opens it again in a directory, if it is in use.
    fn share(&self, directory: &Path) {
        let before = self.table.load(Acquire);
        if before.is_null() {
            return;
        }
        match (self.open)(Some(directory)) {
            Ok(table) => {
                // SAFETY: not null, and leaked.
                let own = unsafe { &*before };
                // What a forked child has a copy of is its parent's to tell.
                if own.region().is_of_this_process() {
                    StateTable::take_over(&table, own);
                }
                self.put(before, table);
            }
            Err(error) => {
                let trouble = format!("this worker's state is not shared with the others: {error}");
                // SAFETY: the GIL is held, as `share` says; pushing runs no Python.
                unsafe { TROUBLE.with(|all| all.push(trouble)) };
            }
        }
    }
}

/// The circuit breakers.
pub static BREAKERS: Current<Breakers> = Current::new(Breakers::open);
/// The distinct subjects.
pub static DISTINCT: Current<Distinct> = Current::new(Distinct::open);
/// The health of providers.
pub static PROVIDERS: Current<Providers> = Current::new(Providers::open);
/// The jobs.
pub static JOBS: Current<Jobs> = Current::new(Jobs::open);

/// Adds to what `state_troubles` tells.
///
/// # Safety
/// The GIL is held.
pub unsafe fn tell_trouble(words: String) {
    // SAFETY: by contract; pushing runs no Python.
    unsafe { TROUBLE.with(|all| all.push(words)) };
}

static TROUBLE: GilCell<Vec<String>> = GilCell::new(Vec::new());

/// This process shares a directory from now on. Called with the GIL.
pub fn share_tables(directory: &Path) {
    BREAKERS.share(directory);
    DISTINCT.share(directory);
    JOBS.share(directory);
    PROVIDERS.share(directory);
}

/// Why tables of this process are not shared with other workers; told once.
#[pyfunction]
pub fn state_troubles() -> Vec<String> {
    // SAFETY: the GIL is held; taking a list runs no Python.
    unsafe { TROUBLE.with(std::mem::take) }
}

/// Whether the table of breakers is in use, and whether other workers can come by it.
#[pyfunction]
pub fn breakers_shared() -> Option<bool> {
    BREAKERS.look().map(|table| table.region.is_shared())
}

/// The same of the table of providers.
#[pyfunction]
pub fn providers_shared() -> Option<bool> {
    PROVIDERS.look().map(|table| table.region.is_shared())
}
