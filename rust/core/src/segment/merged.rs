//! Families and series of several processes, read as one.

use super::cells::{Cells, Source};
use super::entry::{Entry, Slot};
use super::members::Members;
use super::view::View;
use crate::exemplar::Exemplar;
use crate::family::{Definition, Kind};
use crate::histogram::{Buckets, Layout, Snapshot};
use crate::labels::Labels;
use crate::mode::Mode;
use crate::prefetch::prefetch;
use crate::reading::{Reading, Series};
use hashbrown::HashSet;
use std::cell::RefCell;
use std::sync::Arc;

/// How many cells are brought nearer before they are read.
const AHEAD: usize = 48;

impl View {
    /// The families of all scopes.
    pub fn everything(&self) -> impl Iterator<Item = MergedFamily<'_>> {
        let index = self.index();
        index.entries().filter_map(|entry| MergedFamily::new(&index.members, entry))
    }

    /// The families of this scope.
    pub fn families<'a>(&'a self, scope: &'a str) -> impl Iterator<Item = MergedFamily<'a>> {
        let index = self.index();
        let entries = index.entries().filter(move |entry| *entry.scope == *scope);
        entries.filter_map(|entry| MergedFamily::new(&index.members, entry))
    }

    /// The family that a process means by this definition of its own, and by its being this one of its name
    /// (which says nothing about the default registry, where there is only one).
    pub fn find(&self, scope: &str, definition: &Definition, ordinal: u32) -> Option<MergedFamily<'_>> {
        let index = self.index();
        let entry = index.named(scope, &definition.name).find(|entry| entry.is_that_of(definition, ordinal))?;
        MergedFamily::new(&index.members, entry)
    }
}

/// A family of several processes.
pub struct MergedFamily<'a> {
    members: &'a Members,
    entry: &'a Entry,
    /// The segments whose processes gave it up, and its number there; nearly always none.
    gone: HashSet<(u32, u32)>,
}

impl<'a> MergedFamily<'a> {
    /// The family, unless all processes gave it up, or others define its name otherwise.
    pub(super) fn new(members: &'a Members, entry: &'a Entry) -> Option<Self> {
        Self::even_hidden(members, entry).filter(|_| entry.is_shown)
    }

    /// The same, also when others define its name otherwise: they may be gone sooner than it.
    pub(super) fn even_hidden(members: &'a Members, entry: &'a Entry) -> Option<Self> {
        let gone = entry.gone(members);
        if !gone.is_empty() {
            entry.mark_stale();
        }
        let counts = entry.origins.iter().any(|origin| origin.counts && !gone.contains(&(origin.segment, origin.id)));
        counts.then_some(MergedFamily { members, entry, gone })
    }

    /// Visits the series that there are now, as what they are.
    pub(super) fn visit(&self, mut visit: impl FnMut(&MergedSeries)) {
        let scratch = RefCell::default();
        let (mut ahead, mut fetched) = (self.entry.slots.iter(), 0);
        for slot in &self.entry.slots {
            // Their cells lie all over the memory. What is read next is on its way while this is read.
            while fetched < AHEAD {
                let Some(next) = ahead.next() else { break };
                self.fetch(next);
                if let Some(after) = ahead.as_slice().first() {
                    prefetch(after.sources.as_ptr(), size_of_val(&*after.sources));
                }
                fetched += next.sources.len();
            }
            fetched = fetched.saturating_sub(slot.sources.len());
            let series = MergedSeries { family: self, slot, scratch: &scratch };
            let current = series.cells().filter(Cells::is_current).count();
            if current < slot.sources.len() && slot.sources.iter().any(|source| !series.is_current(source)) {
                self.entry.mark_stale();
            }
            if current > 0 {
                visit(&series);
            }
        }
    }

    /// The same, without gauges that nobody has touched: those are not there.
    pub(super) fn visit_touched(&self, mut visit: impl FnMut(&MergedSeries)) {
        let is_gauge = matches!(self.entry.definition.kind, Kind::Gauge(_) | Kind::StateSet(_));
        self.visit(|series| {
            if !is_gauge || series.gauge_and_set().is_some() {
                visit(series);
            }
        });
    }

    /// Has the cells of a series brought nearer.
    fn fetch(&self, slot: &Slot) {
        let buckets = self.entry.layout().map(|layout| layout.bounds().len());
        for source in &slot.sources {
            if let Some(member) = self.members.get(source.segment) {
                Cells::new(&member.segment, source).fetch(buckets);
            }
        }
    }

    /// The text that a series of this very process has here: with `pid` where every process has its own.
    pub(super) fn text_of_own(&self, text: &[u8]) -> Vec<u8> {
        self.entry.text_of(text, &std::process::id().to_string())
    }

    pub(super) fn entry(&self) -> &'a Entry {
        self.entry
    }
}

impl Reading for MergedFamily<'_> {
    fn definition(&self) -> &Definition {
        &self.entry.definition
    }

    fn labels(&self) -> &Labels {
        &self.entry.labels
    }

    fn for_each(&self, visit: &mut dyn FnMut(&dyn Series)) {
        self.visit_touched(|series| visit(series));
    }

    fn faults(&self) -> (u64, u64) {
        self.entry.origins.iter().fold((0, 0), |(folded, refused), origin| {
            let Some(member) = self.members.get(origin.segment).filter(|_| origin.counts) else {
                return (folded, refused);
            };
            let more = origin.faults(&member.segment);
            (folded.saturating_add(more.0), refused.saturating_add(more.1))
        })
    }
}

