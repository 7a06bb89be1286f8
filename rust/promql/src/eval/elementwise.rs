//! Functions of one number, applied to every float of a vector.

use super::context::{Context, Evaluated};
use super::table::{Row, Table, Value};
use crate::sample::is_stale;

impl Context<'_> {
    /// Drops all names of a table in place.
    pub(super) fn drop_names(&self, table: &mut Table) {
        for row in &mut table.rows {
            let named = Row { labels: std::mem::take(&mut row.labels), drop_name: row.drop_name };
            *row = self.unname(named);
        }
    }

    /// Applies a function of the step and the value to every float, drops histograms and names.
    pub(super) fn map(&self, mut table: Table, function: impl Fn(usize, f64) -> f64) -> Evaluated<Table> {
        if table.has_histograms() {
            for row in 0..table.len() {
                for step in 0..table.steps() {
                    if matches!(table.get(row, step), Value::Histogram(_)) {
                        table.clear(row, step);
                    }
                }
            }
            table.drop_empty_rows();
        }
        let one_name = one_name(&table.rows);
        for row in 0..table.len() {
            self.check()?;
            for step in 0..table.steps() {
                let value = table.row(row)[step];
                if !is_stale(value) {
                    table.set(row, step, function(step, value));
                }
            }
        }
        self.drop_names(&mut table);
        if one_name {
            return Ok(table);
        }
        self.merge_duplicates(table)
    }

    pub(super) fn negate(&self, mut table: Table) -> Evaluated<Table> {
        let one_name = one_name(&table.rows);
        for row in 0..table.len() {
            self.check()?;
            for step in 0..table.steps() {
                match table.get(row, step) {
                    Value::Nothing => {}
                    Value::Float(value) => table.set(row, step, -value),
                    Value::Histogram(histogram) => {
                        let mut negative = crate::histogram::Histogram::clone(histogram);
                        negative.multiply(-1.0);
                        table.set_histogram(row, step, negative.into());
                    }
                }
            }
        }
        self.drop_names(&mut table);
        if one_name {
            return Ok(table);
        }
        self.merge_duplicates(table)
    }
}

/// Whether all rows have the same metric name: then dropping it leaves no two alike.
pub(super) fn one_name(rows: &[Row]) -> bool {
    rows.windows(2).all(|two| two[0].labels.has_name_of(&two[1].labels))
}

/// The function of one number by its name.
pub(super) fn by_name(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        "sgn" => |value| {
            if value < 0.0 {
                -1.0
            } else if value > 0.0 {
                1.0
            } else {
                value
            }
        },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// The larger one; NaN if one is, unless the other is +Inf.
fn larger(left: f64, right: f64) -> f64 {
    if left == f64::INFINITY || right == f64::INFINITY {
        f64::INFINITY
    } else if left.is_nan() || right.is_nan() {
        f64::NAN
    } else {
        left.max(right)
    }
}

/// The smaller one; NaN if one is, unless the other is -Inf.
fn smaller(left: f64, right: f64) -> f64 {
    -larger(-left, -right)
}

pub(super) fn clamped(value: f64, least: f64, most: f64) -> f64 {
    larger(least, smaller(most, value))
}

/// To the nearest multiple; ties go up.
pub(super) fn rounded(value: f64, to: f64) -> f64 {
    // By the inverse, which is a whole number more often.
    let inverse = 1.0 / to;
    (value * inverse + 0.5).floor() / inverse
}
