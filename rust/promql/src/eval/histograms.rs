//! `histogram_count` and its relatives: a number of each native histogram.

use super::context::{Context, Evaluated};
use super::elementwise::one_name;
use super::table::{Table, Value};

impl Context<'_> {
    pub(super) fn histogram_number(&self, name: &str, table: Table) -> Evaluated<Table> {
        let mut numbers = table.like();
        for (index, row) in table.rows.iter().enumerate() {
            self.check()?;
            let to = numbers.push(self.unnamed(row));
            for step in 0..table.steps() {
                let Value::Histogram(histogram) = table.get(index, step) else { continue };
                let number = match name {
                    "histogram_count" => histogram.count,
                    "histogram_sum" => histogram.sum,
                    "histogram_avg" => histogram.sum / histogram.count,
                    "histogram_stddev" => histogram.variance().sqrt(),
                    _ => histogram.variance(),
                };
                numbers.set(to, step, number);
            }
            numbers.pop_empty();
        }
        if one_name(&table.rows) {
            return Ok(numbers);
        }
        self.merge_duplicates(numbers)
    }
}
