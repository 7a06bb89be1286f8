//! A family: one name, one type, and its series by label values.

use crate::cell::bump;
pub use crate::definition::{Definition, Kind};
use crate::error::Error;
use crate::exemplar::{Exemplar, Exemplars};
use crate::head::{fresh_generation, is_leaving};
use crate::labels::Labels;
use crate::series::{Cells, SeriesRef};
use crate::slab::{place_of, Block, Zeroed};
use crate::sync::{
    fence, global, lock, AtomicU32, AtomicU64, Mutex,
    Ordering::{Relaxed, Release},
};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::mem::ManuallyDrop;
use std::sync::{Arc, OnceLock, Weak};

global! {
    /// All families of this process.
    static FAMILIES: Mutex<Vec<Weak<Family>>> = Mutex::new(Vec::new());
}

/// Whom to tell what there is: nobody, unless other processes are to know.
pub(crate) trait Audience: Send + Sync {
    /// Somebody looks for a series.
    fn sought(&self);
    /// A family has appeared, with the series that it has.
    fn family(&self, family: &Family);
    /// A series has appeared in a family that was told of.
    fn series(&self, family: &Family, series: &SeriesRef);
    /// A series is gone.
    fn gone(&self, series: &SeriesRef);
    /// The series with this text, or all, are to be gone, in other processes too.
    fn removed(&self, family: &Family, text: Option<&[u8]>);
}

static AUDIENCE: OnceLock<&dyn Audience> = OnceLock::new();

/// Tells of everything from now on.
pub(crate) fn tell(audience: &'static dyn Audience) {
    AUDIENCE.get_or_init(|| audience);
}

/// The families that there are, in order of creation.
pub(crate) fn all() -> Vec<Arc<Family>> {
    let mut families = lock(&FAMILIES);
    families.retain(|family| family.strong_count() > 0);
    families.iter().filter_map(Weak::upgrade).collect()
}

/// The value of every label of the series that stands for all that did not fit.
pub const OVERFLOW: &str = "__overflow__";

/// How many series of a family are copied under one hold of its lock.
const CHUNK: usize = 256;

/// One name, one type, many series.
pub struct Family {
    definition: Definition,
    labels: Labels,
    table: Mutex<Table>,
    hasher: DefaultHashBuilder,
    exemplars: Exemplars,
    /// The bits of the share of observations that its metrics look at; zero until the first one says so.
    sample: AtomicU64,
    /// Times series were removed.
    removals: AtomicU64,
    /// Registries that it is in.
    registries: AtomicU32,
    slot: ManuallyDrop<Block<Slot>>,
    scope: Box<str>,
    /// How many families of this scope and name there were when this one was made.
    ordinal: u32,
    /// The number by which the segment's records know it.
    pub(crate) id: AtomicU32,
}

/// What lies in the slab.
#[repr(C)]
struct Slot {
    /// Tells this use of the block from earlier ones; 0 while nobody else is to see the family.
    generation: AtomicU32,
    unused: AtomicU32,
    /// Times a label set was folded into the overflow series.
    folded: AtomicU64,
    /// Observations that were NaN.
    refused: AtomicU64,
    unused_too: AtomicU64,
}

// SAFETY: atomic integers.
unsafe impl Zeroed for Slot {
    #[cfg(loom)]
    fn zeroed() -> Self {
        let zero = || AtomicU64::new(0);
        let none = || AtomicU32::new(0);
        Slot { generation: none(), unused: none(), folded: zero(), refused: zero(), unused_too: zero() }
    }
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
    /// An empty family. The scope tells, beside the name, which families of several processes are one.
    pub fn new(definition: Definition, scope: &str) -> Arc<Self> {
        let names: Vec<&str> = definition.labels.iter().map(String::as_str).collect();
        let mut families = lock(&FAMILIES);
        families.retain(|family| family.strong_count() > 0);
        let alike = |family: &&Weak<Family>| {
            family.upgrade().is_some_and(|other| {
                other.is_listed() && other.definition.name == definition.name && *other.scope == *scope
            })
        };
        let ordinal = families.iter().filter(alike).count() as u32;
        let family = Arc::new(Family {
            labels: Labels::new(&names),
            definition,
            table: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
            exemplars: Exemplars::default(),
            sample: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            registries: AtomicU32::new(0),
            slot: ManuallyDrop::new(Block::new()),
            scope: scope.into(),
            ordinal,
            id: AtomicU32::new(0),
        });
        families.push(Arc::downgrade(&family));
        drop(families);
        family.list(true);
        family
    }

