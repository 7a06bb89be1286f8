//! The sum of many histograms, each number compensated (Kahan and Neumaier).

use super::arithmetic::{shared_bounds, Incompatible, Notes};
use super::{Bin, Histogram};
use crate::kahan::Kahan;

/// A running sum: the histogram and, in the same bins, what rounding lost.
#[derive(Clone, Debug)]
pub(crate) struct Sum {
    value: Histogram,
    lost: Histogram,
}

impl Sum {
    pub(crate) fn new(first: &Histogram) -> Self {
        let lost = Histogram {
            schema: first.schema,
            zero_threshold: first.zero_threshold,
            bounds: first.bounds.clone(),
            ..Histogram::default()
        };
        Self { value: first.clone(), lost }
    }

    pub(crate) fn add(&mut self, other: &Histogram) -> Result<Notes, Incompatible> {
        if self.value.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        let mut notes = Notes { reset_collision: self.value.combine_hint(other.reset), reconciled: false };
        let mut other = other.clone();
        if self.value.is_custom() {
            if self.value.bounds != other.bounds {
                notes.reconciled = true;
                let bounds = shared_bounds(&self.value.bounds, &other.bounds);
                for histogram in [&mut self.value, &mut self.lost, &mut other] {
                    histogram.rebound(&bounds);
                }
            }
        } else {
            // The widest zero bin that suits both, the coarsest schema.
            self.value.reconcile_zero(&other);
            let threshold = self.value.zero_threshold;
            other.widen_zero(threshold);
            self.lost.widen_zero(threshold);
            let schema = self.value.schema.min(other.schema);
            for histogram in [&mut self.value, &mut self.lost, &mut other] {
                histogram.merge(schema);
            }
        }
        let numbers = [
            (&mut self.value.zero_count, &mut self.lost.zero_count, other.zero_count),
            (&mut self.value.count, &mut self.lost.count, other.count),
            (&mut self.value.sum, &mut self.lost.sum, other.sum),
        ];
        for (value, lost, added) in numbers {
            step(value, lost, added);
        }
        add_bins(&mut self.value.positive, &mut self.lost.positive, &other.positive);
        add_bins(&mut self.value.negative, &mut self.lost.negative, &other.negative);
        Ok(notes)
    }

    pub(crate) fn overflows(&self) -> bool {
        self.value.overflows()
    }

    pub(crate) fn divide(&mut self, by: f64) {
        self.value.divide(by);
        self.lost.divide(by);
    }

    pub(crate) fn multiply(&mut self, by: f64) {
        self.value.multiply(by);
        self.lost.multiply(by);
    }

    /// The sum with what rounding lost.
    pub(crate) fn total(mut self) -> Histogram {
        // Both have the same kind of bins, always.
        self.lost.reset = self.value.reset;
        let _ = self.value.add(&self.lost);
        self.value
    }
}

fn step(value: &mut f64, lost: &mut f64, added: f64) {
    let mut sum = Kahan { sum: *value, lost: *lost };
    sum.add(added);
    (*value, *lost) = (sum.sum, sum.lost);
}

/// Adds bins to bins; where `lost` has no bin, nothing was lost.
fn add_bins(bins: &mut Vec<Bin>, lost: &mut Vec<Bin>, added: &[Bin]) {
    for bin in added {
        let at = match bins.binary_search_by_key(&bin.index, |bin| bin.index) {
            Ok(at) => at,
            Err(at) => {
                bins.insert(at, Bin { index: bin.index, count: 0.0 });
                at
            }
        };
        let mut sum = Kahan { sum: bins[at].count, lost: 0.0 };
        let place = lost.binary_search_by_key(&bin.index, |bin| bin.index);
        if let Ok(place) = place {
            sum.lost = lost[place].count;
        }
        sum.add(bin.count);
        bins[at].count = sum.sum;
        match place {
            Ok(place) => lost[place].count = sum.lost,
            Err(place) if sum.lost != 0.0 => lost.insert(place, Bin { index: bin.index, count: sum.lost }),
            Err(_) => {}
        }
    }
}
