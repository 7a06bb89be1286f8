//! Binary operations: numbers, numbers with vectors, and what an operator makes of two samples.

use std::sync::Arc;

use super::context::{Context, Evaluated, Resets};
use super::elementwise::one_name;
use super::outcome::Outcome;
use super::table::{Grid, Table, Value};
use crate::ast::{Binary, Operator};
use crate::histogram::{CounterReset, Histogram, Incompatible, Keep};

/// What an operator makes of two samples. `None`: the sample is left out.
pub(super) enum Result2 {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// A result, and whether a comparison holds.
pub(super) type Operated = Option<(Result2, bool)>;

impl Operator {
    /// Whether the result is another metric than the operands.
    pub(super) fn changes_metric(self) -> bool {
        !self.compares() && !self.is_set() && !matches!(self, Self::TrimLower | Self::TrimUpper)
    }
}

impl Context<'_> {
    pub(super) fn binary(&self, binary: &Binary, grid: Grid) -> Evaluated<Outcome> {
        // In this order, as the sides may warn.
        let trims = matches!(binary.operator, Operator::TrimLower | Operator::TrimUpper);
        let both = || -> Evaluated<(Outcome, Outcome)> {
            Ok((self.eval(&binary.left, grid)?, self.eval(&binary.right, grid)?))
        };
        let (left, right) = if trims { self.with_resets(Resets::AsStoredBelow, both)? } else { both()? };
        Ok(match (left, right) {
            (Outcome::Scalar(mut left), Outcome::Scalar(right)) => {
                for (left, right) in left.iter_mut().zip(right) {
                    *left = number(binary.operator, *left, right);
                }
                Outcome::Scalar(left)
            }
            (Outcome::Vector(left), Outcome::Scalar(right)) => {
                Outcome::Vector(self.with_scalar(binary, left, &right, false)?)
            }
            (Outcome::Scalar(left), Outcome::Vector(right)) => {
                Outcome::Vector(self.with_scalar(binary, right, &left, true)?)
            }
            (Outcome::Vector(left), Outcome::Vector(right)) if binary.operator.is_set() => {
                Outcome::Vector(self.set_operation(binary, left, right)?)
            }
            (Outcome::Vector(left), Outcome::Vector(right)) => Outcome::Vector(self.matched(binary, &left, &right)?),
            (text, _) => text,
        })
    }

    fn with_scalar(&self, binary: &Binary, mut table: Table, scalar: &[f64], swapped: bool) -> Evaluated<Table> {
        let operator = binary.operator;
        let renames = operator.changes_metric() || binary.bool_result;
        let one_name = one_name(&table.rows);
        for row in 0..table.len() {
            self.check()?;
            for (step, scalar) in scalar.iter().enumerate() {
                let value = table.get(row, step);
                if let (Value::Float(float), false) = (value, operator.compares()) {
                    // The common case, without the detour.
                    let (left, right) = if swapped { (*scalar, float) } else { (float, *scalar) };
                    if !matches!(operator, Operator::TrimLower | Operator::TrimUpper) {
                        table.set(row, step, number(operator, left, right));
                        continue;
                    }
                }
                if matches!(value, Value::Nothing) {
                    continue;
                }
                let (left, right) =
                    if swapped { (Value::Float(*scalar), value) } else { (value, Value::Float(*scalar)) };
                let operated = self.operate(operator, left, right);
                let result = match operated {
                    Some((_, holds)) if binary.bool_result => Some(Result2::Float(f64::from(u8::from(holds)))),
                    None | Some((_, false)) => None,
                    // A comparison filters: what is kept is the vector's sample, on whichever side it stands.
                    Some(_) if operator.compares() => continue,
                    Some((result, true)) => Some(result),
                };
                table.clear(row, step);
                match result {
                    None => {}
                    Some(Result2::Float(value)) => table.set(row, step, value),
                    Some(Result2::Histogram(histogram)) => table.set_histogram(row, step, histogram),
                }
            }
        }
        table.drop_empty_rows();
        if !renames {
            return Ok(table);
        }
        self.drop_names(&mut table);
        if one_name {
            return Ok(table);
        }
        self.merge_duplicates(table)
    }

