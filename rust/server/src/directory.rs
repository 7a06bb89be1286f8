//! A directory of segments as a source: what all processes of an application recorded, told by another one.

use crate::exposition::{write, Additions, Exposition, Format};
use crate::health::Status;
use crate::models_json::Models;
use crate::requests::{uptime, Requests};
use crate::sample_filter::is_plain;
use crate::stats_json::Numbers;
use crate::views::views;
use ferrometer_core::reading::Reading;
use ferrometer_core::registry::{names_of, Computed, Source, Visited};
use ferrometer_core::scrape::Scrape;
use ferrometer_core::segment::view::View;
use ferrometer_ring::metrics::families;
use ferrometer_ring::totals::snapshot;
use ferrometer_ring::Kind;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The scope of the registry that everyone shares.
const SCOPE: &str = "default";

/// A directory, and what is known of it.
pub struct Directory {
    path: PathBuf,
    namespace: Option<String>,
    /// Nothing as long as there is no such directory.
    view: Mutex<Option<View>>,
    sources: Vec<Arc<dyn Source>>,
}

impl Directory {
    /// The source. A directory that does not exist yet is empty until it does.
    ///
    /// # Errors
    /// When it is none that only its user can write.
    pub fn new(path: &Path, namespace: Option<&str>) -> io::Result<Self> {
        let view = match View::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let namespace = namespace.filter(|namespace| !namespace.is_empty()).map(str::to_owned);
        Ok(Directory { path: path.to_owned(), namespace, view: Mutex::new(view), sources: Vec::new() })
    }

    /// The same with what else is known of the directory.
    #[must_use]
    pub fn with(mut self, source: Arc<dyn Source>) -> Self {
        self.sources.push(source);
        self
    }

    /// What the names of the service's own families begin with.
    fn prefix(&self) -> String {
        self.namespace.as_ref().map_or_else(String::new, |namespace| format!("{namespace}_"))
    }

    /// The view of now. The dead are folded on the way, so that the next look costs less.
    fn look(&self) -> MutexGuard<'_, Option<View>> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.path.exists() {
            *view = None; // a restarted application makes another one
        } else if view.is_none() {
            *view = View::open(&self.path).ok();
        }
        if let Some(view) = &mut *view {
            view.refresh();
            if self.is_own() {
                view.fold();
            }
        }
        view
    }

    /// Whether files made here are those of the directory's user: others' are not believed.
    fn is_own(&self) -> bool {
        // SAFETY: asks for a number.
        let user = unsafe { libc::geteuid() };
        fs::symlink_metadata(&self.path).is_ok_and(|about| about.uid() == user)
    }

    fn visit(&self, view: &View, names: Option<&BTreeSet<String>>, each: &mut dyn FnMut(Visited)) {
        let mut faults = Vec::new();
        for family in view.families(SCOPE) {
            let definition = family.definition();
            faults.push((definition.name.clone(), family.faults()));
            let asked = names.is_none_or(|names| names_of(definition).iter().any(|name| names.contains(name)));
            if asked && is_plain(&family) {
                each(Visited::Family(&family));
            }
        }
        let mut computed = self.namespace.as_ref().map_or_else(Vec::new, |namespace| {
            let find = |name: &str, read: &mut dyn FnMut(&dyn Reading)| find(view, name, read);
            views(namespace, uptime(&find), &Requests::read(Some(namespace), &find))
        });
        computed.extend(Computed::faults(faults));
        computed.extend(view.about());
        for kind in Kind::ALL {
            if let Ok(Some(records)) = snapshot(&self.path, kind) {
                computed.extend(families(&records));
            }
        }
        for source in &self.sources {
            source.collect(&Scrape::begin(), &mut computed);
        }
        for family in &computed {
            each(Visited::Computed(family));
        }
    }
}

impl Exposition for Directory {
    fn write(&self, format: Format, names: Option<&BTreeSet<String>>, additions: &Additions<'_>, out: &mut Vec<u8>) {
        let view = self.look();
        let visit = |each: &mut dyn FnMut(Visited)| {
            if let Some(view) = &*view {
                self.visit(view, names, each);
            }
        };
        write(format, names, additions, visit, out);
    }

    fn numbers(&self) -> Numbers {
        let view = self.look();
        let Some(view) = &*view else { return Numbers::default() };
        let find = |name: &str, read: &mut dyn FnMut(&dyn Reading)| find(view, name, read);
        let mut numbers = Numbers {
            uptime_seconds: uptime(&find),
            status: Status::read(&find),
            requests: Requests::read(self.namespace.as_deref(), &find),
            ..Numbers::default()
        };
        numbers.read(&self.prefix(), &find);
        numbers
    }

    fn models(&self) -> Models {
        let view = self.look();
        let Some(view) = &*view else { return Models::default() };
        Models::read(&self.prefix(), &|name, read| find(view, name, read))
    }
}

fn find(view: &View, name: &str, read: &mut dyn FnMut(&dyn Reading)) {
    if let Some(family) = view.families(SCOPE).find(|family| family.definition().name == name) {
        read(&family);
    }
}
