//! What a store answers to the engine: series by matchers, their samples, and summaries of windows without reading
//! every sample.

use std::fmt;
use std::sync::Arc;

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::sample::{is_stale, Samples};

/// Evenly spaced windows `(end - width, end]`, open on the left, all in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The end of the first window, inclusive.
    pub first_end_ms: i64,
    /// From one end to the next; 0 where there is one window.
    pub step_ms: i64,
    /// How many windows, at least 1.
    pub count: usize,
    /// The width of each, at least 1.
    pub width_ms: i64,
}

impl Windows {
    /// The end of a window, inclusive.
    pub fn end_ms(&self, window: usize) -> i64 {
        self.first_end_ms.saturating_add(self.step_ms.saturating_mul(window as i64))
    }

    /// The start of a window, exclusive.
    pub fn start_ms(&self, window: usize) -> i64 {
        self.end_ms(window).saturating_sub(self.width_ms)
    }

    /// The end of the last window, inclusive.
    pub fn last_end_ms(&self) -> i64 {
        self.end_ms(self.count - 1)
    }
}

/// A store of series; one is asked by many threads at once.
pub trait Storage: Sync {
    /// The series that pass all matchers and may have samples in `(after_ms, until_ms]`, each once.
    ///
    /// The selection is one consistent view: what is written later need not be seen, what is dropped later must not
    /// be missed.
    ///
    /// # Errors
    /// The store cannot be read; the words say which file and why.
    fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        after_ms: i64,
        until_ms: i64,
    ) -> Result<Box<dyn Selection + 'a>, StorageError>;
}

/// The series that a selector chose, by index.
pub trait Selection {
    /// How many series there are.
    fn count(&self) -> usize;

    /// The labels of a series.
    fn labels(&self, series: usize) -> Labels;

    /// Appends the samples of a series in `(after_ms, until_ms]`, stale markers included, in ascending order of time.
    ///
    /// # Errors
    /// The store cannot be read.
    fn read(&self, series: usize, after_ms: i64, until_ms: i64, into: &mut Samples) -> Result<(), StorageError>;

    /// Pushdown for `rate`, `increase` and `count_over_time`: appends one element per window. False where
    /// the store cannot answer exactly for this series (also: native histograms); the engine then reads the samples.
    ///
    /// # Errors
    /// The store cannot be read.
    fn counter_windows(
        &self,
        series: usize,
        windows: &Windows,
        into: &mut Vec<Option<CounterWindow>>,
    ) -> Result<bool, StorageError> {
        let _ = (series, windows, into);
        Ok(false)
    }

    /// Pushdown for `rate` and `increase` of native histograms: appends one element per window, `None` where it has
    /// no sample. False as above.
    ///
    /// # Errors
    /// The store cannot be read.
    fn histogram_windows(
        &self,
        series: usize,
        windows: &Windows,
        into: &mut Vec<Option<HistogramWindow>>,
    ) -> Result<bool, StorageError> {
        let _ = (series, windows, into);
        Ok(false)
    }

    /// Pushdown for `max_over_time` and `min_over_time`: appends one element per window, `None` where the window has
    /// no sample. A store that keeps a gauge's extremes beside its last value answers from these. False as above.
    ///
    /// # Errors
    /// The store cannot be read.
    fn extreme_windows(
        &self,
        series: usize,
        windows: &Windows,
        extreme: Extreme,
        into: &mut Vec<Option<f64>>,
    ) -> Result<bool, StorageError> {
        let _ = (series, windows, extreme, into);
        Ok(false)
    }

    /// The last sample in each window, for instant selectors: the width is the lookback. Appends one element per
    /// window, [`Instant::Nothing`] where there is no sample or where the last one is a stale marker.
    ///
    /// The provided one reads all samples; a store that finds the last one without the others should.
    ///
    /// # Errors
    /// The store cannot be read.
    fn instants(
        &self,
        series: usize,
        windows: &Windows,
        scratch: &mut Samples,
        into: &mut Vec<Instant>,
    ) -> Result<(), StorageError> {
        scratch.clear();
        self.read(series, windows.start_ms(0), windows.last_end_ms(), scratch)?;
        instants_of(scratch, windows, into);
        Ok(())
    }
}

/// What `rate` and its family need to know of the float samples in one window, stale markers left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CounterWindow {
    /// How many samples.
    pub count: u64,
    /// The time of the first.
    pub first_ms: i64,
    /// The value of the first.
    pub first: f64,
    /// The time of the last.
    pub last_ms: i64,
    /// The value of the last.
    pub last: f64,
    /// The sum of the values before each reset (each sample less than its predecessor in the window): 0 where there
    /// was none. `last - first + lost` is the increase between the two samples.
    pub lost: f64,
}

/// What `rate` and `increase` need to know of the native histograms in one window, stale markers left out.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramWindow {
    /// How many samples.
    pub count: u64,
    /// The time of the first.
    pub first_ms: i64,
    /// How many observations the first one has.
    pub first_count: f64,
    /// The time of the last.
    pub last_ms: i64,
    /// What came between the first and the last sample, resets accounted for, in the coarsest schema of the window.
    pub increase: Histogram,
}

/// Which extreme of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// The smallest value.
    Minimum,
    /// The largest value.
    Maximum,
}

/// The sample that an instant selector sees at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Instant {
    /// No sample within the lookback, or the series has ended.
    Nothing,
    /// A float and its own time.
    Float(i64, f64),
    /// A native histogram and its own time.
    Histogram(i64, Arc<Histogram>),
}

/// Why a store did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError(pub String);

impl fmt::Display for StorageError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for StorageError {}

/// The last sample of each window, from samples that cover all windows.
pub fn instants_of(samples: &Samples, windows: &Windows, into: &mut Vec<Instant>) {
    let first = windows.start_ms(0);
    let mut floats = samples.floats.partition_point(|point| point.time_ms <= first);
    let mut histograms = samples.histograms.partition_point(|point| point.time_ms <= first);
    if windows.count == 1 {
        let end = windows.end_ms(0);
        floats += samples.floats[floats..].partition_point(|point| point.time_ms <= end);
        histograms += samples.histograms[histograms..].partition_point(|point| point.time_ms <= end);
    }
    for window in 0..windows.count {
        let (start, end) = (windows.start_ms(window), windows.end_ms(window));
        while samples.floats.get(floats).is_some_and(|point| point.time_ms <= end) {
            floats += 1;
        }
        while samples.histograms.get(histograms).is_some_and(|point| point.time_ms <= end) {
            histograms += 1;
        }
        let float = floats.checked_sub(1).map(|at| samples.floats[at]).filter(|point| point.time_ms > start);
        let histogram =
            histograms.checked_sub(1).map(|at| &samples.histograms[at]).filter(|point| point.time_ms > start);
        into.push(match (float, histogram) {
            (Some(float), histogram) if histogram.is_none_or(|other| other.time_ms < float.time_ms) => {
                if is_stale(float.value) {
                    Instant::Nothing
                } else {
                    Instant::Float(float.time_ms, float.value)
                }
            }
            (_, Some(point)) if !is_stale(point.histogram.sum) => {
                Instant::Histogram(point.time_ms, Arc::clone(&point.histogram))
            }
            _ => Instant::Nothing,
        });
    }
}
