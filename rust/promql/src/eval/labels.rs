//! `label_replace`, `label_join`, `absent`, `absent_over_time`.

use super::context::{Context, Evaluated};
use super::table::{Grid, Row, Table};
use crate::ast::Expr;
use crate::error::QueryError;
use crate::labels::{Labels, NAME};
use crate::matcher::{anchored, Matcher, Operation};

impl Context<'_> {
    pub(super) fn label_replace(&self, arguments: &[Expr], grid: Grid) -> Evaluated<Table> {
        let [destination, replacement, source, pattern] = [1, 2, 3, 4].map(|at| self.text(&arguments[at]));
        let (destination, replacement, source, pattern) = (destination?, replacement?, source?, pattern?);
        let regex = anchored(pattern)
            .map_err(|_| QueryError::execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
        check_label(destination, "destination", "label_replace")?;
        let mut table = self.vector(&arguments[0], grid)?;
        for row in &mut table.rows {
            self.check()?;
            let value = row.labels.get(source);
            let Some(captures) = regex.captures(value) else { continue };
            let mut expanded = String::new();
            captures.expand(replacement, &mut expanded);
            relabel(row, destination, &expanded);
        }
        self.merge_now(table, false)
    }

    pub(super) fn label_join(&self, arguments: &[Expr], grid: Grid) -> Evaluated<Table> {
        let (destination, separator) = (self.text(&arguments[1])?, self.text(&arguments[2])?);
        let mut sources = Vec::with_capacity(arguments.len());
        for argument in &arguments[3..] {
            let source = self.text(argument)?;
            check_label(source, "source", "label_join")?;
            sources.push(source);
        }
        check_label(destination, "destination", "label_join")?;
        let mut table = self.vector(&arguments[0], grid)?;
        for row in &mut table.rows {
            self.check()?;
            let values: Vec<&str> = sources.iter().map(|source| row.labels.get(source)).collect();
            let joined = values.join(separator);
            relabel(row, destination, &joined);
        }
        self.merge_now(table, false)
    }

    pub(super) fn absent(&self, expr: &Expr, grid: Grid) -> Evaluated<Table> {
        let table = self.vector(expr, grid)?;
        let present = |step: usize| (0..table.len()).any(|row| !table.is_nothing(row, step));
        Ok(self.ones(expr, grid, |step| !present(step)))
    }

    pub(super) fn absent_over_time(&self, expr: &Expr, grid: Grid) -> Evaluated<Table> {
        let present =
            self.each_window(expr, grid, super::windows::Name::Keep, |_| Ok(super::windows::Made::Float(1.0)))?;
        let is_present = |step: usize| (0..present.len()).any(|row| !present.is_nothing(row, step));
        Ok(self.ones(expr, grid, |step| !is_present(step)))
    }

    /// A row of ones at the steps where something is absent.
    fn ones(&self, expr: &Expr, grid: Grid, is_absent: impl Fn(usize) -> bool) -> Table {
        let mut table = self.table(grid, 1);
        let row = table.push(Row { labels: labels_of_absent(expr), drop_name: false });
        for step in (0..grid.count).filter(|step| is_absent(*step)) {
            table.set(row, step, 1.0);
        }
        table.pop_empty();
        table
    }
}

fn relabel(row: &mut Row, name: &str, value: &str) {
    row.labels = row.labels.with(name, value);
    if name == NAME {
        row.drop_name = false;
    }
}

fn check_label(name: &str, role: &str, function: &str) -> Evaluated<()> {
    if name.is_empty() {
        return Err(QueryError::execution(format!("invalid {role} label name in {function}(): {name}")));
    }
    Ok(())
}

/// What a selector says for certain about the series that are absent.
fn labels_of_absent(expr: &Expr) -> Labels {
    let (Expr::Vector(selector) | Expr::Matrix(selector, _)) = expr.inner() else { return Labels::default() };
    let mut labels = Labels::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in selector.matchers.iter().filter(|matcher: &&Matcher| matcher.name() != NAME) {
        if matcher.operation() == Operation::Equal && !seen.contains(&matcher.name()) {
            labels = labels.with(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            labels = labels.with(matcher.name(), "");
        }
    }
    labels
}
