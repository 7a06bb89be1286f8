//! Subqueries: an expression on a grid of its own.

use std::sync::Arc;

use super::context::{Context, Evaluated, Resets};
use super::table::{Grid, Value};
use super::windows::Source;
use crate::ast::Subquery;
use crate::error::QueryError;
use crate::histogram::{CounterReset, Histogram};
use crate::storage::Windows;

impl Context<'_> {
    pub(super) fn subquery<'s>(&'s self, subquery: &Subquery, grid: Grid) -> Evaluated<(Source<'s>, Windows)> {
        let windows = self.windows(&subquery.shift, subquery.range_ms, grid);
        let step_ms = subquery.step_ms.unwrap_or(self.limits.subquery_step_ms).max(1);
        // On multiples of the step, after the first window's start, up to the last window's end.
        let (after, until) = (windows.start_ms(0), windows.last_end_ms());
        let start_ms = (after.div_euclid(step_ms) + 1).saturating_mul(step_ms);
        let count = if until < start_ms { 0 } else { (until - start_ms) / step_ms + 1 };
        if count > self.limits.points as i64 * 100 {
            let message =
                format!("a subquery of {count} steps is too long, at most {}00 are allowed", self.limits.points);
            return Err(QueryError::execution(message));
        }
        let inner = Grid { start_ms, step_ms, count: count as usize };
        let mut table = match count {
            0 => self.table(inner, 0),
            _ => self.with_resets(Resets::AsStoredBelow, || self.vector(&subquery.expr, inner))?,
        };
        self.count((table.len() * inner.count) as u64)?;
        if table.has_histograms() {
            for row in 0..table.len() {
                for step in 0..inner.count {
                    let Value::Histogram(histogram) = table.get(row, step) else { continue };
                    if matches!(histogram.reset, CounterReset::Reset | CounterReset::NotReset) {
                        // Samples may have been left out or repeated: what was known about resets is not any more.
                        let unknown = Histogram { reset: CounterReset::Unknown, ..Histogram::clone(histogram) };
                        table.set_histogram(row, step, Arc::new(unknown));
                    }
                }
            }
        }
        Ok((Source::Evaluated(table, inner), windows))
    }
}
