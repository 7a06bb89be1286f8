//! Every kind of node, over all steps at once; and the answer of the whole.

use std::sync::Arc;

use super::context::{Context, Evaluated};
use super::invariant;
use super::outcome::Outcome;
use super::table::{self, Grid, Table};
use crate::answer::{Answer, MatrixSeries, SampleValue, Value, VectorSample};
use crate::ast::{Expr, Type};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::sample::is_stale;
use crate::storage::Storage;

impl Context<'_> {
    pub(super) fn eval(&self, expr: &Expr, grid: Grid) -> Evaluated<Outcome> {
        self.check_time()?;
        if grid.count > 1 && invariant::is_invariant(expr) {
            return self.once(expr, grid);
        }
        Ok(match expr {
            Expr::Number(number) => {
                self.reserve(grid.count * size_of::<f64>())?;
                Outcome::Scalar(self.constant(grid, *number))
            }
            Expr::Text(text) => Outcome::Text(text.clone()),
            Expr::Paren(inner) => return self.eval(inner, grid),
            Expr::Vector(selector) => Outcome::Vector(self.select_instants(selector, grid)?),
            Expr::Call(call) => return self.call(call, grid),
            Expr::Aggregate(aggregate) => Outcome::Vector(self.aggregate(aggregate, grid)?),
            Expr::Negate(inner) => match self.eval(inner, grid)? {
                Outcome::Scalar(values) => Outcome::Scalar(values.into_iter().map(|value| -value).collect()),
                Outcome::Vector(table) => Outcome::Vector(self.negate(table)?),
                text @ Outcome::Text(_) => text,
            },
            Expr::Binary(binary) => return self.binary(binary, grid),
            Expr::Matrix(..) | Expr::Subquery(_) => {
                return Err(QueryError::execution("a range vector has no value at a single time"));
            }
        })
    }

    pub(super) fn vector(&self, expr: &Expr, grid: Grid) -> Evaluated<Table> {
        match self.eval(expr, grid)? {
            Outcome::Vector(table) => Ok(table),
            _ => Err(QueryError::execution("an instant vector is expected")),
        }
    }

    pub(super) fn scalar(&self, expr: &Expr, grid: Grid) -> Evaluated<Vec<f64>> {
        match self.eval(expr, grid)? {
            Outcome::Scalar(values) => Ok(values),
            _ => Err(QueryError::execution("a scalar is expected")),
        }
    }

    pub(super) fn text<'e>(&self, expr: &'e Expr) -> Evaluated<&'e str> {
        match expr.inner() {
            Expr::Text(text) => Ok(text),
            _ => Err(QueryError::execution("a string is expected")),
        }
    }
}

/// Evaluates a tree.
pub(crate) fn evaluate(
    storage: &dyn Storage,
    expr: &Expr,
    grid: Grid,
    end_ms: i64,
    limits: &Limits,
    is_range: bool,
) -> Result<Answer, QueryError> {
    if is_range && !matches!(expr.kind(), Type::Scalar | Type::Vector) {
        let kind = expr.kind().name();
        let message = format!("invalid expression type {kind:?} for range query, must be Scalar or instant Vector");
        return Err(QueryError::bad_data(format!("invalid parameter \"query\": {message}")));
    }
    let context = Context::new(storage, limits, grid.start_ms, end_ms);
    let value = if is_range {
        let series = match context.eval(expr, grid)? {
            Outcome::Vector(table) => matrix(&context.finish(table)?, grid),
            Outcome::Scalar(values) => {
                vec![MatrixSeries { floats: grid.times().zip(values).collect(), ..MatrixSeries::default() }]
            }
            Outcome::Text(_) => Vec::new(),
        };
        Value::Matrix(sorted(series))
    } else if expr.kind() == Type::Matrix {
        Value::Matrix(sorted(context.matrix(expr, grid)?))
    } else {
        match context.eval(expr, grid)? {
            Outcome::Scalar(values) => Value::Scalar(grid.start_ms, values.first().copied().unwrap_or(f64::NAN)),
            Outcome::Text(text) => Value::String(grid.start_ms, text),
            Outcome::Vector(table) => Value::Vector(vector(&context.finish(table)?, grid)),
        }
    };
    let notes = context.notes();
    Ok(Answer { value, warnings: notes.warnings, infos: notes.infos })
}

impl Context<'_> {
    /// Names are dropped where they still have to be, and then no two series may be the same.
    fn finish(&self, mut table: Table) -> Evaluated<Table> {
        if !self.limits.delayed_name_removal {
            return Ok(table);
        }
        for row in &mut table.rows {
            if row.drop_name {
                row.labels = row.labels.without_name();
            }
        }
        self.merge_now(table, false)
    }
}

fn vector(table: &Table, grid: Grid) -> Vec<VectorSample> {
    let sample = |(index, row): (usize, &table::Row)| {
        let value = match table.get(index, 0) {
            table::Value::Nothing => return None,
            table::Value::Float(value) => SampleValue::Float(value),
            table::Value::Histogram(histogram) => SampleValue::Histogram(Arc::clone(histogram)),
        };
        Some(VectorSample { labels: row.labels.clone(), time_ms: grid.start_ms, value })
    };
    table.rows.iter().enumerate().filter_map(sample).collect()
}

fn matrix(table: &Table, grid: Grid) -> Vec<MatrixSeries> {
    let series = |(index, row): (usize, &table::Row)| {
        let floats = table.row(index).iter().enumerate().filter(|(_, value)| !is_stale(**value));
        let floats: Vec<(i64, f64)> = floats.map(|(step, value)| (grid.time(step), *value)).collect();
        let mut histograms = Vec::new();
        if table.has_histograms() {
            for step in 0..table.steps() {
                if let table::Value::Histogram(histogram) = table.get(index, step) {
                    histograms.push((grid.time(step), Arc::clone(histogram)));
                }
            }
        }
        let empty = floats.is_empty() && histograms.is_empty();
        (!empty).then(|| MatrixSeries { labels: row.labels.clone(), floats, histograms })
    };
    table.rows.iter().enumerate().filter_map(series).collect()
}

fn sorted(mut series: Vec<MatrixSeries>) -> Vec<MatrixSeries> {
    series.sort_by(|left, right| left.labels.cmp(&right.labels));
    series
}
