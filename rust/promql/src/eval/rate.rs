//! `rate`, `increase`, `delta`, `irate`, `idelta`.

use super::context::{Context, Evaluated};
use super::table::{Grid, Table};
use super::windows::{Made, Name, Source, Window};
use crate::ast::Expr;
use crate::histogram::{CounterReset, Histogram, Incompatible, Notes};
use crate::labels::Labels;
use crate::sample::{is_stale, HistogramPoint, Point, Samples, STALE};
use crate::storage::{CounterWindow, HistogramWindow, Windows};
use std::sync::Arc;

/// Which of `rate`, `increase` and `delta`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slope {
    Rate,
    Increase,
    Delta,
}

impl Slope {
    fn is_counter(self) -> bool {
        self != Self::Delta
    }
}

impl Context<'_> {
    pub(super) fn slope(&self, expr: &Expr, grid: Grid, slope: Slope) -> Evaluated<Table> {
        let (source, windows) = self.source(expr, grid)?;
        let mut table = self.table(grid, source.count());
        let (mut samples, mut counters, mut natives) = (Samples::default(), Vec::new(), Vec::new());
        let (mut one_name, mut first): (bool, Option<Labels>) = (true, None);
        for series in 0..source.count() {
            self.check()?;
            let row = source.row(series);
            let known_name = first.as_ref().is_some_and(|first| first.has_name_of(&row.labels));
            one_name &= known_name || first.is_none();
            let rows = table.len();
            counters.clear();
            let pushed = match &source {
                Source::Stored(selection) if slope.is_counter() => {
                    selection.counter_windows(series, &windows, &mut counters)?
                }
                _ => false,
            };
            natives.clear();
            let pushed_natives = match &source {
                Source::Stored(selection) if slope.is_counter() && !pushed => {
                    selection.histogram_windows(series, &windows, &mut natives)?
                }
                _ => false,
            };
            if pushed_natives {
                self.count(2 * natives.len() as u64)?;
                let to = table.push(row);
                for (window, native) in natives.drain(..).enumerate() {
                    let made = native.and_then(|native| extrapolated_native(native, &windows, window, slope));
                    let Some(histogram) = made.map(Arc::new) else { continue };
                    // `@` pins the only window for all steps.
                    let steps = if windows.count < grid.count { 0..grid.count } else { window..window + 1 };
                    for step in steps {
                        table.set_histogram(to, step, Arc::clone(&histogram));
                    }
                }
            } else if pushed {
                self.count(2 * counters.len() as u64)?;
                let to = table.push(row);
                let cells = table.row_mut(to);
                for (window, counter) in counters.iter().enumerate() {
                    let value = counter.as_ref().and_then(|counter| extrapolated(counter, &windows, window, slope));
                    cells[window] = value.map_or(STALE, |value| if is_stale(value) { f64::NAN } else { value });
                }
                if windows.count < grid.count {
                    // `@` pins the only window for all steps.
                    cells.fill(cells[0]);
                }
            } else {
                self.read_series(&source, series, &windows, &mut samples)?;
                if samples.floats.is_empty() && samples.histograms.is_empty() {
                    continue;
                }
                let function = |window: &Window<'_>| Ok(self.slope_of(window, slope));
                self.windows_of_series(&row, &samples, &windows, grid, Name::Keep, &mut table, &function)?;
            }
            table.pop_empty();
            if table.len() == rows {
                continue;
            }
            if !known_name && slope.is_counter() {
                let name = table.rows[rows].labels.name().filter(|name| !is_counter_name(name));
                if let Some(name) = name.filter(|_| table.row(rows).iter().any(|value| !is_stale(*value))) {
                    let words = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
                    self.inform(|| format!("{words}: {:?}", &**name));
                }
            }
            if first.is_none() {
                first = Some(table.rows[rows].labels.clone());
            }
        }
        self.drop_names(&mut table);
        if one_name || self.limits.delayed_name_removal {
            return Ok(table);
        }
        self.merge_now(table, true)
    }

    fn slope_of(&self, window: &Window<'_>, slope: Slope) -> Made {
        if !window.floats.is_empty() && !window.histograms.is_empty() {
            self.warn_mixed(window);
            return Made::Nothing;
        }
        let windows = Windows {
            first_end_ms: window.end_ms,
            step_ms: 0,
            count: 1,
            width_ms: window.end_ms.saturating_sub(window.start_ms),
        };
        if !window.floats.is_empty() {
            let counter = counter_window(window.floats, slope.is_counter());
            return extrapolated(&counter, &windows, 0, slope).map_or(Made::Nothing, Made::Float);
        }
        let [first, .., last] = window.histograms else { return Made::Nothing };
        let Some(mut increase) = self.histogram_slope(window, slope.is_counter()) else { return Made::Nothing };
        let span = Span {
            samples: window.histograms.len() as u64,
            first_ms: first.time_ms,
            last_ms: last.time_ms,
            // A counter cannot be negative: the count tells how far back it started.
            increase: increase.count,
            first: first.histogram.count,
        };
        let Some(factor) = span.factor(&windows, 0, slope) else { return Made::Nothing };
        increase.multiply(factor);
        Made::Histogram(increase)
    }

    /// The increase between the first and the last histogram, resets accounted for.
    fn histogram_slope(&self, window: &Window<'_>, is_counter: bool) -> Option<Histogram> {
        let points = window.histograms;
        let [first_point, rest @ ..] = points else { return None };
        let last = &points[points.len() - 1].histogram;
        let is_gauge = |point: &HistogramPoint| point.histogram.reset == CounterReset::Gauge;
        if is_counter && points.iter().any(is_gauge) {
            self.warn(|| format!("this native histogram metric is not a counter: {:?}", window.name()));
        }
        let mixed = || {
            self.warn_incompatible(window.name());
            None
        };
        // A first histogram before a reset says nothing but its count: its bins may be of any kind.
        let empty;
        let mut first: &Histogram = &first_point.histogram;
        if is_counter && rest[0].histogram.is_reset_after(first) {
            let second = &rest[0].histogram;
            empty = Histogram { schema: second.schema, bounds: second.bounds.clone(), ..Histogram::default() };
            first = &empty;
        }
        if last.is_custom() != first.is_custom() {
            return mixed();
        }
        let mut schema = first.schema.min(last.schema);
        for point in &points[1..points.len() - 1] {
            if is_counter {
                schema = schema.min(point.histogram.schema);
                if point.histogram.is_custom() != first.is_custom() {
                    return mixed();
                }
            }
        }
        let mut increase = last.merged(schema);
        match increase.subtract(first) {
            Ok(notes) => self.inform_reconciled(notes, "subtraction"),
            Err(Incompatible) => return mixed(),
        }
        if is_counter {
            let mut previous = first;
            for point in rest {
                if point.histogram.is_reset_after(previous) {
                    match increase.add(previous) {
                        Ok(notes) => self.inform_reconciled(notes, "addition"),
                        Err(Incompatible) => return mixed(),
                    }
                }
                previous = &point.histogram;
            }
        } else if !is_gauge(first_point) || !is_gauge(&points[points.len() - 1]) {
            self.warn(|| format!("this native histogram metric is not a gauge: {:?}", window.name()));
        }
        increase.reset = CounterReset::Gauge;
        increase.compact();
        Some(increase)
    }

    /// `irate` and `idelta`: from the last two samples.
    pub(super) fn instant_slope(&self, window: &Window<'_>, is_rate: bool) -> Made {
        let last_two = |count: usize| count.saturating_sub(2);
        let mut samples: Vec<(i64, Last<'_>)> = Vec::with_capacity(4);
        samples.extend(
            window.floats[last_two(window.floats.len())..]
                .iter()
                .map(|point| (point.time_ms, Last::Float(point.value))),
        );
        samples.extend(
            window.histograms[last_two(window.histograms.len())..]
                .iter()
                .map(|point| (point.time_ms, Last::Histogram(&point.histogram))),
        );
        samples.sort_by_key(|(time, _)| *time);
        let [.., (before_ms, before), (after_ms, after)] = &samples[..] else { return Made::Nothing };
        let seconds = (after_ms - before_ms) as f64 / 1000.0;
        if after_ms == before_ms {
            return Made::Nothing;
        }
        match (before, after) {
            (Last::Float(before), Last::Float(after)) => {
                let change = if is_rate && after < before { *after } else { after - before };
                Made::Float(if is_rate { change / seconds } else { change })
            }
            (Last::Histogram(before), Last::Histogram(after)) => {
                let gauges = [before, after].map(|histogram| histogram.reset == CounterReset::Gauge);
                if is_rate && gauges.contains(&true) {
                    self.warn(|| format!("this native histogram metric is not a counter: {:?}", window.name()));
                }
                if !is_rate && gauges.contains(&false) {
                    self.warn(|| format!("this native histogram metric is not a gauge: {:?}", window.name()));
                }
                let mut change = Histogram::clone(after);
                if !is_rate || !after.is_reset_after(before) {
                    match change.subtract(before) {
                        Ok(notes) => self.inform_reconciled(notes, "subtraction"),
                        Err(Incompatible) => {
                            self.warn_incompatible(window.name());
                            return Made::Nothing;
                        }
                    }
                }
                change.reset = CounterReset::Gauge;
                change.compact();
                if is_rate {
                    change.divide(seconds);
                }
                Made::Histogram(change)
            }
            _ => {
                self.warn_mixed(window);
                Made::Nothing
            }
        }
    }

    pub(super) fn warn_mixed(&self, window: &Window<'_>) {
        self.warn(|| format!("encountered a mix of histograms and floats for metric name {:?}", window.name()));
    }

    pub(super) fn warn_incompatible(&self, name: &str) {
        let words = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
        self.warn(|| format!("{words} {name:?}"));
    }

    pub(super) fn inform_reconciled(&self, notes: Notes, operation: &str) {
        if notes.reconciled {
            self.inform(|| format!("mismatched custom buckets were reconciled during {operation}"));
        }
    }
}

