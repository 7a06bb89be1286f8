//! Instant selectors, and where in time a selector looks.

use std::sync::Arc;

use super::context::{Context, Evaluated};
use super::table::{Grid, Row, Table};
use crate::ast::{At, Selector, Shift};
use crate::sample::Samples;
use crate::storage::{instants_of, Instant, Windows};

impl Context<'_> {
    /// The windows of a selector on a grid. With `@` all are the same, and there is one.
    pub(super) fn windows(&self, shift: &Shift, width_ms: i64, grid: Grid) -> Windows {
        let (start, step_ms, count) = match shift.at {
            None => (grid.start_ms, grid.step_ms, grid.count),
            Some(At::Start) => (self.start_ms, 0, 1),
            Some(At::End) => (self.end_ms, 0, 1),
            Some(At::Time(time)) => (time, 0, 1),
        };
        Windows { first_end_ms: start.saturating_sub(shift.offset_ms), step_ms, count, width_ms }
    }

    pub(super) fn select_instants(&self, selector: &Selector, grid: Grid) -> Evaluated<Table> {
        self.instants(selector, grid, |table, row, step, instant| match instant {
            Instant::Nothing => {}
            Instant::Float(_, value) => table.set(row, step, *value),
            Instant::Histogram(_, histogram) => table.set_histogram(row, step, Arc::clone(histogram)),
        })
    }

    /// `timestamp(selector)`: the samples' own times.
    pub(super) fn select_times(&self, selector: &Selector, grid: Grid) -> Evaluated<Table> {
        let mut table = self.instants(selector, grid, |table, row, step, instant| match instant {
            Instant::Nothing => {}
            Instant::Float(time, _) | Instant::Histogram(time, _) => table.set(row, step, *time as f64 / 1000.0),
        })?;
        self.drop_names(&mut table);
        self.merge_duplicates(table)
    }

    fn instants(
        &self,
        selector: &Selector,
        grid: Grid,
        set: impl Fn(&mut Table, usize, usize, &Instant),
    ) -> Evaluated<Table> {
        let windows = self.windows(&selector.shift, self.limits.lookback_ms, grid);
        let selection = self.storage.select(&selector.matchers, windows.start_ms(0), windows.last_end_ms())?;
        let mut table = self.table(grid, selection.count());
        let (mut scratch, mut instants) = (Samples::default(), Vec::new());
        for series in 0..selection.count() {
            self.check()?;
            instants.clear();
            if self.finds_resets() {
                scratch.clear();
                selection.read(series, windows.start_ms(0), windows.last_end_ms(), &mut scratch)?;
                self.find_resets(&mut scratch.histograms);
                instants_of(&scratch, &windows, &mut instants);
            } else {
                selection.instants(series, &windows, &mut scratch, &mut instants)?;
            }
            let found = instants.iter().filter(|instant| **instant != Instant::Nothing).count();
            if found == 0 {
                continue;
            }
            self.count(found as u64)?;
            let row = table.push(Row { labels: selection.labels(series), drop_name: false });
            for step in 0..grid.count {
                // One window serves all steps where `@` pins it.
                set(&mut table, row, step, &instants[step.min(windows.count - 1)]);
            }
        }
        Ok(table)
    }
}
