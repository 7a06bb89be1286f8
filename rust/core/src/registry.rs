//! The families and sources of one registry, in the order of their registration.

pub use crate::computed::{Computed, Sample, Value};
use crate::error::Error;
use crate::family::{Definition, Family};
use crate::reading::Reading;
use crate::scrape::Scrape;
use crate::sync::{lock, Mutex};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Families that are computed at scrape from cells recorded elsewhere. Never calls Python.
pub trait Source: Send + Sync {
    /// Appends the families, as this scrape sees the cells.
    fn collect(&self, scrape: &Scrape, out: &mut Vec<Computed>);

    /// The sample names it will use.
    fn names(&self) -> Vec<String>;
}

/// Something that a scrape visits.
#[derive(Clone)]
pub enum Entry {
    /// Recorded series.
    Family(Arc<Family>),
    /// Computed ones.
    Source(Arc<dyn Source>),
}

/// What a scrape comes by.
pub enum Visited<'a> {
    /// A family that is recorded.
    Family(&'a dyn Reading),
    /// One that was computed.
    Computed(&'a Computed),
}

/// A set of families without two of one name.
#[derive(Default)]
pub struct Registry {
    inner: Mutex<Inner>,
    scope: Box<str>,
}

#[derive(Default)]
struct Inner {
    entries: Vec<Entry>,
    /// Every sample name in use, and whose it is.
    names: HashMap<String, Owner>,
    /// How often a callback or collector of this name raised.
    failures: BTreeMap<String, u64>,
}

#[derive(Clone)]
enum Owner {
    Family(Arc<Family>),
    /// A source, or a collector outside this crate, by its description.
    Other(String),
}

impl Owner {
    fn describe(&self) -> String {
        match self {
            Owner::Family(family) => family.definition().describe(),
            Owner::Other(description) => description.clone(),
        }
    }
}

/// The names that the samples of such a family have.
pub fn names_of(definition: &Definition) -> Vec<String> {
    let suffixes = definition.kind.suffixes().iter();
    std::iter::once(&"").chain(suffixes).map(|suffix| format!("{}{suffix}", definition.name)).collect()
}

impl Registry {
    /// An empty registry, of whose families no other process knows by itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty registry that shows the families of every process that has one of this scope.
    pub fn with_scope(scope: &str) -> Self {
        Registry { scope: scope.into(), ..Self::default() }
    }

    /// The family of this definition, made when it is not there.
    ///
    /// # Errors
    /// When one of its sample names belongs to something else.
    pub fn family(&self, definition: Definition) -> Result<Arc<Family>, Error> {
        let mut inner = lock(&self.inner);
        if let Some(Owner::Family(family)) = inner.names.get(&definition.name) {
            if family.definition().same(&definition) {
                return Ok(family.clone());
            }
        }
        let names = names_of(&definition);
        inner.check(&names, || definition.describe())?;
        let family = Family::new(definition, &self.scope);
        family.join();
        inner.claim(names, &Owner::Family(family.clone()));
        inner.entries.push(Entry::Family(family.clone()));
        Ok(family)
    }

    /// Adds a family that is not registered here yet.
    ///
    /// # Errors
    /// When one of its sample names is taken, by itself included.
    pub fn adopt(&self, family: &Arc<Family>) -> Result<(), Error> {
        let names = names_of(family.definition());
        let mut inner = lock(&self.inner);
        inner.check(&names, || family.definition().describe())?;
        inner.claim(names, &Owner::Family(family.clone()));
        inner.entries.push(Entry::Family(family.clone()));
        family.join();
        Ok(())
    }

    /// Adds computed families.
    ///
    /// # Errors
    /// When one of their names is taken.
    pub fn register_source(&self, source: Arc<dyn Source>, description: &str) -> Result<(), Error> {
        let names = source.names();
        let mut inner = lock(&self.inner);
        inner.check(&names, || description.to_owned())?;
        inner.claim(names, &Owner::Other(description.to_owned()));
        inner.entries.push(Entry::Source(source));
        Ok(())
    }

    /// Takes names for a collector outside this crate.
    ///
    /// # Errors
    /// When one of them is taken.
    pub fn reserve(&self, names: Vec<String>, description: &str) -> Result<(), Error> {
        let mut inner = lock(&self.inner);
        inner.check(&names, || description.to_owned())?;
        inner.claim(names, &Owner::Other(description.to_owned()));
        Ok(())
    }

    /// Gives such names back.
    pub fn release(&self, names: &[String]) {
        let mut inner = lock(&self.inner);
        for name in names {
            if matches!(inner.names.get(name), Some(Owner::Other(_))) {
                inner.names.remove(name);
            }
        }
    }

    /// Removes a family; `false` when it is not here.
    pub fn unregister(&self, family: &Arc<Family>) -> bool {
        let mut inner = lock(&self.inner);
        let before = inner.entries.len();
        inner.entries.retain(|entry| !matches!(entry, Entry::Family(other) if Arc::ptr_eq(other, family)));
        inner.names.retain(|_, owner| !matches!(owner, Owner::Family(other) if Arc::ptr_eq(other, family)));
        let removed = inner.entries.len() < before;
        if removed {
            family.quit();
        }
        removed
    }

    /// What a scrape visits now.
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.inner).entries.clone()
    }

    /// The scope whose families it shows besides its own, those of other processes; none when it is empty.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The family with one of whose sample names this is.
    pub fn find(&self, name: &str) -> Option<Arc<Family>> {
        match lock(&self.inner).names.get(name) {
            Some(Owner::Family(family)) => Some(family.clone()),
            _ => None,
        }
    }

    /// Sets what this process has counted and measured in its families back to zero.
    pub fn reset(&self) {
        for entry in self.entries() {
            if let Entry::Family(family) = entry {
                family.reset();
            }
        }
    }

    /// Counts a callback or collector that raised during a scrape.
    pub fn fail(&self, source: &str) {
        *lock(&self.inner).failures.entry(source.to_owned()).or_default() += 1;
    }

    /// What the registry has to say about itself, as families; nothing while all is well.
    pub fn faults(&self, scrape: &Scrape) -> Vec<Computed> {
        let families = self.entries().into_iter().filter_map(|entry| match entry {
            Entry::Family(family) => Some((family.definition().name.clone(), scrape.reading(&family).faults())),
            Entry::Source(_) => None,
        });
        let mut faults = Computed::faults(families);
        let failed: Vec<_> =
            lock(&self.inner).failures.iter().map(|(source, &count)| (source.clone(), count)).collect();
        let errors = "Callbacks and collectors that raised during a scrape";
        faults.extend(Computed::about("counter", ["ferrometer_scrape_errors", errors, "source"], failed));
        faults.extend(scrape.faults());
        faults
    }

    /// Visits everything but the families for which `leave_out` is true, then what other processes have in
    /// registries of this scope and this one has not, and at last what the registry has to say about itself.
    pub fn visit(&self, scrape: &Scrape, leave_out: &dyn Fn(&Family) -> bool, visit: &mut dyn FnMut(Visited)) {
        let mut computed = Vec::new();
        for entry in self.entries() {
            match entry {
                Entry::Family(family) => {
                    if leave_out(&family) {
                        continue;
                    }
                    if self.scope.is_empty() && family.is_per_process() {
                        // A registry that stands for one process: its own gauge, without `pid`.
                        visit(Visited::Family(&*family));
                    } else {
                        visit(Visited::Family(&*scrape.reading(&family)));
                    }
                }
                Entry::Source(source) => {
                    source.collect(scrape, &mut computed);
                    computed.drain(..).for_each(|family| visit(Visited::Computed(&family)));
                }
            }
        }
        scrape.families(&self.scope, &|name| lock(&self.inner).names.contains_key(name), &mut |family| {
            visit(Visited::Family(family));
        });
        self.faults(scrape).iter().for_each(|family| visit(Visited::Computed(family)));
    }

    /// All sample names in use.
    pub fn names(&self) -> Vec<String> {
        lock(&self.inner).names.keys().cloned().collect()
    }
}

