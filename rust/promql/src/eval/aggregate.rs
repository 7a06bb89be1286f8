//! Aggregations: a row per group.

use std::sync::Arc;

use super::average::{HistogramMean, Mean};
use super::context::{Context, Evaluated};
use super::group::{Groups, Key, Members};
use super::over_time::Hints;
use super::quantile::quantile;
use super::table::{Grid, Row, Table, Value};
use crate::ast::{Aggregate, Aggregator};
use crate::histogram::{Histogram, Incompatible, Sum};
use crate::kahan::Kahan;
use crate::labels::Layout;
use crate::sample::is_stale;

impl Context<'_> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate, grid: Grid) -> Evaluated<Table> {
        let operator = aggregate.operator;
        let parameter = match (&aggregate.parameter, operator) {
            (Some(parameter), Aggregator::CountValues) => return self.count_values(aggregate, parameter, grid),
            (Some(parameter), _) => self.scalar(parameter, grid)?,
            (None, _) => Vec::new(),
        };
        let table = self.vector(&aggregate.expr, grid)?;
        let mut layout = Layout::default();
        let key = if aggregate.without { Key::Without(&aggregate.labels) } else { Key::By(&aggregate.labels) };
        let mut groups = Groups::with_capacity(if aggregate.without { table.len() } else { 64 });
        let mut group_of = Vec::with_capacity(table.len());
        for row in &table.rows {
            group_of.push(groups.add(key.of(&mut layout, &row.labels)));
        }
        let members = Members::new(&group_of, groups.labels.len());
        if matches!(operator, Aggregator::Top | Aggregator::Bottom) {
            return self.top(table, &members, groups.labels.len(), &parameter, operator == Aggregator::Top);
        }
        if operator == Aggregator::Quantile {
            parameter.iter().for_each(|q| self.check_quantile(*q));
        }
        let mut result = self.table(grid, groups.labels.len());
        let mut scratch = Vec::new();
        for (group, labels) in groups.labels.iter().enumerate() {
            self.check()?;
            let drop_name = members.of(group).any(|row| table.rows[row].drop_name);
            let to = result.push(Row { labels: labels.clone(), drop_name });
            if table.has_histograms() || !self.fold_rows(operator, &table, &members, group, result.row_mut(to)) {
                let rows: Vec<usize> = members.of(group).collect();
                for step in 0..grid.count {
                    if step % 256 == 255 {
                        self.check()?;
                    }
                    match self.fold_step(operator, &table, &rows, step, &parameter, &mut scratch) {
                        Folded::Nothing => {}
                        Folded::Float(value) => result.set(to, step, value),
                        Folded::Histogram(histogram) => result.set_histogram(to, step, Arc::new(histogram)),
                    }
                }
            }
            result.pop_empty();
        }
        Ok(result)
    }

    /// The fast way for floats alone: row after row into all steps at once. False where there is none.
    #[allow(clippy::unused_self, reason = "beside the slow way")]
    fn fold_rows(
        &self,
        operator: Aggregator,
        table: &Table,
        members: &Members,
        group: usize,
        into: &mut [f64],
    ) -> bool {
        match operator {
            Aggregator::Sum => {
                let mut rows = members.of(group);
                if let Some(first) = rows.next() {
                    into.copy_from_slice(table.row(first));
                }
                let mut lost = Vec::new();
                for row in rows {
                    lost.resize(into.len(), 0.0);
                    for ((sum, lost), value) in into.iter_mut().zip(&mut lost).zip(table.row(row)) {
                        if is_stale(*value) {
                            continue;
                        }
                        if is_stale(*sum) {
                            *sum = *value;
                            continue;
                        }
                        let mut kahan = Kahan { sum: *sum, lost: *lost };
                        kahan.add(*value);
                        (*sum, *lost) = (kahan.sum, kahan.lost);
                    }
                }
                for (sum, lost) in into.iter_mut().zip(&lost) {
                    if !is_stale(*sum) {
                        *sum += lost;
                    }
                }
            }
            Aggregator::Count | Aggregator::Group => {
                for row in members.of(group) {
                    for (count, value) in into.iter_mut().zip(table.row(row)) {
                        if !is_stale(*value) {
                            let one = is_stale(*count) || operator == Aggregator::Group;
                            *count = if one { 1.0 } else { *count + 1.0 };
                        }
                    }
                }
            }
            Aggregator::Minimum | Aggregator::Maximum => {
                for row in members.of(group) {
                    for (best, value) in into.iter_mut().zip(table.row(row)) {
                        if is_stale(*value) {
                            continue;
                        }
                        let better = if operator == Aggregator::Minimum { *best > *value } else { *best < *value };
                        // The marker of nothing is a NaN, too.
                        if better || best.is_nan() {
                            *best = *value;
                        }
                    }
                }
            }
            _ => return false,
        }
        true
    }

    /// One group at one step, with histograms or of an operator that needs all values at once.
    fn fold_step(
        &self,
        operator: Aggregator,
        table: &Table,
        rows: &[usize],
        step: usize,
        parameter: &[f64],
        scratch: &mut Vec<f64>,
    ) -> Folded {
        let values = rows.iter().map(|row| (*row, table.get(*row, step)));
        let mut values = values.filter(|(_, value)| !matches!(value, Value::Nothing)).peekable();
        if values.peek().is_none() {
            return Folded::Nothing;
        }
        match operator {
            Aggregator::Count => return Folded::Float(values.count() as f64),
            Aggregator::Group => return Folded::Float(1.0),
            Aggregator::Sum | Aggregator::Average => return self.fold_mixed(operator, table, values),
            _ => {}
        }
        scratch.clear();
        for (_, value) in values {
            match value {
                Value::Float(value) => scratch.push(value),
                _ => self.inform(|| format!("ignored histogram in {} aggregation", operator.name())),
            }
        }
        let Some(first) = scratch.first().copied() else { return Folded::Nothing };
        Folded::Float(match operator {
            Aggregator::Minimum => {
                scratch.iter().fold(first, |best, value| if best > *value || best.is_nan() { *value } else { best })
            }
            Aggregator::Maximum => {
                scratch.iter().fold(first, |best, value| if best < *value || best.is_nan() { *value } else { best })
            }
            Aggregator::Variance => variance(scratch),
            Aggregator::StandardDeviation => variance(scratch).sqrt(),
            _ => quantile(parameter[step], scratch),
        })
    }

    /// Sum and average, of floats or of histograms; of both there is none.
    fn fold_mixed<'t>(
        &self,
        operator: Aggregator,
        table: &Table,
        values: impl Iterator<Item = (usize, Value<'t>)>,
    ) -> Folded {
        let (mut sum, mut mean): (Option<Kahan>, Option<Mean>) = (None, None);
        let (mut sums, mut means): (Option<Sum>, Option<HistogramMean>) = (None, None);
        let mut hints = Hints::default();
        let average = operator == Aggregator::Average;
        let mut incompatible = false;
        for (row, value) in values {
            if incompatible {
                continue;
            }
            match value {
                Value::Nothing => {}
                Value::Float(value) => {
                    if let Some(sum) = &mut sum {
                        sum.add(value);
                    } else {
                        sum = Some(Kahan { sum: value, lost: 0.0 });
                    }
                    if let Some(mean) = &mut mean {
                        mean.add(value);
                    } else {
                        mean = Some(Mean::new(value));
                    }
                }
                Value::Histogram(histogram) => {
                    hints.see(histogram.reset);
                    let added = match (&mut sums, &mut means) {
                        (Some(sums), _) => sums.add(histogram),
                        (_, Some(means)) => means.add(histogram),
                        _ => {
                            if average {
                                means = Some(HistogramMean::new(histogram));
                            } else {
                                sums = Some(Sum::new(histogram));
                            }
                            continue;
                        }
                    };
                    match added {
                        Ok(notes) => self.inform_reconciled(notes, "aggregation"),
                        Err(Incompatible) => {
                            let name = table.rows[row].labels.name();
                            self.warn_incompatible(name.map_or("", |name| name));
                            incompatible = true;
                        }
                    }
                }
            }
        }
        let histogram = sums.map(Sum::total).or_else(|| means.map(HistogramMean::value));
        if sum.is_some() && histogram.is_some() {
            self.warn(|| "encountered a mix of histograms and floats for aggregation".to_owned());
            return Folded::Nothing;
        }
        if incompatible {
            return Folded::Nothing;
        }
        if hints.collide() {
            self.warn_collision("aggregation");
        }
        match (histogram, sum, mean) {
            (Some(mut histogram), ..) => {
                histogram.compact();
                Folded::Histogram(histogram)
            }
            (None, _, Some(mean)) if average => Folded::Float(mean.value()),
            (None, Some(sum), _) => Folded::Float(sum.sum + sum.lost),
            _ => Folded::Nothing,
        }
    }
}

enum Folded {
    Nothing,
    Float(f64),
    Histogram(Histogram),
}

/// The population's variance, by Welford.
fn variance(values: &[f64]) -> f64 {
    let first = values[0];
    if !first.is_finite() {
        return f64::NAN;
    }
    let (mut mean, mut squares, mut count) = (first, 0.0, 1.0);
    for value in &values[1..] {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    squares / count
}