    /// Whose family it is: `default` for the registry that everyone shares.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// How many families of this scope and name there were when this one was made.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Where its block lies in the file; 0 in private memory.
    pub(crate) fn place(&self) -> u32 {
        place_of(&**self.slot)
    }

    /// After a fork, in the child: every word is zero.
    pub(crate) fn begin_again(&self) {
        self.slot.generation.store(fresh_generation(), Release);
        self.exemplars.clear();
        self.for_each(SeriesRef::begin_again);
    }

    fn is_listed(&self) -> bool {
        self.generation() != 0
    }

    pub(crate) fn generation(&self) -> u32 {
        self.slot.generation.load(Relaxed)
    }

    /// A registry has it now.
    pub(crate) fn join(&self) {
        if self.registries.fetch_add(1, Relaxed) == 0 && !self.is_listed() {
            self.list(true);
        }
    }

    /// A registry has it no more. What none has is no one's.
    pub(crate) fn quit(&self) {
        if self.registries.fetch_sub(1, Relaxed) == 1 {
            self.list(false);
        }
    }

    /// Shows the family to other processes, or hides it.
    fn list(&self, listed: bool) {
        self.slot.generation.store(if listed { fresh_generation() } else { 0 }, Release);
        // Whoever reads something that the block holds afterwards sees that it ended.
        fence(Release);
        if listed {
            if let Some(audience) = AUDIENCE.get() {
                audience.family(self);
            }
        }
    }

    /// What it is.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The share of observations that are looked at: as the first one who asks says. Those who come later agree, or
    /// are told which one it is.
    ///
    /// # Errors
    /// When it is another one.
    pub fn agree_on_sample(&self, rate: f64) -> Result<(), f64> {
        match self.sample.compare_exchange(0, rate.to_bits(), Relaxed, Relaxed) {
            Err(known) if known != rate.to_bits() => Err(f64::from_bits(known)),
            _ => Ok(()),
        }
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
        let _nothing_is_removed_meanwhile = lock(&self.table);
        if !series.is_removed() {
            self.exemplars.set(series, bucket, exemplar);
        }
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
        if let Some(audience) = AUDIENCE.get() {
            audience.sought();
        }
        let series = match self.find_or_insert(values) {
            Ok(known) => return Ok(known),
            Err(fresh) => fresh,
        };
        if let Some(audience) = AUDIENCE.get() {
            audience.series(self, &series);
        }
        Ok(series)
    }

