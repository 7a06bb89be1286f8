//! The view of the directory that this process shares, kept from one scrape to the next.

use super::self_metrics;
use super::view::View;
use super::writer;
use crate::computed::Computed;
use crate::sync::{lock, Mutex, MutexGuard};
use std::collections::BTreeSet;
use std::ops::Deref;

static VIEW: Mutex<Option<View>> = Mutex::new(None);

/// So many faults are remembered, and told of.
const MOST: usize = 1000;

/// Damage that was seen, and what of it nobody has been told of yet.
static DAMAGE: Mutex<(BTreeSet<String>, Vec<String>)> = Mutex::new((BTreeSet::new(), Vec::new()));

/// The view, while somebody looks at it.
pub struct Shared(MutexGuard<'static, Option<View>>);

impl Deref for Shared {
    type Target = View;

    fn deref(&self) -> &View {
        self.0.as_ref().expect("made before it was given out")
    }
}

/// Looks at all processes; nothing when this one shares with none. Who died is folded into the graveyard, and
/// what others removed is removed here, too.
pub(crate) fn look() -> Option<Shared> {
    let directory = writer::shared_directory()?;
    let mut view = lock(&VIEW);
    if view.as_ref().is_none_or(|view| view.directory() != directory) {
        *view = View::open(&directory).ok();
    }
    let known = view.as_mut()?;
    known.refresh();
    writer::catch_up(known);
    known.fold();
    note_damage(known);
    Some(Shared(view))
}

fn note_damage(view: &View) {
    let unreadable = view.unreadable();
    if unreadable.is_empty() {
        return;
    }
    let (seen, untold) = &mut *lock(&DAMAGE);
    for file in unreadable {
        let path = view.directory().join(&file.file);
        let text = format!("{} is left out of the metrics of all workers: {}", path.display(), file.damage);
        if seen.len() < MOST && seen.insert(text.clone()) {
            untold.push(text);
        }
    }
}

/// What was found to be wrong with files of the directory since this was last asked; each once.
pub fn take_damage() -> Vec<String> {
    std::mem::take(&mut lock(&DAMAGE).1)
}

/// What there is to say when there is nothing to look at: that there should be, if this process shares at all.
pub(crate) fn blind() -> Vec<Computed> {
    writer::shared_directory().map(|_| self_metrics::blind()).unwrap_or_default()
}
