//! One look at everything that a registry exposes.

use crate::family::Family;
use crate::reading::Reading;

/// One look. While it lasts, a family that several processes record reads as their total.
pub struct Scrape {}

impl Scrape {
    /// Begins a look. Not while another one is going on in this thread.
    pub fn begin() -> Self {
        Scrape {}
    }

    /// The family as all processes recorded it.
    pub fn reading<'a>(&'a self, family: &'a Family) -> &'a dyn Reading {
        family
    }
}