enum Last<'w> {
    Float(f64),
    Histogram(&'w Histogram),
}

fn is_counter_name(name: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}

/// What a store would have answered; of a gauge, resets are none.
fn counter_window(floats: &[Point], is_counter: bool) -> CounterWindow {
    let (first, last) = (floats[0], floats[floats.len() - 1]);
    let mut lost = 0.0;
    if is_counter {
        for two in floats.windows(2) {
            if two[1].value < two[0].value {
                lost += two[0].value;
            }
        }
    }
    CounterWindow {
        count: floats.len() as u64,
        first_ms: first.time_ms,
        first: first.value,
        last_ms: last.time_ms,
        last: last.value,
        lost,
    }
}

/// The increase or rate over the whole window: what lies between the first and the last sample, extended to the
/// window's ends where samples come close enough to them.
#[inline]
fn extrapolated(counter: &CounterWindow, windows: &Windows, window: usize, slope: Slope) -> Option<f64> {
    let increase = counter.last - counter.first + counter.lost;
    let span = Span {
        samples: counter.count,
        first_ms: counter.first_ms,
        last_ms: counter.last_ms,
        increase,
        first: counter.first,
    };
    span.factor(windows, window, slope).map(|factor| increase * factor)
}

/// The same of native histograms.
fn extrapolated_native(native: HistogramWindow, windows: &Windows, window: usize, slope: Slope) -> Option<Histogram> {
    let HistogramWindow { count, first_ms, first_count, last_ms, mut increase } = native;
    // A counter cannot be negative: the count tells how far back it started.
    let span = Span { samples: count, first_ms, last_ms, increase: increase.count, first: first_count };
    let factor = span.factor(windows, window, slope)?;
    increase.reset = CounterReset::Gauge;
    increase.compact();
    increase.multiply(factor);
    Some(increase)
}

struct Span {
    samples: u64,
    first_ms: i64,
    last_ms: i64,
    increase: f64,
    first: f64,
}

impl Span {
    /// By how much the increase between two samples is multiplied.
    #[inline]
    fn factor(&self, windows: &Windows, window: usize, slope: Slope) -> Option<f64> {
        if self.samples < 2 {
            return None;
        }
        let sampled = (self.last_ms - self.first_ms) as f64 / 1000.0;
        let average = sampled / (self.samples - 1) as f64;
        let threshold = average * 1.1;
        let mut to_start = (self.first_ms - windows.start_ms(window)) as f64 / 1000.0;
        let mut to_end = (windows.end_ms(window) - self.last_ms) as f64 / 1000.0;
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        if slope.is_counter() {
            // It was not below 0, and it did not start before it was 0.
            let rises = self.increase > 0.0 && self.first >= 0.0;
            if rises {
                let to_zero = sampled * (self.first / self.increase);
                if to_zero < to_start {
                    to_start = to_zero;
                }
            }
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        let mut factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
        if slope == Slope::Rate {
            factor /= windows.width_ms as f64 / 1000.0;
        }
        Some(factor)
    }
}
