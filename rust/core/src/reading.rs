//! What an exposition needs of a family and its series, whoever recorded them: this process alone, or all
//! processes of an application.

use crate::exemplar::Exemplar;
use crate::family::{Definition, Family};
use crate::histogram::filled::Filled;
use crate::histogram::{Buckets, Snapshot};
use crate::labels::Labels;
use crate::series::SeriesRef;

/// The values of one series. Asking one of another kind than its family's panics.
pub trait Series {
    /// The rendered labels, without braces.
    fn text(&self) -> &[u8];
    /// When counting began, in seconds since 1970.
    fn created(&self) -> f64;
    /// The whole part of a counter, and the rest.
    fn counter(&self) -> (u64, f64);
    /// A gauge, or the index of a state set's state.
    fn gauge(&self) -> f64;
    /// The classic buckets, into a buffer that is used again for the next series.
    fn buckets(&self, out: &mut Buckets);
    /// A copy for quantiles and merging.
    fn snapshot(&self) -> Snapshot;
    /// The classic buckets and the bins that hold something, into a buffer that is used again for the next series.
    fn filled(&self, out: &mut Filled) {
        out.set(&self.snapshot());
    }
    /// The rendered constant labels of an info, once they are known.
    fn info(&self) -> Option<String>;
    /// The exemplars by bucket; shorter than the buckets when the last have none.
    fn exemplars(&self) -> Vec<Option<Exemplar>>;
}

/// One family.
pub trait Reading {
    /// What it is.
    fn definition(&self) -> &Definition;
    /// Its label names, and how they turn into text; of a gauge that every process has for itself, with `pid`.
    fn labels(&self) -> &Labels;
    /// Visits the series that there are now.
    fn for_each(&self, visit: &mut dyn FnMut(&dyn Series));
    /// How often a label set was folded into the overflow series, and how many NaN were refused.
    fn faults(&self) -> (u64, u64);
}

/// A series of this process.
pub struct Here<'a> {
    family: &'a Family,
    series: &'a SeriesRef,
}

impl<'a> Here<'a> {
    /// A series and its family.
    pub fn new(family: &'a Family, series: &'a SeriesRef) -> Self {
        Here { family, series }
    }
}

impl Series for Here<'_> {
    fn text(&self) -> &[u8] {
        self.series.text()
    }

    fn created(&self) -> f64 {
        self.series.created()
    }

    fn counter(&self) -> (u64, f64) {
        self.series.counter().parts()
    }

    fn gauge(&self) -> f64 {
        self.series.gauge().get()
    }

    fn buckets(&self, out: &mut Buckets) {
        self.series.histogram().read_buckets(out);
    }

    fn snapshot(&self) -> Snapshot {
        self.series.histogram().snapshot()
    }

    fn filled(&self, out: &mut Filled) {
        self.series.histogram().read_filled(out);
    }

    fn info(&self) -> Option<String> {
        self.series.info().get()
    }

    fn exemplars(&self) -> Vec<Option<Exemplar>> {
        self.family.exemplars().of(self.series.text())
    }
}

impl<T: Reading + ?Sized> Reading for &T {
    fn definition(&self) -> &Definition {
        T::definition(self)
    }

    fn labels(&self) -> &Labels {
        T::labels(self)
    }

    fn for_each(&self, visit: &mut dyn FnMut(&dyn Series)) {
        T::for_each(self, visit);
    }

    fn faults(&self) -> (u64, u64) {
        T::faults(self)
    }
}

impl Reading for Family {
    fn definition(&self) -> &Definition {
        Family::definition(self)
    }

    fn labels(&self) -> &Labels {
        Family::labels(self)
    }

    fn for_each(&self, visit: &mut dyn FnMut(&dyn Series)) {
        Family::for_each(self, |series| visit(&Here { family: self, series }));
    }

    fn faults(&self) -> (u64, u64) {
        Family::faults(self)
    }
}
