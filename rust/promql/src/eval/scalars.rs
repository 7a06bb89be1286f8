//! Calls: which function is evaluated where.

use super::context::{Context, Evaluated, Resets};
use super::outcome::Outcome;
use super::table::{Grid, Row, Table, Value};
use super::windows::{Made, Name, Window};
use super::{calendar, counting, elementwise, over_time};
use crate::ast::{Call, Expr};
use crate::error::QueryError;
use crate::labels::Labels;
use crate::storage::Extreme;

impl Context<'_> {
    pub(super) fn call(&self, call: &Call, grid: Grid) -> Evaluated<Outcome> {
        let arguments = &call.arguments[..];
        match call.function.name {
            "time" => return Ok(Outcome::Scalar(grid.times().map(|time| time as f64 / 1000.0).collect())),
            "pi" => return Ok(Outcome::Scalar(self.constant(grid, std::f64::consts::PI))),
            "scalar" => return Ok(Outcome::Scalar(only_floats(&self.vector(&arguments[0], grid)?))),
            _ => {}
        }
        self.vector_call(call.function.name, arguments, grid).map(Outcome::Vector)
    }

    fn vector_call(&self, name: &'static str, arguments: &[Expr], grid: Grid) -> Evaluated<Table> {
        use super::rate::Slope;
        let first = arguments.first();
        if let Some(function) = elementwise::by_name(name) {
            return self.map(self.vector(&arguments[0], grid)?, |_, value| function(value));
        }
        if let Some(part) = calendar::by_name(name) {
            let seconds = match first {
                Some(expr) => self.vector(expr, grid)?,
                None => self.one_row(grid, grid.times().map(|time| (time / 1000) as f64)),
            };
            return self.map(seconds, |_, value| part(calendar::second(value)) as f64);
        }
        match name {
            "rate" => self.slope(&arguments[0], grid, Slope::Rate),
            "increase" => self.slope(&arguments[0], grid, Slope::Increase),
            "delta" => self.slope(&arguments[0], grid, Slope::Delta),
            "count_over_time" => self.count_over_time(&arguments[0], grid),
            "max_over_time" => self.extreme_over_time(&arguments[0], grid, Extreme::Maximum),
            "min_over_time" => self.extreme_over_time(&arguments[0], grid, Extreme::Minimum),
            "absent" => self.absent(&arguments[0], grid),
            "absent_over_time" => self.absent_over_time(&arguments[0], grid),
            "clamp" | "clamp_max" | "clamp_min" => self.clamp(name, arguments, grid),
            "round" => {
                let table = self.vector(&arguments[0], grid)?;
                let to = arguments.get(1).map(|to| self.scalar(to, grid)).transpose()?;
                self.map(table, |step, value| elementwise::rounded(value, to.as_ref().map_or(1.0, |to| to[step])))
            }
            "vector" => {
                let values = self.scalar(&arguments[0], grid)?;
                Ok(self.one_row(grid, values.into_iter()))
            }
            "timestamp" => match arguments[0].inner() {
                Expr::Vector(selector) => self.select_times(selector, grid),
                expr => self.evaluation_times(self.vector(expr, grid)?, grid),
            },
            "label_replace" => self.label_replace(arguments, grid),
            "label_join" => self.label_join(arguments, grid),
            "sort" | "sort_desc" => self.sort(self.vector(&arguments[0], grid)?, name == "sort_desc", grid),
            "histogram_quantile" => self.histogram_quantile(arguments, grid),
            "histogram_fraction" => self.histogram_fraction(arguments, grid),
            "histogram_avg" | "histogram_count" | "histogram_sum" | "histogram_stddev" | "histogram_stdvar" => {
                let sums = !matches!(name, "histogram_stddev" | "histogram_stdvar");
                let evaluate = || self.vector(&arguments[0], grid);
                let table = if sums { self.with_resets(Resets::Found, evaluate)? } else { evaluate()? };
                self.histogram_number(name, table)
            }
            "predict_linear" => {
                let seconds = self.scalar(&arguments[1], grid)?;
                let predict = |window: &Window<'_>| Ok(self.predict_linear(window, seconds[window.step]));
                self.each_window(&arguments[0], grid, Name::Drop, predict)
            }
            "quantile_over_time" => {
                let quantiles = self.scalar(&arguments[0], grid)?;
                let quantile = |window: &Window<'_>| Ok(self.quantile_over_time(window, quantiles[window.step]));
                self.each_window(&arguments[1], grid, Name::Drop, quantile)
            }
            _ => self.window_call(name, &arguments[0], grid),
        }
    }

    fn window_call(&self, name: &'static str, expr: &Expr, grid: Grid) -> Evaluated<Table> {
        let keep = if matches!(name, "first_over_time" | "last_over_time") { Name::Keep } else { Name::Drop };
        let variance = |window: &Window<'_>, last: fn(f64) -> f64| {
            self.variance_over_time(window).map_or(Made::Nothing, |value| Made::Float(last(value)))
        };
        self.each_window(expr, grid, keep, |window| {
            Ok(match name {
                "irate" => self.instant_slope(window, true),
                "idelta" => self.instant_slope(window, false),
                "avg_over_time" => self.avg_over_time(window),
                "sum_over_time" => self.sum_over_time(window),
                "first_over_time" => over_time::end(window, false),
                "last_over_time" => over_time::end(window, true),
                "present_over_time" => Made::Float(1.0),
                "stddev_over_time" => variance(window, f64::sqrt),
                "stdvar_over_time" => variance(window, |value| value),
                "changes" => counting::changes(window),
                "resets" => counting::resets(window),
                "deriv" => self.deriv(window),
                _ => return Err(QueryError::execution(format!("function {name:?} is not implemented"))),
            })
        })
    }

    fn one_row(&self, grid: Grid, values: impl Iterator<Item = f64>) -> Table {
        let mut table = self.table(grid, 1);
        let row = table.push(Row { labels: Labels::default(), drop_name: false });
        for (step, value) in values.enumerate() {
            table.set(row, step, value);
        }
        table
    }

    fn clamp(&self, name: &str, arguments: &[Expr], grid: Grid) -> Evaluated<Table> {
        let mut table = self.vector(&arguments[0], grid)?;
        let bound = self.scalar(&arguments[1], grid)?;
        let most = arguments.get(2).map(|most| self.scalar(most, grid)).transpose()?;
        let bounds = |step: usize| match (&most, name) {
            (Some(most), _) => (bound[step], most[step]),
            (None, "clamp_max") => (f64::NEG_INFINITY, bound[step]),
            (None, _) => (bound[step], f64::INFINITY),
        };
        for step in 0..grid.count {
            let (least, most) = bounds(step);
            if most < least {
                (0..table.len()).for_each(|row| table.clear(row, step));
            }
        }
        table.drop_empty_rows();
        self.map(table, |step, value| {
            let (least, most) = bounds(step);
            elementwise::clamped(value, least, most)
        })
    }

    /// `timestamp` of what is no selector: the times of the evaluation.
    fn evaluation_times(&self, mut table: Table, grid: Grid) -> Evaluated<Table> {
        for row in 0..table.len() {
            for step in 0..grid.count {
                if !table.is_nothing(row, step) {
                    table.clear(row, step);
                    table.set(row, step, grid.time(step) as f64 / 1000.0);
                }
            }
        }
        self.drop_names(&mut table);
        self.merge_duplicates(table)
    }
}

/// The only float of each step, NaN where there are none or several.
fn only_floats(table: &Table) -> Vec<f64> {
    let only = |step: usize| {
        let mut floats = (0..table.len()).filter_map(|row| match table.get(row, step) {
            Value::Float(value) => Some(value),
            _ => None,
        });
        match (floats.next(), floats.next()) {
            (Some(value), None) => value,
            _ => f64::NAN,
        }
    };
    (0..table.steps()).map(only).collect()
}
