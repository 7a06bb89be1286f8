//! Means that neither overflow nor lose small numbers, as Prometheus takes them.

use crate::histogram::{Histogram, Incompatible, Notes, Sum};
use crate::kahan::Kahan;

/// The mean of floats: of their sum, and step by step from where the sum would overflow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    sum: Kahan,
    count: f64,
    stepwise: bool,
}

impl Mean {
    pub(super) fn new(first: f64) -> Self {
        Self { sum: Kahan { sum: first, lost: 0.0 }, count: 1.0, stepwise: false }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.stepwise {
            let mut next = self.sum;
            next.add(value);
            if !next.sum.is_infinite() {
                self.sum = next;
                return;
            }
            self.stepwise = true;
            self.sum.sum /= self.count - 1.0;
            self.sum.lost /= self.count - 1.0;
        }
        let part = (self.count - 1.0) / self.count;
        self.sum.sum *= part;
        self.sum.lost *= part;
        self.sum.add(value / self.count);
    }

    pub(super) fn value(self) -> f64 {
        if self.stepwise {
            self.sum.sum + self.sum.lost
        } else {
            self.sum.sum / self.count + self.sum.lost / self.count
        }
    }
}

/// The mean of histograms, in the same way.
#[derive(Clone, Debug)]
pub(super) struct HistogramMean {
    sum: Sum,
    count: f64,
    stepwise: bool,
}

impl HistogramMean {
    pub(super) fn new(first: &Histogram) -> Self {
        Self { sum: Sum::new(first), count: 1.0, stepwise: false }
    }

    pub(super) fn add(&mut self, histogram: &Histogram) -> Result<Notes, Incompatible> {
        self.count += 1.0;
        if !self.stepwise {
            let mut next = self.sum.clone();
            let notes = next.add(histogram)?;
            if !next.overflows() {
                self.sum = next;
                return Ok(notes);
            }
            self.stepwise = true;
            self.sum.divide(self.count - 1.0);
        }
        self.sum.multiply((self.count - 1.0) / self.count);
        let mut part = histogram.clone();
        part.divide(self.count);
        self.sum.add(&part)
    }

    pub(super) fn value(mut self) -> Histogram {
        if !self.stepwise {
            self.sum.divide(self.count);
        }
        self.sum.total()
    }
}