    /// The series when it is there, or as an error when it had to be made.
    fn find_or_insert(&self, values: &[&str]) -> Result<SeriesRef, SeriesRef> {
        let mut table = lock(&self.table);
        let found = table.find(&self.labels, &self.hasher, values);
        if let Ok(series) = found {
            return Ok(series.clone());
        }
        if table.index.len() < self.definition.max_series || values.is_empty() {
            return Err(self.insert(&mut table));
        }
        let overflow = vec![OVERFLOW; values.len()];
        let overflow = table.find(&self.labels, &self.hasher, &overflow).ok().cloned();
        if overflow.is_some() && table.index.len() <= self.definition.max_series {
            // The overflow series itself takes no place.
            table.render(&self.labels, values);
            return Err(self.insert(&mut table));
        }
        bump(&self.slot.folded, 1);
        overflow.map_or_else(|| Err(self.insert(&mut table)), Ok)
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

    /// Removes the series with these label values, in all processes that share it. Handles to it go on
    /// working, unseen. `false` when it is not here.
    ///
    /// # Errors
    /// When there are not as many values as names.
    pub fn remove(&self, values: &[&str]) -> Result<bool, Error> {
        self.check(values.len())?;
        let mut text = Vec::new();
        self.labels.render(values, &mut text);
        let removed = self.remove_here(&text, None);
        self.tell_removed(Some(&text));
        Ok(removed)
    }

    /// Removes the series with this text, in this process alone; only that of a generation, if one is given, and
    /// not one that was made in its place meanwhile. `false` when there is none.
    pub(crate) fn remove_here(&self, wanted: &[u8], generation: Option<u32>) -> bool {
        let gone = {
            let mut table = lock(&self.table);
            let Table { series, index, .. } = &mut *table;
            let hash = self.hasher.hash_one(wanted);
            let is_it = |position: u32| {
                let found = series[position as usize].as_ref().filter(|found| found.text() == wanted);
                found.is_some_and(|found| generation.is_none_or(|wanted| found.head().generation() == wanted))
            };
            let Ok(entry) = index.find_entry(hash, |&position| is_it(position)) else { return false };
            let (position, _) = entry.remove();
            let gone = series[position as usize].take();
            gone.iter().for_each(hide);
            self.removals.fetch_add(1, Relaxed);
            self.close_holes(&mut table);
            gone
        };
        // Dropping the cells takes a while, and another lock.
        if let Some(gone) = &gone {
            self.exemplars.remove(gone.text());
        }
        gone.is_some()
    }

    /// The generation of the series with this text; 0 when there is none.
    pub(crate) fn generation_of(&self, wanted: &[u8]) -> u32 {
        let table = lock(&self.table);
        let hash = self.hasher.hash_one(wanted);
        let position = table.index.find(hash, |&position| text(&table.series, position) == wanted);
        let series = position.and_then(|&position| table.series[position as usize].as_ref());
        series.map_or(0, |series| series.head().generation())
    }

    /// Removes all series, in all processes that share them.
    pub fn clear(&self) {
        self.forget_all();
        self.tell_removed(None);
    }

    fn tell_removed(&self, text: Option<&[u8]>) {
        // What every process has for itself is removed by each for itself, too.
        let is_own = matches!(self.definition.kind, Kind::Gauge(mode) if mode.is_per_process());
        if let Some(audience) = AUDIENCE.get().filter(|_| !is_own) {
            audience.removed(self, text);
        }
    }

    /// Removes the series with these label values in this process alone; others keep theirs.
    ///
    /// # Errors
    /// When there are not as many values as names.
    pub fn forget(&self, values: &[&str]) -> Result<bool, Error> {
        self.check(values.len())?;
        let mut text = Vec::new();
        self.labels.render(values, &mut text);
        Ok(self.remove_here(&text, None))
    }

    /// Removes all series in this process alone; others keep theirs.
    pub fn forget_all(&self) {
        let gone: Vec<SeriesRef> = {
            let mut table = lock(&self.table);
            table.index.clear();
            let gone: Vec<SeriesRef> = table.series.iter_mut().filter_map(Option::take).collect();
            gone.iter().for_each(hide);
            self.removals.fetch_add(1, Relaxed);
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
            // They lie all over the memory. What comes next is on its way meanwhile: a series, then what it leads
            // to, then what that leads to, for one address is known when the one before has come.
            let table = lock(&self.table);
            let part = &table.series[range];
            for (at, series) in part.iter().enumerate() {
                part.get(at + 8).into_iter().flatten().for_each(SeriesRef::fetch);
                chunk.extend(series.clone());
            }
            drop(table);
            for (at, series) in chunk.iter().enumerate() {
                chunk.get(at + 8).map(SeriesRef::fetch_cells);
                chunk.get(at + 4).map(SeriesRef::fetch_buckets);
                visit(series);
            }
            chunk.clear();
        }
    }

    /// Counts an observation that was refused because it was NaN.
    pub fn refuse(&self) {
        bump(&self.slot.refused, 1);
    }

    /// How often a label set was folded into the overflow series, and how many NaN were refused.
    pub fn faults(&self) -> (u64, u64) {
        (self.slot.folded.load(Relaxed), self.slot.refused.load(Relaxed))
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if is_leaving() {
            return;
        }
        self.list(false);
        // SAFETY: not used again.
        unsafe { ManuallyDrop::drop(&mut self.slot) };
    }
}

/// Nobody else sees a series any more.
fn hide(series: &SeriesRef) {
    series.head().end();
    if let Some(audience) = AUDIENCE.get() {
        audience.gone(series);
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
}

fn text(series: &[Option<SeriesRef>], position: u32) -> &[u8] {
    series[position as usize].as_ref().map_or(&[], |series| series.text())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    pub(crate) fn counter(labels: &[&str], max_series: usize) -> Arc<Family> {
        Family::new(
            Definition {
                name: "x".into(),
                help: String::new(),
                unit: String::new(),
                kind: Kind::Counter,
                labels: labels.iter().map(|&l| l.into()).collect(),
                max_series,
            },
            "",
        )
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
        assert!(!old.is_removed());
        family.remove(&["x"]).unwrap();
        family.keep_exemplar(&old, 0, exemplar());
        assert_eq!(family.exemplars().of(old.text()), []);
        let new = family.series(&["x"]).unwrap();
        family.keep_exemplar(&old, 0, exemplar());
        assert_eq!((family.exemplars().of(new.text()), old.is_removed(), new.is_removed()), (vec![], true, false));
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
