//! One family of several segments: its series by label text, and who has each.

use super::cells::{Cells, Source};
use super::damage::Damage;
use super::format::family;
use super::members::{Member, Members};
use super::reader::Segment;
use super::record::{Detail, FamilyRecord};
use super::tombstones::Tombstones;
use crate::family::{Definition, Kind};
use crate::histogram::Layout;
use crate::labels::{is_plain, Labels, ANY};
use crate::mode::Mode;
use crate::sync::{
    fence, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed},
};
use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use std::hash::BuildHasher;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// The label that tells processes apart.
const PID: &str = "pid";

/// Where one process keeps a family.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) segment: u32,
    /// Its number in that segment's log.
    pub(super) id: u32,
    pub(super) block: u32,
    pub(super) generation: u32,
    /// Whether its series count, and not its definition alone.
    pub(super) counts: bool,
}

impl Origin {
    fn at(&self) -> usize {
        self.block as usize * super::format::GRAIN
    }

    /// Whether the family is still there.
    pub(super) fn is_current(&self, segment: &Segment) -> bool {
        let generation = segment.map().word::<AtomicU32>(self.at() + family::GENERATION);
        generation.is_some_and(|word| word.load(Acquire) == self.generation) && self.generation != 0
    }

    /// Whether the file is so long that the block is in it.
    pub(super) fn is_inside(&self, segment: &Segment) -> bool {
        segment.map().run::<AtomicU64>(self.at(), family::SIZE / 8).is_some()
    }

    /// Label sets that were folded, and NaN that were refused.
    pub(super) fn faults(&self, segment: &Segment) -> (u64, u64) {
        let word = |offset| segment.map().word::<AtomicU64>(self.at() + offset).map_or(0, |word| word.load(Relaxed));
        let faults = (word(family::FOLDED), word(family::REFUSED));
        fence(Acquire);
        // Else the block is something else by now.
        if self.is_current(segment) {
            faults
        } else {
            (0, 0)
        }
    }
}

/// A series, and who has it.
pub(super) struct Slot {
    pub(super) text: Box<[u8]>,
    pub(super) sources: Vec<Source>,
}

/// A family.
pub(super) struct Entry {
    pub(super) scope: Box<str>,
    pub(super) ordinal: u32,
    /// As it is shown: with `pid` behind the labels where every process has a series of its own.
    pub(super) definition: Definition,
    pub(super) labels: Labels,
    /// The labels without it.
    pub(super) declared: Labels,
    pub(super) detail: Detail,
    /// Whether this is the definition of its name that is shown.
    pub(super) is_shown: bool,
    pub(super) origins: Vec<Origin>,
    /// In the order in which they were come by.
    pub(super) slots: Vec<Slot>,
    by_text: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Whether something in it was removed.
    stale: AtomicBool,
}

/// The type of a family, made of what a log says.
fn kind(detail: &Detail) -> Result<Kind, Damage> {
    Ok(match detail {
        Detail::Counter => Kind::Counter,
        Detail::Gauge(mode) => Kind::Gauge(*mode),
        Detail::Histogram(bounds) => {
            // Without the last one, the counts of a series would be one too few.
            if bounds.last() != Some(&f64::INFINITY) {
                return Err(Damage::Content);
            }
            Kind::Histogram(Layout::new(bounds).map_err(|_| Damage::Content)?)
        }
        Detail::Summary(quantiles) => {
            Kind::Summary(Layout::new(&[]).map_err(|_| Damage::Content)?, quantiles.as_slice().into())
        }
        Detail::Info => Kind::Info,
        Detail::StateSet(states) => Kind::StateSet(states.as_slice().into()),
    })
}

/// Whether a type is that of a log's record.
fn is_kind(kind: &Kind, detail: &Detail) -> bool {
    match (kind, detail) {
        (Kind::Counter, Detail::Counter) | (Kind::Info, Detail::Info) => true,
        (Kind::Gauge(ours), Detail::Gauge(theirs)) => ours == theirs,
        (Kind::Histogram(layout), Detail::Histogram(bounds)) => layout.bounds() == bounds,
        (Kind::Summary(_, ours), Detail::Summary(theirs)) => **ours == **theirs,
        (Kind::StateSet(ours), Detail::StateSet(theirs)) => **ours == **theirs,
        _ => false,
    }
}

