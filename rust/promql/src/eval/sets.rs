//! `and`, `or`, `unless`.

use super::context::{Context, Evaluated};
use super::group::{Groups, Key};
use super::table::Table;
use crate::ast::{Binary, Operator};
use crate::labels::Layout;

impl Context<'_> {
    pub(super) fn set_operation(&self, binary: &Binary, mut left: Table, right: Table) -> Evaluated<Table> {
        let matching = &binary.matching;
        let mut layout = Layout::default();
        let key = if matching.on { Key::By(&matching.labels) } else { Key::Without(&matching.labels) };
        let mut groups = Groups::with_capacity(left.len() + right.len());
        let of_left: Vec<usize> = left.rows.iter().map(|row| groups.add(key.of(&mut layout, &row.labels))).collect();
        let of_right: Vec<usize> = right.rows.iter().map(|row| groups.add(key.of(&mut layout, &row.labels))).collect();
        let steps = left.steps();
        let presence = |table: &Table, group_of: &[usize]| -> Evaluated<Vec<bool>> {
            let cells = groups.labels.len() * steps;
            self.reserve(cells)?;
            let mut present = vec![false; cells];
            for (row, group) in group_of.iter().enumerate() {
                for step in 0..steps {
                    present[group * steps + step] |= !table.is_nothing(row, step);
                }
            }
            Ok(present)
        };
        if binary.operator == Operator::Or {
            let present = presence(&left, &of_left)?;
            for (row, group) in of_right.iter().enumerate() {
                self.check()?;
                let to = left.push(right.rows[row].clone());
                for step in 0..steps {
                    if !present[group * steps + step] {
                        left.set_value(to, step, right.get(row, step));
                    }
                }
                left.pop_empty();
            }
            // A series may be in both, at different times.
            return self.merge_now(left, false);
        }
        let present = presence(&right, &of_right)?;
        let keep = binary.operator == Operator::And;
        for (row, group) in of_left.iter().enumerate() {
            self.check()?;
            for step in 0..steps {
                if present[group * steps + step] != keep {
                    left.clear(row, step);
                }
            }
        }
        left.drop_empty_rows();
        Ok(left)
    }
}
