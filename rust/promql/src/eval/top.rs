//! `topk`, `bottomk` and `count_values`.

use super::context::{Context, Evaluated};
use super::group::{Groups, Key, Members};
use super::sort::by_value;
use super::table::{Grid, Row, Table, Value};
use crate::ast::{Aggregate, Expr};
use crate::error::QueryError;
use crate::labels::{Labels, Layout};
use crate::number;

impl Context<'_> {
    /// The k largest or smallest of each group at each step.
    pub(super) fn top(
        &self,
        mut table: Table,
        members: &Members,
        groups: usize,
        k: &[f64],
        largest: bool,
    ) -> Evaluated<Table> {
        // As in Prometheus, where no k is at least 1 nothing else about them matters.
        if !k.iter().any(|k| *k >= 1.0) && !k.iter().any(|k| k.is_nan()) {
            table.select(&[]);
            return Ok(table);
        }
        if k.iter().any(|k| k.is_nan()) {
            return Err(QueryError::execution("Parameter value is NaN"));
        }
        for (k, word) in k.iter().flat_map(|k| [(k, "underflows"), (k, "overflows")]) {
            let bound = i64::MAX as f64;
            if if word == "underflows" { *k <= -bound } else { *k >= bound } {
                let value = number::general(*k);
                return Err(QueryError::execution(format!("Scalar value {value} {word} int64")));
            }
        }
        let name = if largest { "topk" } else { "bottomk" };
        let steps = table.steps();
        let mut order = Vec::new();
        for group in 0..groups {
            for (step, k) in k.iter().enumerate() {
                if step % 256 == 0 {
                    self.check()?;
                }
                let mut rows: Vec<(usize, f64)> = Vec::new();
                for row in members.of(group) {
                    match table.get(row, step) {
                        Value::Float(value) => rows.push((row, value)),
                        Value::Histogram(_) => {
                            self.inform(|| format!("ignored histogram in {name} aggregation"));
                            table.clear(row, step);
                        }
                        Value::Nothing => {}
                    }
                }
                rows.sort_by(|left, right| by_value(left.1, right.1, largest));
                let kept = (k.max(0.0) as usize).min(rows.len());
                for (row, _) in rows.drain(kept..) {
                    table.clear(row, step);
                }
                if steps == 1 {
                    order.extend(rows.into_iter().map(|(row, _)| row));
                }
            }
        }
        if steps == 1 {
            table.select(&order);
        } else {
            table.drop_empty_rows();
        }
        Ok(table)
    }

    /// How many series have each value.
    pub(super) fn count_values(&self, aggregate: &Aggregate, parameter: &Expr, grid: Grid) -> Evaluated<Table> {
        let label = self.text(parameter)?;
        if label.is_empty() {
            return Err(QueryError::execution(format!("invalid label name {label:?}")));
        }
        let table = self.vector(&aggregate.expr, grid)?;
        let mut layout = Layout::default();
        let key = if aggregate.without { Key::Without(&aggregate.labels) } else { Key::By(&aggregate.labels) };
        let mut groups = Groups::with_capacity(16);
        let mut result = self.table(grid, 16);
        for (index, row) in table.rows.iter().enumerate() {
            let base: Labels = key.of(&mut layout, &row.labels);
            for step in 0..grid.count {
                self.check()?;
                let value = match table.get(index, step) {
                    Value::Nothing => continue,
                    Value::Float(value) => number::plain(value),
                    Value::Histogram(histogram) => histogram.to_string(),
                };
                let kept = !aggregate.without || !aggregate.labels.iter().any(|name| name == label);
                let labels = if kept { base.with(label, &value) } else { base.clone() };
                let known = groups.labels.len();
                let to = groups.add(labels.clone());
                if to == known {
                    result.push(Row { labels, drop_name: false });
                }
                let count = match result.get(to, step) {
                    Value::Float(count) => count + 1.0,
                    _ => 1.0,
                };
                result.set(to, step, count);
            }
        }
        Ok(result)
    }
}
