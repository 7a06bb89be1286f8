//! A family of all processes, with what only this process can see of it.
//!
//! On a full file system, a series may find no place in the file; or it has one, and what it needs later (wider
//! bins, another octave, exemplars, the text of an info) lies in private memory.

use super::merged::{MergedFamily, MergedSeries};
use super::view::View;
use super::{own_file, unwritten};
use crate::definition::{Definition, Kind};
use crate::exemplar::Exemplar;
use crate::family::Family;
use crate::histogram::{Buckets, Snapshot};
use crate::labels::Labels;
use crate::mode::Mode;
use crate::reading::{Here, Reading, Series};
use crate::series::SeriesRef;
use crate::slab;
use crate::sync::Ordering::Relaxed;
use std::collections::HashMap;

impl View {
    /// The family as all processes recorded it; with what of this process found no place in its file.
    pub fn reading<'a>(&'a self, family: &'a Family) -> Option<Box<dyn Reading + 'a>> {
        let merged = self.find(family.scope(), family.definition(), family.ordinal())?;
        let unwritten = unwritten::of(family.id.load(Relaxed));
        if unwritten.is_empty() && !slab::is_partly_private() {
            return Some(Box::new(merged));
        }
        let mut own: HashMap<_, _> = HashMap::new();
        if slab::is_partly_private() {
            family.for_each(|series| {
                own.insert(merged.text_of_own(series.text()), Own { series: series.clone(), is_written: true });
            });
        }
        for series in unwritten {
            own.insert(merged.text_of_own(series.text()), Own { series, is_written: false });
        }
        Some(Box::new(WithOwn { merged, family, own }))
    }
}

/// A series of this process.
struct Own {
    series: SeriesRef,
    /// Whether the merged family has it.
    is_written: bool,
}

struct WithOwn<'a> {
    merged: MergedFamily<'a>,
    family: &'a Family,
    /// By their texts.
    own: HashMap<Vec<u8>, Own>,
}

impl Reading for WithOwn<'_> {
    fn definition(&self) -> &Definition {
        self.merged.definition()
    }

    fn labels(&self) -> &Labels {
        self.merged.labels()
    }

    fn for_each(&self, visit: &mut dyn FnMut(&dyn Series)) {
        let mut left: HashMap<&[u8], &Own> = self.own.iter().map(|(text, own)| (&**text, own)).collect();
        self.merged.visit_touched(|all| match left.remove_entry(all.text()) {
            Some((text, own)) => visit(&Both { text, own, all: Some(all), family: self.family }),
            None => visit(all),
        });
        let mut left: Vec<_> = left.into_iter().filter(|(_, own)| !own.is_written).collect();
        left.sort_unstable_by_key(|(text, _)| *text);
        for (text, own) in left {
            visit(&Both { text, own, all: None, family: self.family });
        }
    }

    fn faults(&self) -> (u64, u64) {
        self.merged.faults()
    }
}

/// A series of this process, and the same as the files have it.
struct Both<'a> {
    text: &'a [u8],
    own: &'a Own,
    all: Option<&'a MergedSeries<'a>>,
    family: &'a Family,
}

impl<'a> Both<'a> {
    fn own(&self) -> Here<'a> {
        Here::new(self.family, &self.own.series)
    }

    /// What the files say, when they say all that there is to say.
    fn whole(&self) -> Option<&'a MergedSeries<'a>> {
        self.all.filter(|_| self.own.is_written)
    }
}

impl Series for Both<'_> {
    fn text(&self) -> &[u8] {
        self.text
    }

    fn created(&self) -> f64 {
        let own = self.own().created();
        self.all.map_or(own, |all| own.min(all.created()))
    }

    fn counter(&self) -> (u64, f64) {
        if let Some(whole) = self.whole() {
            return whole.counter();
        }
        let (whole, fraction) = self.own().counter();
        let Some((more, rest)) = self.all.map(Series::counter) else { return (whole, fraction) };
        match whole.checked_add(more) {
            Some(whole) => (whole, fraction + rest),
            None => (whole, fraction + rest + more as f64),
        }
    }

    fn gauge(&self) -> f64 {
        if let Some(whole) = self.whole() {
            return whole.gauge();
        }
        let own = self.own().gauge();
        let Some(others) = self.all.map(Series::gauge) else { return own };
        match self.family.definition().kind {
            Kind::Gauge(Mode::Sum | Mode::LiveSum) => own + others,
            Kind::Gauge(Mode::Min | Mode::LiveMin) => own.min(others),
            Kind::Gauge(Mode::Max | Mode::LiveMax) => own.max(others),
            // Which one was set last is not known of the others together; what this process holds is shown.
            _ => own,
        }
    }

    fn buckets(&self, out: &mut Buckets) {
        if let Some(whole) = self.whole() {
            return whole.buckets(out);
        }
        self.own().buckets(out);
        if let Some(others) = self.all {
            let mut more = Buckets::default();
            others.buckets(&mut more);
            out.sum += more.sum;
            for (ours, theirs) in out.counts.iter_mut().zip(&more.counts) {
                *ours = ours.saturating_add(*theirs);
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.own().snapshot();
        if let Some(all) = self.all {
            // Not what the file has of this process: bins may be missing there, and move out of it any time.
            snapshot.merge(&all.snapshot_without(own_file::uuid()));
        }
        snapshot
    }

    fn info(&self) -> Option<String> {
        let seen = self.all.and_then(MergedSeries::info_and_set);
        let since = seen.as_ref().map_or(f64::NEG_INFINITY, |(_, set)| *set);
        let own = self.own().info().filter(|_| self.own.series.info().set_at() >= since);
        own.or(seen.map(|(text, _)| text))
    }

    fn exemplars(&self) -> Vec<Option<Exemplar>> {
        let mut latest = self.all.map(Series::exemplars).unwrap_or_default();
        let own = self.own().exemplars();
        latest.resize(latest.len().max(own.len()), None);
        for (latest, own) in latest.iter_mut().zip(own) {
            let since = latest.as_ref().map_or(f64::NEG_INFINITY, |latest| latest.timestamp);
            if own.as_ref().is_some_and(|own| own.timestamp > since) {
                *latest = own;
            }
        }
        latest
    }
}
