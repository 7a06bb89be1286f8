//! A family: one name, one type, and its series by label values.

use crate::cell::bump;
use crate::error::Error;
use crate::exemplar::{Exemplar, Exemplars};
use crate::histogram::Layout;
use crate::labels::Labels;
use crate::series::{Cells, SeriesRef};
use crate::sync::{lock, AtomicU64, Mutex, Ordering::Relaxed};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

/// The value of every label of the series that stands for all that did not fit.
pub const OVERFLOW: &str = "__overflow__";

/// How many series of a family are copied under one hold of its lock.
const CHUNK: usize = 256;

/// What a family's series hold, and how they are exposed.
#[derive(Clone)]
pub enum Kind {
    /// A monotone count.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Classic buckets, and quantiles from narrow bins.
    Histogram(Arc<Layout>),
    /// Count, sum, and these quantiles; recorded like a histogram without classic buckets.
    Summary(Arc<Layout>, Arc<[f64]>),
    /// Constant labels with the value 1.
    Info,
    /// One of these states.
    StateSet(Arc<[String]>),
}

impl Kind {
    /// The type's name, as `prometheus_client` spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
            Kind::Summary(..) => "summary",
            Kind::Info => "info",
            Kind::StateSet(_) => "stateset",
        }
    }

    /// What the names of a type's samples may end in.
    pub fn suffixes(&self) -> &'static [&'static str] {
        match self {
            Kind::Counter => &["_total", "_created"],
            Kind::Histogram(_) => &["_bucket", "_sum", "_count", "_created"],
            Kind::Summary(..) => &["_sum", "_count", "_created"],
            Kind::Info => &["_info"],
            Kind::Gauge | Kind::StateSet(_) => &[],
        }
    }

    fn same(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Histogram(a), Kind::Histogram(b)) => Arc::ptr_eq(a, b),
            (Kind::Summary(_, a), Kind::Summary(_, b)) => a == b,
            (Kind::StateSet(a), Kind::StateSet(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

/// A family's definition.
#[derive(Clone)]
pub struct Definition {
    /// The name without the suffix that its type adds (`_total`, `_info`).
    pub name: String,
    /// One line of documentation.
    pub help: String,
    /// The unit, empty when none.
    pub unit: String,
    /// The type.
    pub kind: Kind,
    /// The label names.
    pub labels: Vec<String>,
    /// How many series there may be before further ones share the overflow series.
    pub max_series: usize,
}

impl Definition {
    /// Whether two definitions mean the same metric. The help may differ: reloading code that changed
    /// a sentence is no error.
    pub fn same(&self, other: &Definition) -> bool {
        self.name == other.name && self.labels == other.labels && self.kind.same(&other.kind)
    }

    /// The definition in one line, for errors.
    pub fn describe(&self) -> String {
        let bounds = match &self.kind {
            Kind::Histogram(layout) => format!(", buckets={:?}", layout.bounds()),
            Kind::Summary(_, quantiles) if !quantiles.is_empty() => format!(", quantiles={quantiles:?}"),
            Kind::StateSet(states) => format!(", states={states:?}"),
            _ => String::new(),
        };
        format!("{} {}({}){bounds}", self.kind.name(), self.name, self.labels.join(", "))
    }
}

/// One name, one type, many series.
pub struct Family {
    definition: Definition,
    labels: Labels,
    table: Mutex<Table>,
    hasher: DefaultHashBuilder,
    exemplars: Exemplars,
    /// Times series were removed.
    removals: AtomicU64,
    /// Times a label set was folded into the overflow series.
    folded: AtomicU64,
    /// Observations that were NaN.
    refused: AtomicU64,
}

#[derive(Default)]
struct Table {
    /// In order of creation; removed ones leave a hole until half are holes and nobody visits.
    series: Vec<Option<SeriesRef>>,
    index: HashTable<u32>,
    scratch: Vec<u8>,
    /// Visits going on. Positions stay as they are meanwhile, so that none skips or repeats a series.
    visits: usize,
}

impl Family {
    /// An empty family.
    pub fn new(definition: Definition) -> Self {
        let names: Vec<&str> = definition.labels.iter().map(String::as_str).collect();
        Family {
            labels: Labels::new(&names),
            definition,
            table: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
            exemplars: Exemplars::default(),
            removals: AtomicU64::new(0),
            folded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// What it is.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Its label names, and how they turn into text.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The exemplars of its series.
    pub fn exemplars(&self) -> &Exemplars {
        &self.exemplars
    }

    /// Keeps an exemplar for a bucket (0 for a counter) of a series, unless that has been removed: nobody
    /// would see it, and a series that is made anew with the same labels would have it.
    pub fn keep_exemplar(&self, series: &SeriesRef, bucket: usize, exemplar: Exemplar) {
        let table = lock(&self.table);
        if table.holds(&self.hasher, series) {
            self.exemplars.set(series.text(), bucket, exemplar);
        }
    }

    /// Whether a series is one of this family's and has not been removed.
    pub fn holds(&self, series: &SeriesRef) -> bool {
        lock(&self.table).holds(&self.hasher, series)
    }

    /// How often series were removed. Who remembers some by other keys looks whether it is still the same.
    #[inline(always)]
    pub fn removals(&self) -> u64 {
        self.removals.load(Relaxed)
    }

    /// The series with these label values, made when it is not there; the overflow series when the
    /// family is full.
    ///
    /// # Errors
    /// When there are not as many values as names.
    pub fn series(&self, values: &[&str]) -> Result<SeriesRef, Error> {
        self.check(values.len())?;
        let mut table = lock(&self.table);
        let found = table.find(&self.labels, &self.hasher, values);
        if let Ok(series) = found {
            return Ok(series.clone());
        }
        if table.index.len() < self.definition.max_series || values.is_empty() {
            return Ok(self.insert(&mut table));
        }
        let overflow = vec![OVERFLOW; values.len()];
        let overflow = table.find(&self.labels, &self.hasher, &overflow).ok().cloned();
        if overflow.is_some() && table.index.len() <= self.definition.max_series {
            // The overflow series itself takes no place.
            table.render(&self.labels, values);
            return Ok(self.insert(&mut table));
        }
        bump(&self.folded, 1);
        Ok(overflow.unwrap_or_else(|| self.insert(&mut table)))
    }

    /// Makes the series whose text `find` left in the scratch buffer.
    fn insert(&self, table: &mut Table) -> SeriesRef {
        let series = SeriesRef::new(Cells::new(&self.definition.kind), &table.scratch);
        let position = u32::try_from(table.series.len()).expect("fewer than 2^32 series");
        table.series.push(Some(series.clone()));
        let Table { series: all, index, scratch, .. } = table;
        let hash = |position: &u32| self.hasher.hash_one(text(all, *position));
        index.insert_unique(self.hasher.hash_one(&scratch[..]), position, hash);
        series
    }

    fn check(&self, got: usize) -> Result<(), Error> {
        let expected = self.labels.names().len();
        if got == expected {
            Ok(())
        } else {
            Err(Error::LabelCount { expected, got })
        }
    }

    /// Removes the series with these label values. Handles to it go on working, unseen.
    ///
    /// # Errors
    /// When there are not as many values as names.
    pub fn remove(&self, values: &[&str]) -> Result<bool, Error> {
        self.check(values.len())?;
        let gone = {
            let mut table = lock(&self.table);
            table.render(&self.labels, values);
            let Table { series, index, scratch, .. } = &mut *table;
            let hash = self.hasher.hash_one(&scratch[..]);
            let Ok(entry) = index.find_entry(hash, |&position| text(series, position) == scratch) else {
                return Ok(false);
            };
            let (position, _) = entry.remove();
            let gone = series[position as usize].take();
            bump(&self.removals, 1);
            self.close_holes(&mut table);
            gone
        };
        // Dropping the cells takes a while, and another lock.
        if let Some(gone) = &gone {
            self.exemplars.remove(gone.text());
        }
        Ok(gone.is_some())
    }

    /// Removes all series.
    pub fn clear(&self) {
        let gone: Vec<SeriesRef> = {
            let mut table = lock(&self.table);
            table.index.clear();
            let gone = table.series.iter_mut().filter_map(Option::take).collect();
            bump(&self.removals, 1);
            self.close_holes(&mut table);
            gone
        };
        self.exemplars.clear();
        drop(gone);
    }

    fn close_holes(&self, table: &mut Table) {
        if table.visits > 0 || table.index.len() * 2 >= table.series.len() {
            return;
        }
        table.series.retain(Option::is_some);
        table.index.clear();
        let Table { series, index, .. } = table;
        for position in 0..series.len() as u32 {
            let hash = |position: &u32| self.hasher.hash_one(text(series, *position));
            index.insert_unique(hash(&position), position, hash);
        }
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        lock(&self.table).index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits the series that there are now, in order of creation, but for those removed meanwhile. The
    /// lock is held for a few hundred reference counts at a time and never during a visit.
    pub fn for_each(&self, mut visit: impl FnMut(&SeriesRef)) {
        let end = {
            let mut table = lock(&self.table);
            table.visits += 1;
            table.series.len()
        };
        let _visiting = Visiting(self);
        let mut chunk = Vec::with_capacity(end.min(CHUNK));
        for start in (0..end).step_by(CHUNK) {
            let range = start..end.min(start + CHUNK);
            chunk.extend(lock(&self.table).series[range].iter().flatten().cloned());
            chunk.drain(..).for_each(|series| visit(&series));
        }
    }

    /// Counts an observation that was refused because it was NaN.
    pub fn refuse(&self) {
        bump(&self.refused, 1);
    }

    /// How often a label set was folded into the overflow series, and how many NaN were refused.
    pub fn faults(&self) -> (u64, u64) {
        (self.folded.load(Relaxed), self.refused.load(Relaxed))
    }
}

/// Ends a visit, also one that panics.
struct Visiting<'a>(&'a Family);

impl Drop for Visiting<'_> {
    fn drop(&mut self) {
        let mut table = lock(&self.0.table);
        table.visits -= 1;
        self.0.close_holes(&mut table);
    }
}

struct Missing;

impl Table {
    /// Leaves the text of these values in the scratch buffer.
    fn render(&mut self, labels: &Labels, values: &[&str]) {
        self.scratch.clear();
        labels.render(values, &mut self.scratch);
    }

    /// The series with these values; otherwise their text is left in the scratch buffer.
    fn find(&mut self, labels: &Labels, hasher: &DefaultHashBuilder, values: &[&str]) -> Result<&SeriesRef, Missing> {
        self.render(labels, values);
        let Table { series, index, scratch, .. } = self;
        let hash = hasher.hash_one(&scratch[..]);
        let position = index.find(hash, |&position| text(series, position) == scratch).ok_or(Missing)?;
        series[*position as usize].as_ref().ok_or(Missing)
    }

    fn holds(&self, hasher: &DefaultHashBuilder, series: &SeriesRef) -> bool {
        let found = self.index.find(hasher.hash_one(series.text()), |&position| {
            self.series[position as usize].as_ref().is_some_and(|known| std::ptr::eq(known.handle(), series.handle()))
        });
        found.is_some()
    }
}

fn text(series: &[Option<SeriesRef>], position: u32) -> &[u8] {
    series[position as usize].as_ref().map_or(&[], |series| series.text())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    pub(crate) fn counter(labels: &[&str], max_series: usize) -> Family {
        Family::new(Definition {
            name: "x".into(),
            help: String::new(),
            unit: String::new(),
            kind: Kind::Counter,
            labels: labels.iter().map(|&l| l.into()).collect(),
            max_series,
        })
    }

    fn values(family: &Family) -> BTreeMap<Vec<String>, u64> {
        let mut all = BTreeMap::new();
        family.for_each(|series| {
            all.insert(family.labels().values(series.text()), series.counter().parts().0);
        });
        all
    }

    #[test]
    fn a_full_family_folds_further_series_into_one() {
        let family = counter(&["user"], 3);
        for user in 0..10 {
            family.series(&[&user.to_string()]).unwrap().counter().inc();
        }
        assert_eq!(family.len(), 4);
        assert_eq!(values(&family)[&vec![OVERFLOW.to_string()]], 7);
        assert_eq!(family.faults(), (7, 0));
    }

    #[test]
    fn a_removed_series_starts_again_from_zero() {
        let family = counter(&["a"], 100);
        let old = family.series(&["x"]).unwrap();
        old.counter().inc();
        assert_eq!(family.remove(&["x"]), Ok(true));
        assert_eq!(family.remove(&["x"]), Ok(false));
        old.counter().inc();
        assert_eq!(family.series(&["x"]).unwrap().counter().parts().0, 0);
        assert!(family.remove(&[]).is_err());
    }

    #[test]
    fn a_removed_series_has_no_exemplars() {
        let family = counter(&["a"], 100);
        let exemplar = || Exemplar::now(&[("trace_id".into(), "t".into())], 1.0);
        let old = family.series(&["x"]).unwrap();
        family.keep_exemplar(&old, 0, exemplar());
        assert_eq!(family.exemplars().of(old.text()).len(), 1);
        assert!(family.holds(&old));
        family.remove(&["x"]).unwrap();
        family.keep_exemplar(&old, 0, exemplar());
        assert_eq!(family.exemplars().of(old.text()), []);
        let new = family.series(&["x"]).unwrap();
        family.keep_exemplar(&old, 0, exemplar());
        assert_eq!((family.exemplars().of(new.text()), family.holds(&old), family.holds(&new)), (vec![], false, true));
        family.keep_exemplar(&new, 0, exemplar());
        family.clear();
        family.keep_exemplar(&new, 0, exemplar());
        assert_eq!((family.exemplars().of(new.text()), family.removals()), (vec![], 2));
    }

    proptest! {
        /// The oracle: a map.
        #[test]
        fn a_family_is_a_map(script in proptest::collection::vec(("[ab\"\\\\]{0,2}", "[ab\n,]{0,2}", 0u8..10), 0..300)) {
            let family = counter(&["p", "q"], 10_000);
            let mut twin: BTreeMap<Vec<String>, u64> = BTreeMap::new();
            for (p, q, action) in script {
                let key = vec![p.clone(), q.clone()];
                match action {
                    0 | 1 => prop_assert_eq!(family.remove(&[&p, &q]), Ok(twin.remove(&key).is_some())),
                    2 if twin.len() > 8 => { family.clear(); twin.clear(); }
                    _ => {
                        family.series(&[&p, &q]).unwrap().counter().inc();
                        *twin.entry(key).or_default() += 1;
                    }
                }
                prop_assert_eq!(family.len(), twin.len());
            }
            prop_assert_eq!(values(&family), twin);
        }
    }
}
