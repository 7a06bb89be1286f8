//! Parts of an expression that `@` makes the same at every step: they are evaluated once.

use super::context::{Context, Evaluated};
use super::outcome::Outcome;
use super::table::Grid;
use crate::ast::{Expr, Selector};

/// Whether every sample that an expression sees is pinned. Numbers alone are cheap, and not asked about.
pub(super) fn is_invariant(expr: &Expr) -> bool {
    pinned(expr) == Some(true)
}

/// Whether all selectors are pinned, `None` where there is none.
fn pinned(expr: &Expr) -> Option<bool> {
    let both = |left: Option<bool>, right: Option<bool>| match (left, right) {
        (Some(left), Some(right)) => Some(left && right),
        (one, None) | (None, one) => one,
    };
    let of_selector = |selector: &Selector| Some(selector.shift.at.is_some());
    match expr {
        Expr::Number(_) | Expr::Text(_) => None,
        Expr::Vector(selector) | Expr::Matrix(selector, _) => of_selector(selector),
        Expr::Subquery(subquery) => Some(subquery.shift.at.is_some()),
        Expr::Negate(inner) | Expr::Paren(inner) => pinned(inner),
        Expr::Binary(binary) => both(pinned(&binary.left), pinned(&binary.right)),
        Expr::Aggregate(aggregate) => both(pinned(&aggregate.expr), aggregate.parameter.as_ref().and_then(pinned)),
        // These see the time of the evaluation.
        Expr::Call(call) if SEES_TIME.contains(&call.function.name) => Some(false),
        Expr::Call(call) => call.arguments.iter().map(pinned).fold(None, both),
    }
}

const SEES_TIME: &[&str] = &[
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "time",
    "timestamp",
    "year",
];

impl Context<'_> {
    /// Evaluates at the first step, and repeats the values at all others.
    pub(super) fn once(&self, expr: &Expr, grid: Grid) -> Evaluated<Outcome> {
        let one = Grid { count: 1, ..grid };
        Ok(match self.eval(expr, one)? {
            Outcome::Scalar(values) => Outcome::Scalar(vec![values[0]; grid.count]),
            Outcome::Vector(table) => {
                let mut repeated = self.table(grid, table.len());
                for (index, row) in table.rows.iter().enumerate() {
                    self.check()?;
                    let to = repeated.push(row.clone());
                    for step in 0..grid.count {
                        repeated.set_value(to, step, table.get(index, 0));
                    }
                }
                Outcome::Vector(repeated)
            }
            text @ Outcome::Text(_) => text,
        })
    }
}