fn labels(names: &[String]) -> Labels {
    Labels::new(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

impl Entry {
    /// The family that a log tells of, without any series.
    pub(super) fn new(record: FamilyRecord) -> Result<Self, Damage> {
        let is_open = record.labels == [ANY];
        if is_open && is_per_process(&record.detail, &[]) {
            return Err(Damage::Text);
        }
        let names = std::iter::once(&record.name).chain(record.labels.iter().filter(|_| !is_open));
        let repeated = record.labels.iter().collect::<HashSet<_>>().len() < record.labels.len();
        if repeated || !names.into_iter().all(|name| is_plain(name.as_bytes())) || record.unit.contains('\n') {
            return Err(Damage::Text);
        }
        let declared = labels(&record.labels);
        let mut shown = record.labels;
        if is_per_process(&record.detail, &shown) {
            shown.push(PID.into());
        }
        Ok(Entry {
            scope: record.scope.into(),
            ordinal: record.ordinal,
            labels: labels(&shown),
            declared,
            definition: Definition {
                kind: kind(&record.detail)?,
                name: record.name,
                help: record.help,
                unit: record.unit,
                labels: shown,
                max_series: record.max_series as usize,
            },
            detail: record.detail,
            is_shown: true,
            origins: Vec::new(),
            slots: Vec::new(),
            by_text: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            stale: AtomicBool::new(false),
        })
    }

    /// How the values of several processes become one.
    pub(super) fn mode(&self) -> Mode {
        match self.detail {
            Detail::Gauge(mode) if !mode.is_per_process() || self.is_per_process() => mode,
            // Told apart by a label of their own.
            Detail::Gauge(Mode::LiveAll) => Mode::LiveMostRecent,
            _ => Mode::MostRecent,
        }
    }

    /// The buckets of its series, if they have any.
    pub(super) fn layout(&self) -> Option<&Arc<Layout>> {
        match &self.definition.kind {
            Kind::Histogram(layout) | Kind::Summary(layout, _) => Some(layout),
            _ => None,
        }
    }

    /// Whether every process has a series of its own.
    pub(super) fn is_per_process(&self) -> bool {
        self.labels.names().len() > self.declared.names().len()
    }

    /// Whether a log's record is about this family.
    pub(super) fn is(&self, record: &FamilyRecord) -> bool {
        *self.scope == record.scope
            && self.definition.name == record.name
            && self.detail == record.detail
            && self.declared.names().iter().map(|name| &**name).eq(record.labels.iter().map(String::as_str))
            && (!self.scope.is_empty() || self.ordinal == record.ordinal)
    }

    /// Whether a process that scrapes means this family by its own.
    pub(super) fn is_that_of(&self, definition: &Definition, ordinal: u32) -> bool {
        self.definition.name == definition.name
            && is_kind(&definition.kind, &self.detail)
            && self.declared.names().iter().map(|name| &**name).eq(definition.labels.iter().map(String::as_str))
            && (!self.scope.is_empty() || self.ordinal == ordinal)
    }

    /// Adds where a process keeps a series, unless that was removed already.
    pub(super) fn add(
        &mut self,
        member: &Member,
        source: Source,
        text: &[u8],
        tombstones: &Tombstones,
    ) -> Result<(), Damage> {
        let is_whole = member.segment.is_graveyard() && self.is_per_process();
        if !(if is_whole { &self.labels } else { &self.declared }).accepts(text) {
            return Err(Damage::Text);
        }
        let cells = Cells::new(&member.segment, &source);
        if !cells.is_inside(self.layout().map(|layout| &**layout)) {
            return Err(Damage::Offset);
        }
        // Removed while it waited to be read.
        if source.generation == 0 || !cells.is_current() {
            return Ok(());
        }
        let fallen = tombstones.of(&self.scope, &self.definition.name);
        if !fallen.is_empty() && fallen.hides(&self.declared_text(text, is_whole), source.stamp) {
            return Ok(());
        }
        let whole = if self.is_per_process() && !is_whole { Some(self.with_pid(text, &member.pid)) } else { None };
        self.insert(whole.as_deref().unwrap_or(text), source);
        Ok(())
    }

    fn insert(&mut self, text: &[u8], source: Source) {
        let Entry { slots, by_text, hasher, .. } = self;
        let hash = hasher.hash_one(text);
        if let Some(&at) = by_text.find(hash, |&at| *slots[at as usize].text == *text) {
            return slots[at as usize].sources.push(source);
        }
        let at = slots.len() as u32;
        slots.push(Slot { text: text.into(), sources: vec![source] });
        by_text.insert_unique(hash, at, |&at| hasher.hash_one(&*slots[at as usize].text));
    }

    /// The text of a series, in which its own has this one, of a process.
    pub(super) fn text_of(&self, text: &[u8], pid: &str) -> Vec<u8> {
        if self.is_per_process() {
            self.with_pid(text, pid)
        } else {
            text.to_vec()
        }
    }

    fn with_pid(&self, text: &[u8], pid: &str) -> Vec<u8> {
        let (before, after) = self.declared.split(text, PID);
        let label = format!("{PID}=\"{pid}\"");
        let parts = [before, label.as_bytes(), after];
        let parts: Vec<&[u8]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(&b","[..])
    }

    /// A series' text without the process.
    fn declared_text(&self, text: &[u8], is_whole: bool) -> Vec<u8> {
        if !is_whole {
            return text.to_vec();
        }
        let mut values = self.labels.values(text);
        values.pop();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut declared = Vec::new();
        self.declared.render(&values, &mut declared);
        declared
    }

    /// The processes whose series a segment has, in a family where each has its own.
    pub(super) fn pids_in(&self, segment: u32) -> impl Iterator<Item = String> + '_ {
        let slots = self.slots.iter().filter(move |slot| slot.sources.iter().any(|source| source.segment == segment));
        slots.filter_map(|slot| self.labels.values(&slot.text).pop())
    }

    /// Notes that something in it was removed.
    pub(super) fn mark_stale(&self) {
        self.stale.store(true, Relaxed);
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(Relaxed)
    }

    /// Drops what these segments brought in.
    pub(super) fn forget(&mut self, gone: &HashSet<u32>) {
        self.origins.retain(|origin| !gone.contains(&origin.segment));
        for slot in &mut self.slots {
            slot.sources.retain(|source| !gone.contains(&source.segment));
        }
        self.close();
    }

    /// Drops what was removed.
    pub(super) fn sweep(&mut self, members: &Members, tombstones: &Tombstones) {
        self.stale.store(false, Relaxed);
        let gone = self.gone(members);
        self.origins.retain(|origin| !gone.contains(&(origin.segment, origin.id)));
        let mut slots = std::mem::take(&mut self.slots);
        let fallen = tombstones.of(&self.scope, &self.definition.name);
        for slot in &mut slots {
            let text = (!fallen.is_empty()).then(|| self.declared_text(&slot.text, self.is_per_process()));
            slot.sources.retain(|source| {
                let is_current =
                    members.get(source.segment).is_some_and(|member| Cells::new(&member.segment, source).is_current());
                let is_current = is_current && !gone.contains(&(source.segment, source.family));
                is_current && !text.as_ref().is_some_and(|text| fallen.hides(text, source.stamp))
            });
        }
        self.slots = slots;
        self.close();
    }

    /// The segments whose processes gave up the family, and its number there.
    pub(super) fn gone(&self, members: &Members) -> HashSet<(u32, u32)> {
        let is_current = |origin: &Origin| members.get(origin.segment).is_some_and(|m| origin.is_current(&m.segment));
        let gone = self.origins.iter().filter(|origin| !is_current(origin));
        gone.map(|origin| (origin.segment, origin.id)).collect()
    }

    /// Drops series that nobody has any more.
    fn close(&mut self) {
        let before = self.slots.len();
        self.slots.retain(|slot| !slot.sources.is_empty());
        if self.slots.len() == before {
            return;
        }
        let Entry { slots, by_text, hasher, .. } = self;
        let hash = |at: &u32| hasher.hash_one(&*slots[*at as usize].text);
        by_text.clear();
        (0..slots.len() as u32).for_each(|at| {
            by_text.insert_unique(hash(&at), at, hash);
        });
    }
}

/// Whether `pid` is to tell the series of this family apart; not where a label has that name.
fn is_per_process(detail: &Detail, labels: &[String]) -> bool {
    matches!(detail, Detail::Gauge(mode) if mode.is_per_process()) && !labels.iter().any(|label| label == PID)
}
