//! One look at everything that is recorded: by this process, or by all that share a directory.

use crate::computed::Computed;
use crate::family::Family;
use crate::reading::Reading;
use crate::segment::shared::{self, Shared};
use crate::segment::view::View;
use std::ops::Deref;

/// One look. While it lasts, a family that several processes record reads as their total.
pub struct Scrape(Option<Shared>);

/// A family, as it is read.
pub enum Read<'a> {
    /// As this process recorded it.
    Here(&'a Family),
    /// As all did.
    Everywhere(Box<dyn Reading + 'a>),
}

impl<'a> Deref for Read<'a> {
    type Target = dyn Reading + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            Read::Here(family) => *family,
            Read::Everywhere(family) => &**family,
        }
    }
}

impl Scrape {
    /// A look at what this process sees: all processes that it shares its metrics with, or itself.
    ///
    /// Nobody else looks while this one lives, so it is short, calls no Python, and is not begun while this
    /// thread has one.
    pub fn begin() -> Self {
        Scrape(shared::look())
    }

    /// The family as all processes recorded it.
    pub fn reading<'a>(&'a self, family: &'a Family) -> Read<'a> {
        let view = self.view();
        let found = view.and_then(|view| view.reading(family));
        // A family that found no place in the file is at least seen by its own process.
        found.map_or(Read::Here(family), Read::Everywhere)
    }

    /// Visits the families of a scope that other processes have and this one does not know.
    pub fn families(&self, scope: &str, is_known: &dyn Fn(&str) -> bool, visit: &mut dyn FnMut(&dyn Reading)) {
        let Some(view) = self.view().filter(|_| !scope.is_empty()) else { return };
        for family in view.families(scope) {
            if !is_known(&family.definition().name) {
                visit(&family);
            }
        }
    }

    /// What there is to say about the processes themselves.
    pub fn faults(&self) -> Vec<Computed> {
        self.view().map_or_else(shared::blind, View::about)
    }

    /// All processes, when there are several.
    pub fn view(&self) -> Option<&View> {
        self.0.as_deref()
    }
}
