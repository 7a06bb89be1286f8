//! `*_over_time`.

use std::sync::Arc;

use super::average::{HistogramMean, Mean};
use super::context::{Context, Evaluated};
use super::quantile::quantile;
use super::table::{Grid, Table};
use super::windows::{Made, Name, Source, Window};
use crate::ast::Expr;
use crate::histogram::{CounterReset, Incompatible, Notes, Sum};
use crate::kahan::Kahan;
use crate::sample::Samples;
use crate::storage::Extreme;

/// Counter-reset hints that contradict each other in one sum.
#[derive(Default)]
pub(super) struct Hints {
    reset: bool,
    not_reset: bool,
}

impl Hints {
    pub(super) fn see(&mut self, hint: CounterReset) {
        self.reset |= hint == CounterReset::Reset;
        self.not_reset |= hint == CounterReset::NotReset;
    }

    pub(super) fn collide(&self) -> bool {
        self.reset && self.not_reset
    }
}

impl Context<'_> {
    pub(super) fn warn_collision(&self, operation: &str) {
        self.warn(|| format!("conflicting counter resets during histogram {operation}"));
    }

    pub(super) fn sum_over_time(&self, window: &Window<'_>) -> Made {
        if let Some(first) = self.only_histograms(window) {
            let mut sum = Sum::new(first);
            let made = self.fold(window, |histogram| sum.add(histogram));
            return if made { Made::Histogram(sum.total()) } else { Made::Nothing };
        }
        if !window.histograms.is_empty() {
            return Made::Nothing;
        }
        let mut sum = Kahan::default();
        window.floats.iter().for_each(|point| sum.add(point.value));
        Made::Float(sum.total())
    }

    pub(super) fn avg_over_time(&self, window: &Window<'_>) -> Made {
        if let Some(first) = self.only_histograms(window) {
            let mut mean = HistogramMean::new(first);
            let made = self.fold(window, |histogram| mean.add(histogram));
            return if made { Made::Histogram(mean.value()) } else { Made::Nothing };
        }
        if !window.histograms.is_empty() {
            return Made::Nothing;
        }
        let mut mean = Mean::new(window.floats[0].value);
        window.floats[1..].iter().for_each(|point| mean.add(point.value));
        Made::Float(mean.value())
    }

    /// The first histogram where there are no floats; warns where there are both.
    fn only_histograms<'w>(&self, window: &Window<'w>) -> Option<&'w crate::histogram::Histogram> {
        let first = window.histograms.first()?;
        if !window.floats.is_empty() {
            self.warn_mixed(window);
            return None;
        }
        Some(&first.histogram)
    }

    /// All histograms but the first, each added; false where they cannot be.
    fn fold(
        &self,
        window: &Window<'_>,
        mut add: impl FnMut(&crate::histogram::Histogram) -> Result<Notes, Incompatible>,
    ) -> bool {
        let mut hints = Hints::default();
        hints.see(window.histograms[0].histogram.reset);
        for point in &window.histograms[1..] {
            hints.see(point.histogram.reset);
            match add(&point.histogram) {
                Ok(notes) => self.inform_reconciled(notes, "aggregation"),
                Err(Incompatible) => {
                    self.warn_incompatible(window.name());
                    return false;
                }
            }
        }
        if hints.collide() {
            self.warn_collision("aggregation");
        }
        true
    }

    /// The floats of a window for a function that ignores histograms.
    pub(super) fn floats<'w>(&self, window: &Window<'w>) -> Option<&'w [crate::sample::Point]> {
        if window.floats.is_empty() {
            return None;
        }
        if !window.histograms.is_empty() {
            self.inform_ignored(window);
        }
        Some(window.floats)
    }

    pub(super) fn inform_ignored(&self, window: &Window<'_>) {
        let words = "ignored histograms in a range containing both floats and histograms for metric name";
        self.inform(|| format!("{words} {:?}", window.name()));
    }

    pub(super) fn quantile_over_time(&self, window: &Window<'_>, q: f64) -> Made {
        let Some(floats) = self.floats(window) else { return Made::Nothing };
        self.check_quantile(q);
        let mut values: Vec<f64> = floats.iter().map(|point| point.value).collect();
        Made::Float(quantile(q, &mut values))
    }

    pub(super) fn check_quantile(&self, q: f64) {
        if !(0.0..=1.0).contains(&q) {
            self.warn(|| format!("quantile value should be between 0 and 1, got {}", crate::number::general(q)));
        }
    }

    pub(super) fn variance_over_time(&self, window: &Window<'_>) -> Option<f64> {
        let floats = self.floats(window)?;
        let (mut count, mut mean, mut squares) = (0.0, Kahan::default(), Kahan::default());
        for point in floats {
            count += 1.0;
            let delta = point.value - (mean.sum + mean.lost);
            mean.add(delta / count);
            squares.add(delta * (point.value - (mean.sum + mean.lost)));
        }
        Some((squares.sum + squares.lost) / count)
    }

    /// `max_over_time` and `min_over_time`, from the store's extremes where it keeps them.
    pub(super) fn extreme_over_time(&self, expr: &Expr, grid: Grid, extreme: Extreme) -> Evaluated<Table> {
        let (source, windows) = self.source(expr, grid)?;
        let mut table = self.table(grid, source.count());
        let (mut samples, mut extremes) = (Samples::default(), Vec::new());
        for series in 0..source.count() {
            self.check()?;
            let row = source.row(series);
            extremes.clear();
            let pushed = match &source {
                Source::Stored(selection) => selection.extreme_windows(series, &windows, extreme, &mut extremes)?,
                Source::Evaluated(..) => false,
            };
            if pushed {
                self.count(extremes.len() as u64)?;
                let to = table.push(self.named(&row, Name::Drop));
                for step in 0..grid.count {
                    if let Some(value) = extremes[step.min(windows.count - 1)] {
                        table.set(to, step, value);
                    }
                }
                table.pop_empty();
                continue;
            }
            self.read_series(&source, series, &windows, &mut samples)?;
            let function = |window: &Window<'_>| {
                let Some(floats) = self.floats(window) else { return Ok(Made::Nothing) };
                let better = |value: f64, best: f64| match extreme {
                    Extreme::Maximum => value > best || best.is_nan(),
                    Extreme::Minimum => value < best || best.is_nan(),
                };
                let pick = |best: f64, value: f64| if better(value, best) { value } else { best };
                Ok(Made::Float(floats.iter().map(|point| point.value).fold(floats[0].value, pick)))
            };
            self.windows_of_series(&row, &samples, &windows, grid, Name::Drop, &mut table, &function)?;
        }
        self.check_names(table, &source, Name::Drop)
    }

    /// `count_over_time`, from the store's counts where it keeps them.
    pub(super) fn count_over_time(&self, expr: &Expr, grid: Grid) -> Evaluated<Table> {
        let (source, windows) = self.source(expr, grid)?;
        let mut table = self.table(grid, source.count());
        let (mut samples, mut counters) = (Samples::default(), Vec::new());
        for series in 0..source.count() {
            self.check()?;
            let row = source.row(series);
            counters.clear();
            let pushed = match &source {
                Source::Stored(selection) => selection.counter_windows(series, &windows, &mut counters)?,
                Source::Evaluated(..) => false,
            };
            if pushed {
                self.count(counters.len() as u64)?;
                let to = table.push(self.named(&row, Name::Drop));
                for step in 0..grid.count {
                    if let Some(counter) = &counters[step.min(windows.count - 1)] {
                        table.set(to, step, counter.count as f64);
                    }
                }
                table.pop_empty();
                continue;
            }
            self.read_series(&source, series, &windows, &mut samples)?;
            let function =
                |window: &Window<'_>| Ok(Made::Float((window.floats.len() + window.histograms.len()) as f64));
            self.windows_of_series(&row, &samples, &windows, grid, Name::Drop, &mut table, &function)?;
        }
        self.check_names(table, &source, Name::Drop)
    }
}

/// The first or the last sample of a window.
pub(super) fn end(window: &Window<'_>, last: bool) -> Made {
    let (float, histogram) = if last {
        (window.floats.last(), window.histograms.last())
    } else {
        (window.floats.first(), window.histograms.first())
    };
    match (float, histogram) {
        (Some(float), Some(histogram)) if (histogram.time_ms < float.time_ms) == last => Made::Float(float.value),
        (_, Some(histogram)) => Made::Shared(Arc::clone(&histogram.histogram)),
        (Some(float), None) => Made::Float(float.value),
        (None, None) => Made::Nothing,
    }
}
