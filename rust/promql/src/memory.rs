//! A store in memory, for tests, fuzzing, benchmarks and whatever small data someone wants to ask.

use std::collections::HashMap;
use std::sync::Arc;

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::sample::{is_stale, HistogramPoint, Point, Samples};
use crate::storage::{CounterWindow, Extreme, Instant, Selection, Storage, StorageError, Windows};

/// Series with their samples in ascending order of time.
#[derive(Debug, Default)]
pub struct Memory {
    series: Vec<Series>,
    by_labels: HashMap<Labels, usize>,
    /// Without pushdowns every window is read: what is computed from samples alone.
    pub reads_all: bool,
}

#[derive(Debug)]
struct Series {
    labels: Labels,
    samples: Samples,
    /// The indexes of floats that are less than the one before.
    resets: Vec<usize>,
    has_stale: bool,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn series(&mut self, labels: &Labels) -> &mut Series {
        let next = self.series.len();
        let at = *self.by_labels.entry(labels.clone()).or_insert(next);
        if at == next {
            let (samples, resets) = (Samples::default(), Vec::new());
            self.series.push(Series { labels: labels.clone(), samples, resets, has_stale: false });
        }
        &mut self.series[at]
    }

    /// Appends a float; one that is not later than the last is ignored.
    pub fn push(&mut self, labels: &Labels, time_ms: i64, value: f64) {
        let series = self.series(labels);
        let floats = &mut series.samples.floats;
        if let Some(last) = floats.last() {
            if last.time_ms >= time_ms {
                return;
            }
            if value < last.value {
                series.resets.push(floats.len());
            }
        }
        series.has_stale |= is_stale(value);
        floats.push(Point { time_ms, value });
    }

    /// Appends a native histogram; one that is not later than the last is ignored.
    pub fn push_histogram(&mut self, labels: &Labels, time_ms: i64, histogram: Histogram) {
        let histograms = &mut self.series(labels).samples.histograms;
        if histograms.last().is_none_or(|last| last.time_ms < time_ms) {
            histograms.push(HistogramPoint { time_ms, histogram: Arc::new(histogram) });
        }
    }

    /// The last native histogram of a series.
    pub fn last_histogram(&self, labels: &Labels) -> Option<&Histogram> {
        let series = &self.series[*self.by_labels.get(labels)?];
        series.samples.histograms.last().map(|point| &*point.histogram)
    }
}

impl Storage for Memory {
    fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        after_ms: i64,
        until_ms: i64,
    ) -> Result<Box<dyn Selection + 'a>, StorageError> {
        // The ends of a series tell whether it may have samples there.
        let overlaps = |first: i64, last: i64| last > after_ms && first <= until_ms;
        let passes = |series: &&Series| {
            matchers.iter().all(|matcher| matcher.matches(series.labels.get(matcher.name())))
                && (ends(&series.samples.floats, |point| point.time_ms).is_some_and(|(a, b)| overlaps(a, b))
                    || ends(&series.samples.histograms, |point| point.time_ms).is_some_and(|(a, b)| overlaps(a, b)))
        };
        Ok(Box::new(Selected { series: self.series.iter().filter(passes).collect(), reads_all: self.reads_all }))
    }
}

struct Selected<'a> {
    series: Vec<&'a Series>,
    reads_all: bool,
}

fn ends<T>(samples: &[T], time: impl Fn(&T) -> i64) -> Option<(i64, i64)> {
    Some((time(samples.first()?), time(samples.last()?)))
}

/// The first sample after a time, at or after `from`: in growing steps, as it mostly is near.
fn next_after(floats: &[Point], from: usize, time_ms: i64) -> usize {
    let mut bound = 1;
    while floats.get(from + bound - 1).is_some_and(|point| point.time_ms <= time_ms) {
        bound *= 2;
    }
    let (low, high) = (from + bound / 2, floats.len().min(from + bound));
    low + floats[low..high].partition_point(|point| point.time_ms <= time_ms)
}

/// The first sample after a time, searched from the end: instant queries ask for what is recent.
fn last_after(floats: &[Point], time_ms: i64) -> usize {
    let length = floats.len();
    let mut bound = 1;
    while bound <= length && floats[length - bound].time_ms > time_ms {
        bound *= 2;
    }
    let (low, high) = (length - bound.min(length), length - bound / 2);
    low + floats[low..high].partition_point(|point| point.time_ms <= time_ms)
}

/// The indexes of the samples in `(after_ms, until_ms]`.
fn range<T>(samples: &[T], time: impl Fn(&T) -> i64, after_ms: i64, until_ms: i64) -> std::ops::Range<usize> {
    let start = samples.partition_point(|sample| time(sample) <= after_ms);
    start..start + samples[start..].partition_point(|sample| time(sample) <= until_ms)
}

impl Selection for Selected<'_> {
    fn count(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.series[series].labels.clone()
    }

    fn read(&self, series: usize, after_ms: i64, until_ms: i64, into: &mut Samples) -> Result<(), StorageError> {
        let Samples { floats, histograms } = &self.series[series].samples;
        into.floats.extend_from_slice(&floats[range(floats, |point| point.time_ms, after_ms, until_ms)]);
        let found = range(histograms, |point| point.time_ms, after_ms, until_ms);
        into.histograms.extend_from_slice(&histograms[found]);
        Ok(())
    }

    fn counter_windows(
        &self,
        series: usize,
        windows: &Windows,
        into: &mut Vec<Option<CounterWindow>>,
    ) -> Result<bool, StorageError> {
        let series = self.series[series];
        let floats = &series.samples.floats;
        if self.reads_all || series.has_stale || !series.samples.histograms.is_empty() {
            return Ok(false);
        }
        let (mut start, mut end) = (0, 0);
        for window in 0..windows.count {
            start = match window {
                0 => last_after(floats, windows.start_ms(window)),
                _ => next_after(floats, start, windows.start_ms(window)),
            };
            end = next_after(floats, end.max(start), windows.end_ms(window));
            if start == end {
                into.push(None);
                continue;
            }
            let first_reset = series.resets.partition_point(|reset| *reset <= start);
            let resets = series.resets[first_reset..].iter().take_while(|reset| **reset < end);
            let lost = resets.map(|reset| floats[reset - 1].value).sum();
            let (first, last) = (floats[start], floats[end - 1]);
            into.push(Some(CounterWindow {
                count: (end - start) as u64,
                first_ms: first.time_ms,
                first: first.value,
                last_ms: last.time_ms,
                last: last.value,
                lost,
            }));
        }
        Ok(true)
    }

    fn extreme_windows(
        &self,
        series: usize,
        windows: &Windows,
        extreme: Extreme,
        into: &mut Vec<Option<f64>>,
    ) -> Result<bool, StorageError> {
        let series = self.series[series];
        let floats = &series.samples.floats;
        if self.reads_all || series.has_stale || !series.samples.histograms.is_empty() {
            return Ok(false);
        }
        for window in 0..windows.count {
            let found = range(floats, |point| point.time_ms, windows.start_ms(window), windows.end_ms(window));
            // NaN only where there is nothing else, as both of these give.
            let values = floats[found].iter().map(|point| point.value);
            into.push(match extreme {
                Extreme::Maximum => values.reduce(f64::max),
                Extreme::Minimum => values.reduce(f64::min),
            });
        }
        Ok(true)
    }

    fn instants(
        &self,
        series: usize,
        windows: &Windows,
        _scratch: &mut Samples,
        into: &mut Vec<Instant>,
    ) -> Result<(), StorageError> {
        crate::storage::instants_of(&self.series[series].samples, windows, into);
        Ok(())
    }
}
