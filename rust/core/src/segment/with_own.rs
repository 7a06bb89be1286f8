//! A family of all processes, with those of its series that only this process can see.

use super::merged::MergedFamily;
use super::unwritten;
use super::view::View;
use crate::definition::{Definition, Kind};
use crate::exemplar::Exemplar;
use crate::family::Family;
use crate::histogram::{Buckets, Snapshot};
use crate::labels::Labels;
use crate::mode::Mode;
use crate::reading::{Here, Reading, Series};
use crate::series::SeriesRef;
use crate::sync::Ordering::Relaxed;
use std::collections::HashMap;

impl View {
    /// The family as all processes recorded it; with the series of this process that found no place in its file.
    pub fn reading<'a>(&'a self, family: &'a Family) -> Option<Box<dyn Reading + 'a>> {
        let merged = self.find(family.scope(), family.definition(), family.ordinal())?;
        let own = unwritten::of(family.id.load(Relaxed));
        if own.is_empty() {
            return Some(Box::new(merged));
        }
        Some(Box::new(WithOwn { merged, family, own }))
    }
}

struct WithOwn<'a> {
    merged: MergedFamily<'a>,
    family: &'a Family,
    own: Vec<SeriesRef>,
}

impl Reading for WithOwn<'_> {
    fn definition(&self) -> &Definition {
        self.merged.definition()
    }

    fn labels(&self) -> &Labels {
        self.merged.labels()
    }

    fn for_each(&self, visit: &mut dyn FnMut(&dyn Series)) {
        let texts = self.own.iter().map(|own| self.merged.text_of_own(own.text()));
        let mut left: HashMap<Vec<u8>, &SeriesRef> = texts.zip(&self.own).collect();
        self.merged.for_each(&mut |others| match left.remove_entry(others.text()) {
            Some((text, own)) => {
                visit(&Both { text, own: Here::new(self.family, own), others: Some(others), family: self.family });
            }
            None => visit(others),
        });
        for own in &self.own {
            if let Some((text, own)) = left.remove_entry(&self.merged.text_of_own(own.text())) {
                visit(&Both { text, own: Here::new(self.family, own), others: None, family: self.family });
            }
        }
    }

    fn faults(&self) -> (u64, u64) {
        self.merged.faults()
    }
}

/// A series of this process, and the same of others where they have it.
struct Both<'a> {
    text: Vec<u8>,
    own: Here<'a>,
    others: Option<&'a dyn Series>,
    family: &'a Family,
}

impl Series for Both<'_> {
    fn text(&self) -> &[u8] {
        &self.text
    }

    fn created(&self) -> f64 {
        let own = self.own.created();
        self.others.map_or(own, |others| own.min(others.created()))
    }

    fn counter(&self) -> (u64, f64) {
        let (whole, fraction) = self.own.counter();
        let Some((more, rest)) = self.others.map(Series::counter) else { return (whole, fraction) };
        match whole.checked_add(more) {
            Some(whole) => (whole, fraction + rest),
            None => (whole, fraction + rest + more as f64),
        }
    }

    fn gauge(&self) -> f64 {
        let own = self.own.gauge();
        let Some(others) = self.others.map(Series::gauge) else { return own };
        match self.family.definition().kind {
            Kind::Gauge(Mode::Sum | Mode::LiveSum) => own + others,
            Kind::Gauge(Mode::Min | Mode::LiveMin) => own.min(others),
            Kind::Gauge(Mode::Max | Mode::LiveMax) => own.max(others),
            // Which one was set last is not known of the others together; what this process holds is shown.
            _ => own,
        }
    }

    fn buckets(&self, out: &mut Buckets) {
        self.own.buckets(out);
        if let Some(others) = self.others {
            let mut more = Buckets::default();
            others.buckets(&mut more);
            out.sum += more.sum;
            for (ours, theirs) in out.counts.iter_mut().zip(&more.counts) {
                *ours = ours.saturating_add(*theirs);
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.own.snapshot();
        if let Some(others) = self.others {
            snapshot.merge(&others.snapshot());
        }
        snapshot
    }

    fn info(&self) -> Option<String> {
        self.own.info().or_else(|| self.others.and_then(Series::info))
    }

    fn exemplars(&self) -> Vec<Option<Exemplar>> {
        let own = self.own.exemplars();
        match self.others {
            Some(others) if own.iter().all(Option::is_none) => others.exemplars(),
            _ => own,
        }
    }
}