    /// What an operator makes of two samples, and whether a comparison holds.
    pub(super) fn operate(&self, operator: Operator, left: Value<'_>, right: Value<'_>) -> Operated {
        let trim = matches!(operator, Operator::TrimLower | Operator::TrimUpper);
        match (left, right) {
            (Value::Nothing, _) | (_, Value::Nothing) => None,
            (Value::Float(left), Value::Float(right)) if operator.compares() => {
                Some((Result2::Float(left), number(operator, left, right) == 1.0))
            }
            (Value::Float(left), Value::Float(right)) if !trim => {
                Some((Result2::Float(number(operator, left, right)), true))
            }
            (Value::Histogram(left), Value::Histogram(right)) => self.operate_histograms(operator, left, right),
            (Value::Histogram(histogram), Value::Float(by)) | (Value::Float(by), Value::Histogram(histogram))
                if operator == Operator::Multiply =>
            {
                let mut product = Histogram::clone(histogram);
                product.multiply(by);
                product.compact();
                Some((Result2::Histogram(Arc::new(product)), true))
            }
            (Value::Histogram(histogram), Value::Float(by)) if trim || operator == Operator::Divide => {
                let mut result = Histogram::clone(histogram);
                match operator {
                    Operator::TrimUpper => result.trim(by, Keep::Below),
                    Operator::TrimLower => result.trim(by, Keep::Above),
                    _ => {
                        result.divide(by);
                        result.compact();
                    }
                }
                Some((Result2::Histogram(Arc::new(result)), true))
            }
            (left, right) => {
                self.inform_types(operator, left, right);
                None
            }
        }
    }

    fn operate_histograms(&self, operator: Operator, left: &Arc<Histogram>, right: &Arc<Histogram>) -> Operated {
        match operator {
            Operator::Equal => Some((Result2::Histogram(Arc::clone(left)), left.is_same(right))),
            Operator::NotEqual => Some((Result2::Histogram(Arc::clone(left)), !left.is_same(right))),
            Operator::Add | Operator::Subtract => {
                let mut result = Histogram::clone(left);
                let (combined, words) = if operator == Operator::Add {
                    (result.add(right), "addition")
                } else {
                    (result.subtract(right), "subtraction")
                };
                match combined {
                    Ok(notes) => {
                        if notes.reset_collision {
                            self.warn_collision(words);
                        }
                        self.inform_reconciled(notes, words);
                    }
                    Err(Incompatible) => {
                        let name = operator.name();
                        self.warn(|| format!("incompatible bucket layout encountered for binary operator {name}"));
                        return None;
                    }
                }
                if operator == Operator::Subtract {
                    result.reset = CounterReset::Gauge;
                }
                result.compact();
                Some((Result2::Histogram(Arc::new(result)), true))
            }
            _ => {
                self.inform_types(operator, Value::Histogram(left), Value::Histogram(right));
                None
            }
        }
    }

    fn inform_types(&self, operator: Operator, left: Value<'_>, right: Value<'_>) {
        let kind = |value: Value<'_>| if matches!(value, Value::Histogram(_)) { "histogram" } else { "float" };
        let (name, left, right) = (operator.name(), kind(left), kind(right));
        let words = "incompatible sample types encountered for binary operator";
        self.inform(|| format!("{words} {name:?}: {left} {name} {right}"));
    }
}

/// What an operator makes of two numbers; a comparison gives 1 or 0.
pub(super) fn number(operator: Operator, left: f64, right: f64) -> f64 {
    let truth = |holds: bool| f64::from(u8::from(holds));
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Modulo => left % right,
        Operator::Power => left.powf(right),
        Operator::Atan2 => left.atan2(right),
        Operator::Equal => truth(left == right),
        Operator::NotEqual => truth(left != right),
        Operator::Less => truth(left < right),
        Operator::LessEqual => truth(left <= right),
        Operator::Greater => truth(left > right),
        Operator::GreaterEqual => truth(left >= right),
        // Of histograms or sets, refused by the parser.
        Operator::TrimLower | Operator::TrimUpper | Operator::And | Operator::Or | Operator::Unless => f64::NAN,
    }
}
