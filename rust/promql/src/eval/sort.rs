//! `sort` and `sort_desc`.

use super::context::{Context, Evaluated};
use super::table::{Grid, Table, Value};

impl Context<'_> {
    /// By value, NaN last, histograms left out. Only an instant query's answer has an order.
    pub(super) fn sort(&self, mut table: Table, descending: bool, grid: Grid) -> Evaluated<Table> {
        for row in 0..table.len() {
            for step in 0..grid.count {
                if matches!(table.get(row, step), Value::Histogram(_)) {
                    table.clear(row, step);
                }
            }
        }
        table.drop_empty_rows();
        if grid.count > 1 {
            let words = "sort is ineffective for range queries since results are always ordered by labels";
            self.warn(|| words.to_owned());
            return Ok(table);
        }
        self.check()?;
        let mut order: Vec<usize> = (0..table.len()).collect();
        order.sort_by(|left, right| by_value(table.row(*left)[0], table.row(*right)[0], descending));
        table.select(&order);
        Ok(table)
    }
}

/// Ascending or descending, NaN last in both.
pub(super) fn by_value(left: f64, right: f64, descending: bool) -> std::cmp::Ordering {
    let order = left.partial_cmp(&right).unwrap_or(std::cmp::Ordering::Equal);
    let order = if descending { order.reverse() } else { order };
    left.is_nan().cmp(&right.is_nan()).then(order)
}
