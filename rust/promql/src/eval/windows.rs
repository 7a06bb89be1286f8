//! Functions of range vectors: for each series, a window of samples per step.

use std::sync::Arc;

use super::context::{Context, Evaluated};
use super::table::{Grid, Row, Table};
use crate::answer::MatrixSeries;
use crate::ast::{Expr, Selector};
use crate::error::QueryError;
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::sample::{is_stale, HistogramPoint, Point, Samples};
use crate::storage::{Selection, Windows};

/// The samples of one series in one window, stale markers left out.
pub(super) struct Window<'w> {
    pub labels: &'w Labels,
    pub floats: &'w [Point],
    pub histograms: &'w [HistogramPoint],
    /// The window's start, exclusive.
    pub start_ms: i64,
    /// The window's end, inclusive.
    pub end_ms: i64,
    /// The step of the evaluation, for the function's other arguments.
    pub step: usize,
    /// The time of that step.
    pub time_ms: i64,
}

impl Window<'_> {
    pub(super) fn name(&self) -> &str {
        self.labels.name().map_or("", |name| name)
    }
}

/// What a function makes of a window.
pub(super) enum Made {
    Nothing,
    Float(f64),
    Histogram(Histogram),
    Shared(Arc<Histogram>),
}

/// Whether a function's result is still the metric.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Keep,
    Drop,
}

/// Where the samples of a range vector come from.
pub(super) enum Source<'s> {
    Stored(Box<dyn Selection + 's>),
    /// The rows of a subquery's table, at the times of its grid.
    Evaluated(Table, Grid),
}