/// A series of several processes.
pub struct MergedSeries<'a> {
    family: &'a MergedFamily<'a>,
    slot: &'a Slot,
    scratch: &'a RefCell<Buckets>,
}

impl<'a> MergedSeries<'a> {
    /// All that count in the family's mode.
    fn cells(&self) -> impl Iterator<Item = Cells<'a>> {
        let MergedFamily { members, entry, gone } = self.family;
        let is_live = entry.mode().is_live();
        self.slot.sources.iter().filter_map(move |source| {
            let member = members.get(source.segment)?;
            let counts = (!is_live || member.segment.is_alive())
                && (gone.is_empty() || !gone.contains(&(source.segment, source.family)));
            counts.then(|| Cells::new(&member.segment, source))
        })
    }

    fn is_current(&self, source: &Source) -> bool {
        let member = self.family.members.get(source.segment);
        member.is_some_and(|member| Cells::new(&member.segment, source).is_current())
    }

    /// Who has it.
    pub(super) fn sources(&self) -> &'a [Source] {
        &self.slot.sources
    }

    fn layout(&self) -> Option<&'a Arc<Layout>> {
        self.family.entry.layout()
    }

    /// The latest of several values by when they were set; of those that do not tell, the youngest living
    /// process's.
    fn latest<T>(&self, read: impl Fn(&Cells<'a>) -> Option<(T, f64)>) -> Option<(T, f64)> {
        let all = self.cells().filter_map(|cells| {
            let (value, set) = read(&cells)?;
            let segment = cells.segment();
            Some((set, segment.is_alive(), segment.header().created, value))
        });
        let latest = all.reduce(|left, right| {
            let order = left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)).then(left.2.total_cmp(&right.2));
            if order.is_gt() {
                left
            } else {
                right
            }
        });
        latest.map(|(set, _, _, value)| (value, set))
    }

    /// The value of a gauge or the state of a state set, and when it was set.
    pub(super) fn gauge_and_set(&self) -> Option<(f64, f64)> {
        let combine = |read: fn(&Cells<'a>) -> Option<(f64, f64)>, combine: fn(f64, f64) -> f64| {
            let all = self.cells().filter_map(|cells| read(&cells));
            all.reduce(|left, right| (combine(left.0, right.0), left.1.max(right.1)))
        };
        match self.family.entry.mode() {
            Mode::Sum | Mode::LiveSum => combine(Cells::gauge, |left, right| left + right),
            Mode::Min | Mode::LiveMin => combine(Cells::touched, f64::min),
            Mode::Max | Mode::LiveMax => combine(Cells::touched, f64::max),
            Mode::All | Mode::LiveAll | Mode::MostRecent | Mode::LiveMostRecent => self.latest(Cells::touched),
        }
    }

    /// The snapshot of all processes but the one whose file has this uuid.
    pub(super) fn snapshot_without(&self, uuid: [u8; 16]) -> Snapshot {
        self.snapshot_of(self.cells().filter(|cells| cells.segment().header().uuid != uuid))
    }

    fn snapshot_of(&self, cells: impl Iterator<Item = Cells<'a>>) -> Snapshot {
        let Some(layout) = self.layout() else {
            return Snapshot::empty(Layout::new(&[]).expect("no bounds are good bounds"));
        };
        let mut all = cells.filter_map(|cells| cells.snapshot(layout));
        let mut merged = all.next().unwrap_or_else(|| Snapshot::empty(layout.clone()));
        all.for_each(|snapshot| merged.merge(&snapshot));
        merged
    }

    /// The constant labels of an info, and when they were set.
    pub(super) fn info_and_set(&self) -> Option<(String, f64)> {
        self.latest(Cells::info)
    }
}

impl Series for MergedSeries<'_> {
    fn text(&self) -> &[u8] {
        &self.slot.text
    }

    fn created(&self) -> f64 {
        let all = self.cells().filter_map(|cells| cells.created());
        all.reduce(f64::min).unwrap_or_default()
    }

    fn counter(&self) -> (u64, f64) {
        self.cells().filter_map(|cells| cells.counter()).fold((0, 0.0), |(whole, fraction), more| {
            let fraction = fraction + more.1;
            // As a cell does: what no integer holds goes on as a double.
            match u64::checked_add(whole, more.0) {
                Some(whole) => (whole, fraction),
                None => (whole, fraction + more.0 as f64),
            }
        })
    }

    fn gauge(&self) -> f64 {
        self.gauge_and_set().map_or(0.0, |(value, _)| value)
    }

    fn buckets(&self, out: &mut Buckets) {
        let Some(layout) = self.layout() else { return *out = Buckets::default() };
        let mut cells = self.cells();
        // The first is read where the total is to be.
        let found = cells.any(|cells| cells.buckets(layout, out));
        if !found {
            out.counts.clear();
            out.counts.resize(layout.bounds().len(), 0);
            out.sum = 0.0;
            return;
        }
        let more = &mut *self.scratch.borrow_mut();
        for cells in cells {
            if cells.buckets(layout, more) {
                out.sum += more.sum;
                for (ours, theirs) in out.counts.iter_mut().zip(&more.counts) {
                    *ours = ours.saturating_add(*theirs);
                }
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.snapshot_of(self.cells())
    }

    fn info(&self) -> Option<String> {
        self.info_and_set().map(|(text, _)| text)
    }

    fn exemplars(&self) -> Vec<Option<Exemplar>> {
        let buckets = self.layout().map_or(1, |layout| layout.bounds().len());
        let mut all = Vec::new();
        self.cells().for_each(|cells| cells.exemplars(buckets, &mut all));
        all
    }
}
