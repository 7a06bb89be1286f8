//! A series that is found once and then held by address.

use ferrometer_core::cell::{CounterCell, GaugeCell};
use ferrometer_core::error::Error;
use ferrometer_core::exemplar::Exemplar;
use ferrometer_core::family::Family;
use ferrometer_core::histogram::Histogram;
use ferrometer_core::series::SeriesRef;
use std::ptr::NonNull;

/// The address of a series' cells, and the reference that keeps them there.
pub struct Held<T> {
    cell: NonNull<T>,
    series: SeriesRef,
}

impl Held<CounterCell> {
    pub fn counter(family: &Family, labels: &[&str]) -> Result<Self, Error> {
        let series = family.series(labels)?;
        Ok(Self { cell: NonNull::from(series.counter()), series })
    }
}

impl Held<GaugeCell> {
    pub fn gauge(family: &Family, labels: &[&str]) -> Result<Self, Error> {
        let series = family.series(labels)?;
        Ok(Self { cell: NonNull::from(series.gauge()), series })
    }
}

impl Held<Histogram> {
    pub fn histogram(family: &Family, labels: &[&str]) -> Result<Self, Error> {
        let series = family.series(labels)?;
        Ok(Self { cell: NonNull::from(series.histogram()), series })
    }

    /// Keeps the trace in which a value was recorded for the value's bucket. `family` is that of the series.
    #[cold]
    pub fn keep_exemplar(&self, family: &Family, value: f64, trace_id: String) {
        let exemplar = Exemplar::now(&[("trace_id".to_owned(), trace_id)], value);
        family.keep_exemplar(&self.series, self.layout().bucket(value), exemplar);
    }
}

impl<T> Held<T> {
    /// Whether its family has lost the series since.
    pub fn is_removed(&self) -> bool {
        self.series.is_removed()
    }
}

impl<T> std::ops::Deref for Held<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: a series' cells stay where they are as long as the series lives, which is held beside the address.
        unsafe { self.cell.as_ref() }
    }
}
