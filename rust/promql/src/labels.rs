//! Label sets: a metric name, and label pairs in ascending order of their names.

use std::cmp::Ordering;
use std::sync::Arc;

/// The label that holds the metric name.
pub const NAME: &str = "__name__";

/// One label other than the metric name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// The name, any UTF-8.
    pub name: Arc<str>,
    /// The value, any UTF-8, never empty: an empty value is no label.
    pub value: Arc<str>,
}

/// The identity of a series. A clone, and one without the metric name, costs two reference counts and no allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    name: Option<Arc<str>>,
    pairs: Arc<[Label]>,
}

impl Default for Labels {
    fn default() -> Self {
        Self { name: None, pairs: Arc::from([]) }
    }
}

impl Labels {
    /// A label set of a metric name and of pairs in any order. Pairs with an empty value are dropped, the last of
    /// several with one name wins, and one called `__name__` is the metric name.
    pub fn new(name: Option<Arc<str>>, pairs: impl IntoIterator<Item = Label>) -> Self {
        let mut name = name.filter(|name| !name.is_empty());
        let mut kept: Vec<Label> = Vec::new();
        for pair in pairs {
            if &*pair.name == NAME {
                name = Some(pair.value).filter(|name| !name.is_empty());
                continue;
            }
            match kept.binary_search_by(|other| other.name.cmp(&pair.name)) {
                Ok(at) if pair.value.is_empty() => drop(kept.remove(at)),
                Ok(at) => kept[at].value = pair.value,
                Err(_) if pair.value.is_empty() => {}
                Err(at) => kept.insert(at, pair),
            }
        }
        Self { name, pairs: kept.into() }
    }

    /// A label set whose pairs are in ascending order of their names already, without duplicates, empty values or
    /// `__name__`: what a store builds once per series.
    pub fn from_sorted(name: Option<Arc<str>>, pairs: Arc<[Label]>) -> Self {
        debug_assert!(pairs.windows(2).all(|two| two[0].name < two[1].name), "label names ascend");
        debug_assert!(pairs.iter().all(|pair| !pair.value.is_empty() && &*pair.name != NAME), "no empty value");
        Self { name, pairs }
    }

    /// The metric name.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The labels other than the metric name, in ascending order of their names.
    pub fn pairs(&self) -> &[Label] {
        &self.pairs
    }

    /// The value of a label, `__name__` included; "" where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.value(name).map_or("", |value| value)
    }

    /// The value of a label, `__name__` included.
    pub fn value(&self, name: &str) -> Option<&Arc<str>> {
        if name == NAME {
            return self.name.as_ref();
        }
        // Label sets are short: a walk beats a binary search.
        self.pairs.iter().find(|pair| &*pair.name == name).map(|pair| &pair.value)
    }

    /// The same labels without the metric name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        Self { name: None, pairs: Arc::clone(&self.pairs) }
    }

    /// The same labels with this one set, or removed where the value is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let value: Arc<str> = value.into();
        if name == NAME {
            return Self { name: Some(value).filter(|name| !name.is_empty()), pairs: Arc::clone(&self.pairs) };
        }
        let changed = Label { name: name.into(), value };
        Self::new(self.name.clone(), self.pairs.iter().cloned().chain([changed]))
    }

    /// The labels that a predicate on the name (`__name__` included) keeps.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let name = self.name.clone().filter(|_| keep(NAME));
        Self { name, pairs: self.pairs.iter().filter(|pair| keep(&pair.name)).cloned().collect() }
    }

    /// All labels with `__name__` at its place in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let before = self.pairs.partition_point(|pair| &*pair.name < NAME);
        self.pairs[..before]
            .iter()
            .map(|pair| (&*pair.name, &*pair.value))
            .chain(self.name.iter().map(|name| (NAME, &**name)))
            .chain(self.pairs[before..].iter().map(|pair| (&*pair.name, &*pair.value)))
    }

    /// Whether there is neither a name nor a label.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.pairs.is_empty()
    }
}

/// Prometheus's order of label sets: name by name, value by value, the shorter one first.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
