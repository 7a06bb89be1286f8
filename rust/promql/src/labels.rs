//! Label sets: a metric name, and label pairs in ascending order of their names.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
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

/// The identity of a series. Labels are left out by a mask, so that a clone, one without the metric name and one
/// grouped by some labels cost reference counts and no allocation.
#[derive(Clone)]
pub struct Labels {
    name: Option<Arc<str>>,
    pairs: Arc<[Label]>,
    /// Bit `n` is set where pair `n` is part of this set; pairs from 63 on follow bit 63.
    mask: u64,
}

const ALL: u64 = u64::MAX;

impl Default for Labels {
    fn default() -> Self {
        Self { name: None, pairs: Arc::from([]), mask: ALL }
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
        Self { name, pairs: kept.into(), mask: ALL }
    }

    /// A label set whose pairs are in ascending order of their names already, without duplicates, empty values or
    /// `__name__`: what a store builds once per series.
    pub fn from_sorted(name: Option<Arc<str>>, pairs: Arc<[Label]>) -> Self {
        debug_assert!(pairs.windows(2).all(|two| two[0].name < two[1].name), "label names ascend");
        debug_assert!(pairs.iter().all(|pair| !pair.value.is_empty() && &*pair.name != NAME), "no empty value");
        Self { name, pairs, mask: ALL }
    }

    /// The metric name.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The labels other than the metric name, in ascending order of their names.
    #[inline]
    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = &Label> {
        let mask = self.mask;
        self.pairs.iter().enumerate().filter(move |(at, _)| mask >> (*at).min(63) & 1 == 1).map(|(_, pair)| pair)
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
        self.pairs().find(|pair| &*pair.name == name).map(|pair| &pair.value)
    }

    /// The same labels without the metric name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        Self { name: None, pairs: Arc::clone(&self.pairs), mask: self.mask }
    }

    /// The same labels with this one set, or removed where the value is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let value: Arc<str> = value.into();
        if name == NAME {
            let name = Some(value).filter(|name| !name.is_empty());
            return Self { name, pairs: Arc::clone(&self.pairs), mask: self.mask };
        }
        let changed = Label { name: name.into(), value };
        Self::new(self.name.clone(), self.pairs().cloned().chain([changed]))
    }

    /// The labels that a predicate on the name (`__name__` included) keeps.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let name = self.name.clone().filter(|_| keep(NAME));
        if self.pairs.len() > 63 {
            return Self { name, pairs: self.pairs().filter(|pair| keep(&pair.name)).cloned().collect(), mask: ALL };
        }
        let mut mask = self.mask;
        for (at, pair) in self.pairs.iter().enumerate() {
            if !keep(&pair.name) {
                mask &= !(1 << at);
            }
        }
        Self { name, pairs: Arc::clone(&self.pairs), mask }
    }

    /// The same pairs under another mask; see [`Layout`].
    fn masked(&self, mask: u64, keep_name: bool) -> Self {
        let name = if keep_name { self.name.clone() } else { None };
        Self { name, pairs: Arc::clone(&self.pairs), mask: self.mask & mask }
    }

    /// The same labels without the metric name, which is given up.
    #[must_use]
    pub fn into_unnamed(mut self) -> Self {
        self.name = None;
        self
    }

    /// Whether both have the same metric name, or none.
    pub fn has_name_of(&self, other: &Self) -> bool {
        match (&self.name, &other.name) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left == right,
            (None, None) => true,
            _ => false,
        }
    }

    /// All labels with `__name__` at its place in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        // Upper-case letters come before the underscore.
        let before = self.pairs().take_while(|pair| &*pair.name < NAME);
        let after = self.pairs().skip_while(|pair| &*pair.name < NAME);
        before
            .map(|pair| (&*pair.name, &*pair.value))
            .chain(self.name.iter().map(|name| (NAME, &**name)))
            .chain(after.map(|pair| (&*pair.name, &*pair.value)))
    }

    /// Whether there is neither a name nor a label.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.pairs().next().is_none()
    }
}

/// Which labels a predicate on their names keeps, remembered from one series to the next: series of one metric
/// mostly share their names, and a store that holds each name once makes that cheap to see.
#[derive(Default)]
pub(crate) struct Layout {
    names: Vec<Arc<str>>,
    mask: u64,
    keep_name: bool,
    known: bool,
}

impl Layout {
    /// `labels.retain(keep)`.
    pub(crate) fn retain(&mut self, labels: &Labels, mut keep: impl FnMut(&str) -> bool) -> Labels {
        let pairs = &labels.pairs;
        if pairs.len() > 63 {
            return labels.retain(keep);
        }
        let same = |(name, pair): (&Arc<str>, &Label)| Arc::ptr_eq(name, &pair.name);
        if !(self.known && self.names.len() == pairs.len() && self.names.iter().zip(pairs.iter()).all(same)) {
            self.names.clear();
            self.names.extend(pairs.iter().map(|pair| Arc::clone(&pair.name)));
            self.mask = 0;
            for (at, pair) in pairs.iter().enumerate() {
                self.mask |= u64::from(keep(&pair.name)) << at;
            }
            self.keep_name = keep(NAME);
            self.known = true;
        }
        labels.masked(self.mask, self.keep_name)
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        let same = |(left, right): (&Label, &Label)| {
            (Arc::ptr_eq(&left.name, &right.name) || left.name == right.name)
                && (Arc::ptr_eq(&left.value, &right.value) || left.value == right.value)
        };
        self.has_name_of(other)
            && (Arc::ptr_eq(&self.pairs, &other.pairs) && self.mask == other.mask
                || self.pairs().count() == other.pairs().count() && self.pairs().zip(other.pairs()).all(same))
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        for pair in self.pairs() {
            // Values are what tells series of one metric apart.
            pair.value.hash(state);
        }
    }
}

/// As Prometheus prints it: `name{label="value"}`.
impl fmt::Display for Labels {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let legal = |name: &str, colon: bool| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || colon && byte == b':';
            name.bytes().all(letter) && !name.starts_with(|first: char| first.is_ascii_digit())
        };
        let plain = |name: &str| legal(name, false);
        let name = self.name.as_deref();
        let mut separator = "";
        if let Some(name) = name.filter(|name| legal(name, true)) {
            to.write_str(name)?;
            if self.pairs().next().is_none() {
                return Ok(());
            }
        }
        to.write_str("{")?;
        if let Some(name) = name.filter(|name| !legal(name, true)) {
            write!(to, "{name:?}")?;
            separator = ", ";
        }
        for pair in self.pairs() {
            if plain(&pair.name) {
                write!(to, "{separator}{}={:?}", pair.name, &*pair.value)?;
            } else {
                write!(to, "{separator}{:?}={:?}", &*pair.name, &*pair.value)?;
            }
            separator = ", ";
        }
        to.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, to)
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
