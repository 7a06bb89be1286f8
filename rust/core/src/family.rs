//! A family: one name, one type, and its series by label values.

mod removal;
mod slot;
mod table;
#[cfg(all(test, not(loom)))]
mod tests;
mod visit;

use self::slot::Slot;
use self::table::{text, Table};
use crate::cell::bump;
pub use crate::definition::{Definition, Kind, MAX_SERIES};
use crate::error::Error;
use crate::exemplar::{Exemplar, Exemplars};
use crate::head::{fresh_generation, is_leaving};
use crate::labels::Labels;
use crate::series::SeriesRef;
use crate::slab::{place_of, Block};
use crate::sync::{
    fence, global, lock, AtomicU32, AtomicU64, Mutex,
    Ordering::{Relaxed, Release},
};
use hashbrown::DefaultHashBuilder;
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

/// The labels of that series where each series has label names of its own.
const OPEN_OVERFLOW: &[u8] = b"otel_metric_overflow=\"true\"";

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

    /// Whether every process has series of its own, which `pid` tells apart.
    pub fn is_per_process(&self) -> bool {
        matches!(self.definition.kind, Kind::Gauge(mode) if mode.is_per_process())
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

    /// The series of a family each of whose series has label names of its own, by its rendered labels, `a="x",b="y"`
    /// in the order of the names' bytes; made when it is not there, the overflow series when the family is full.
    ///
    /// # Panics
    /// When the family is another one, or the text is none that `Labels::render` makes.
    pub fn series_of_text(&self, text: &[u8]) -> SeriesRef {
        assert!(self.labels.is_open() && self.labels.accepts(text), "rendered labels of a family that takes any");
        if let Some(audience) = AUDIENCE.get() {
            audience.sought();
        }
        let mut table = lock(&self.table);
        for text in [text, OPEN_OVERFLOW] {
            table.scratch.clear();
            table.scratch.extend_from_slice(text);
            if text == OPEN_OVERFLOW {
                bump(&self.slot.folded, 1);
            }
            if let Ok(series) = table.find_text(&self.hasher) {
                return series.clone();
            }
            if table.index.len() < self.definition.max_series {
                break;
            }
        }
        let made = table.insert(&self.hasher, &self.definition.kind);
        drop(table);
        if let Some(audience) = AUDIENCE.get() {
            audience.series(self, &made);
        }
        made
    }

    /// The series when it is there, or as an error when it had to be made.
    fn find_or_insert(&self, values: &[&str]) -> Result<SeriesRef, SeriesRef> {
        let mut table = lock(&self.table);
        let found = table.find(&self.labels, &self.hasher, values);
        if let Ok(series) = found {
            return Ok(series.clone());
        }
        if table.index.len() < self.definition.max_series || values.is_empty() {
            return Err(table.insert(&self.hasher, &self.definition.kind));
        }
        let overflow = vec![OVERFLOW; values.len()];
        let overflow = table.find(&self.labels, &self.hasher, &overflow).ok().cloned();
        if overflow.is_some() && table.index.len() <= self.definition.max_series {
            // The overflow series itself takes no place.
            table.render(&self.labels, values);
            return Err(table.insert(&self.hasher, &self.definition.kind));
        }
        bump(&self.slot.folded, 1);
        overflow.map_or_else(|| Err(table.insert(&self.hasher, &self.definition.kind)), Ok)
    }

    fn check(&self, got: usize) -> Result<(), Error> {
        let expected = self.labels.names().len();
        if got == expected {
            Ok(())
        } else {
            Err(Error::LabelCount { expected, got })
        }
    }

    /// The generation of the series with this text; 0 when there is none.
    pub(crate) fn generation_of(&self, wanted: &[u8]) -> u32 {
        let table = lock(&self.table);
        let hash = self.hasher.hash_one(wanted);
        let position = table.index.find(hash, |&position| text(&table.series, position) == wanted);
        let series = position.and_then(|&position| table.series[position as usize].as_ref());
        series.map_or(0, |series| series.head().generation())
    }

    /// Sets the counters, histograms and gauges of this process back to zero; who holds one goes on with it.
    pub fn reset(&self) {
        if matches!(self.definition.kind, Kind::Info | Kind::StateSet(_)) {
            return;
        }
        for series in lock(&self.table).series.iter().flatten() {
            series.reset();
        }
        self.exemplars.clear();
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        lock(&self.table).index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