impl Source<'_> {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Stored(selection) => selection.count(),
            Self::Evaluated(table, _) => table.len(),
        }
    }

    pub(super) fn row(&self, series: usize) -> Row {
        match self {
            Self::Stored(selection) => Row { labels: selection.labels(series), drop_name: false },
            Self::Evaluated(table, _) => table.rows[series].clone(),
        }
    }

    /// All samples of a series that any window may need, stale markers left out.
    fn read(&self, series: usize, windows: &Windows, into: &mut Samples) -> Evaluated<()> {
        into.clear();
        match self {
            Self::Stored(selection) => {
                selection.read(series, windows.start_ms(0), windows.last_end_ms(), into)?;
                into.floats.retain(|point| !is_stale(point.value));
                into.histograms.retain(|point| !is_stale(point.histogram.sum));
            }
            Self::Evaluated(table, grid) => {
                for (step, time_ms) in grid.times().enumerate() {
                    match table.get(series, step) {
                        super::table::Value::Nothing => {}
                        super::table::Value::Float(value) => into.floats.push(Point { time_ms, value }),
                        super::table::Value::Histogram(histogram) => {
                            into.histograms.push(HistogramPoint { time_ms, histogram: Arc::clone(histogram) });
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Context<'_> {
    /// The source and the windows of a range vector.
    pub(super) fn source<'s>(&'s self, expr: &Expr, grid: Grid) -> Evaluated<(Source<'s>, Windows)> {
        match expr.inner() {
            Expr::Matrix(selector, range_ms) => {
                let windows = self.windows(&selector.shift, *range_ms, grid);
                Ok((Source::Stored(self.select(selector, &windows)?), windows))
            }
            Expr::Subquery(subquery) => self.subquery(subquery, grid),
            _ => Err(QueryError::execution("a range vector is expected")),
        }
    }

    fn select<'s>(&'s self, selector: &Selector, windows: &Windows) -> Evaluated<Box<dyn Selection + 's>> {
        Ok(self.storage.select(&selector.matchers, windows.start_ms(0), windows.last_end_ms())?)
    }

    /// Applies a function to every window of every series.
    pub(super) fn each_window(
        &self,
        expr: &Expr,
        grid: Grid,
        name: Name,
        function: impl Fn(&Window<'_>) -> Evaluated<Made>,
    ) -> Evaluated<Table> {
        let (source, windows) = self.source(expr, grid)?;
        let mut table = self.table(grid, source.count());
        let mut samples = Samples::default();
        for series in 0..source.count() {
            self.check()?;
            self.read_series(&source, series, &windows, &mut samples)?;
            if samples.floats.is_empty() && samples.histograms.is_empty() {
                continue;
            }
            self.windows_of_series(&source.row(series), &samples, &windows, grid, name, &mut table, &function)?;
        }
        self.check_names(table, &source, name)
    }

    pub(super) fn read_series(
        &self,
        source: &Source<'_>,
        series: usize,
        windows: &Windows,
        samples: &mut Samples,
    ) -> Evaluated<()> {
        source.read(series, windows, samples)?;
        self.find_resets(&mut samples.histograms);
        self.count((samples.floats.len() + samples.histograms.len()) as u64)
    }

    /// Adds a row with what a function makes of each window of a series; none if it makes nothing of all.
    #[allow(clippy::too_many_arguments, reason = "one call of the loop above, split for pushdowns")]
    pub(super) fn windows_of_series(
        &self,
        row: &Row,
        samples: &Samples,
        windows: &Windows,
        grid: Grid,
        name: Name,
        table: &mut Table,
        function: &impl Fn(&Window<'_>) -> Evaluated<Made>,
    ) -> Evaluated<()> {
        let to = table.push(self.named(row, name));
        let (mut floats, mut histograms) = (0..0, 0..0);
        for step in 0..grid.count {
            if step % 256 == 255 {
                self.check()?;
            }
            let window = step.min(windows.count - 1);
            let (start_ms, end_ms) = (windows.start_ms(window), windows.end_ms(window));
            slide(&mut floats, &samples.floats, |point| point.time_ms, start_ms, end_ms);
            slide(&mut histograms, &samples.histograms, |point| point.time_ms, start_ms, end_ms);
            if floats.is_empty() && histograms.is_empty() {
                continue;
            }
            let view = Window {
                labels: &row.labels,
                floats: &samples.floats[floats.clone()],
                histograms: &samples.histograms[histograms.clone()],
                start_ms,
                end_ms,
                step,
                time_ms: grid.time(step),
            };
            match function(&view)? {
                Made::Nothing => {}
                Made::Float(value) => table.set(to, step, value),
                Made::Histogram(histogram) => table.set_histogram(to, step, Arc::new(histogram)),
                Made::Shared(histogram) => table.set_histogram(to, step, histogram),
            }
        }
        table.pop_empty();
        Ok(())
    }

    pub(super) fn named(&self, row: &Row, name: Name) -> Row {
        match name {
            Name::Keep => row.clone(),
            Name::Drop => self.unnamed(row),
        }
    }

    /// Refuses rows that only differed in their names.
    pub(super) fn check_names(&self, table: Table, source: &Source<'_>, name: Name) -> Evaluated<Table> {
        if name == Name::Keep || self.limits.delayed_name_removal || table.len() < 2 {
            return Ok(table);
        }
        let first = source.row(0).labels;
        if (1..source.count()).all(|series| match source {
            Source::Stored(selection) => selection.labels(series).has_name_of(&first),
            Source::Evaluated(table, _) => table.rows[series].labels.has_name_of(&first),
        }) {
            return Ok(table);
        }
        self.merge_now(table, true)
    }

    /// The value of a range vector at one time: what an instant query of it is answered with.
    pub(super) fn matrix(&self, expr: &Expr, grid: Grid) -> Evaluated<Vec<MatrixSeries>> {
        let (source, windows) = self.source(expr, grid)?;
        let mut found = Vec::new();
        let mut samples = Samples::default();
        let (start, end) = (windows.start_ms(0), windows.end_ms(0));
        let mut bytes = 0;
        for series in 0..source.count() {
            self.check()?;
            self.read_series(&source, series, &windows, &mut samples)?;
            let row = source.row(series);
            let inside = |time: i64| time > start && time <= end;
            let floats = samples.floats.iter().filter(|point| inside(point.time_ms));
            let histograms = samples.histograms.iter().filter(|point| inside(point.time_ms));
            let labels = if row.drop_name { row.labels.without_name() } else { row.labels };
            let series = MatrixSeries {
                labels,
                floats: floats.map(|point| (point.time_ms, point.value)).collect(),
                histograms: histograms.map(|point| (point.time_ms, Arc::clone(&point.histogram))).collect(),
            };
            bytes += size_of::<MatrixSeries>() + 16 * (series.floats.len() + series.histograms.len());
            self.reserve(bytes)?;
            if !series.floats.is_empty() || !series.histograms.is_empty() {
                found.push(series);
            }
        }
        Ok(found)
    }
}

/// Moves a range of samples on to the next window; windows ascend.
fn slide<T>(range: &mut std::ops::Range<usize>, samples: &[T], time: impl Fn(&T) -> i64, start: i64, end: i64) {
    while samples.get(range.end).is_some_and(|sample| time(sample) <= end) {
        range.end += 1;
    }
    while range.start < range.end && time(&samples[range.start]) <= start {
        range.start += 1;
    }
}