impl Inner {
    fn check(&self, names: &[String], wanted: impl Fn() -> String) -> Result<(), Error> {
        match names.iter().find_map(|name| Some((name, self.names.get(name)?))) {
            None => Ok(()),
            Some((name, owner)) => {
                Err(Error::Conflict { existing: owner.describe(), wanted: wanted(), name: name.clone() })
            }
        }
    }

    fn claim(&mut self, names: Vec<String>, owner: &Owner) {
        self.names.extend(names.into_iter().map(|name| (name, owner.clone())));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::family::Kind;
    use crate::mode::Mode;

    fn definition(name: &str, kind: Kind, labels: &[&str]) -> Definition {
        Definition {
            name: name.into(),
            help: "h".into(),
            unit: String::new(),
            kind,
            labels: labels.iter().map(|&label| label.into()).collect(),
            max_series: 10,
        }
    }

    #[test]
    fn the_same_definition_is_the_same_family() {
        let registry = Registry::new();
        let first = registry.family(definition("a", Kind::Counter, &["x"])).unwrap();
        let again = registry.family(definition("a", Kind::Counter, &["x"])).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(registry.entries().len(), 1);
    }

    #[test]
    fn a_conflict_shows_both_definitions() {
        let registry = Registry::new();
        registry.family(definition("a", Kind::Counter, &["x"])).unwrap();
        for (other, shows) in [
            (definition("a", Kind::Gauge(Mode::All), &["x"]), "gauge a(x)"),
            (definition("a", Kind::Counter, &["y"]), "counter a(y)"),
            (definition("a_total", Kind::Gauge(Mode::All), &[]), "gauge a_total()"),
        ] {
            let text = registry.family(other).err().expect("a conflict").to_string();
            assert!(text.contains("counter a(x)") && text.contains(shows), "{text}");
        }
    }

    #[test]
    fn only_reserved_names_are_released() {
        let registry = Registry::new();
        registry.family(definition("a", Kind::Counter, &[])).unwrap();
        registry.reserve(vec!["b".into()], "b's collector").unwrap();
        registry.release(&["a".into(), "b".into()]);
        assert!(registry.find("a").is_some());
        registry.reserve(vec!["b".into()], "another").unwrap();
    }

    #[test]
    fn names_come_back_when_a_family_goes() {
        let registry = Registry::new();
        let family = registry.family(definition("a", Kind::Counter, &[])).unwrap();
        assert!(registry.find("a_total").is_some());
        assert!(registry.unregister(&family));
        assert!(!registry.unregister(&family));
        registry.family(definition("a_total", Kind::Gauge(Mode::All), &[])).unwrap();
    }
}
