//! Operations between vectors: which series of one side goes with which of the other.

use super::binary::{Operated, Result2};
use super::context::{Context, Evaluated};
use super::group::{Groups, Key, Members};
use super::table::{Row, Table};
use crate::ast::{Binary, Cardinality, Matching};
use crate::error::QueryError;
use crate::labels::{Labels, Layout, NAME};

impl Context<'_> {
    pub(super) fn matched(&self, binary: &Binary, left: &Table, right: &Table) -> Evaluated<Table> {
        let matching = &binary.matching;
        // The one side is called `one`; in a match of one to one it is the right one.
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let mut layout = Layout::default();
        let key = if matching.on { Key::By(&matching.labels) } else { Key::Without(&matching.labels) };
        let mut groups = Groups::with_capacity(one.len());
        let of_one: Vec<usize> = one.rows.iter().map(|row| groups.add(key.of(&mut layout, &row.labels))).collect();
        let members = Members::new(&of_one, groups.labels.len());
        // Per group and step, the only row of the one side.
        let steps = one.steps();
        self.reserve(groups.labels.len() * steps * size_of::<u32>())?;
        let mut only = vec![u32::MAX; groups.labels.len() * steps];
        let both_empty = |step: usize| {
            let some = |table: &Table| (0..table.len()).any(|row| !table.is_nothing(row, step));
            !some(many) || !some(one)
        };
        for group in 0..groups.labels.len() {
            self.check()?;
            for row in members.of(group) {
                for step in 0..steps {
                    if one.is_nothing(row, step) {
                        continue;
                    }
                    let at = &mut only[group * steps + step];
                    if *at == u32::MAX {
                        *at = row as u32;
                    } else if !both_empty(step) {
                        let side = if swapped { "left" } else { "right" };
                        let pair = (&one.rows[row].labels, &one.rows[*at as usize].labels);
                        return Err(many_to_many(&groups.labels[group], side, pair));
                    }
                }
            }
        }
        let mut result = many.like();
        let mut pairs = Pairs::new(binary);
        for (row, many_row) in many.rows.iter().enumerate() {
            self.check()?;
            let Some(group) = groups.find(&key.of(&mut layout, &many_row.labels)) else { continue };
            for step in 0..steps {
                let partner = only[group * steps + step];
                if partner == u32::MAX || many.is_nothing(row, step) {
                    continue;
                }
                let partner = partner as usize;
                let values = (many.get(row, step), one.get(partner, step));
                let (first, second) = if swapped { (values.1, values.0) } else { values };
                let operated = self.operate(binary.operator, first, second);
                let target = pairs.row(&mut result, (row, many_row), (partner, &one.rows[partner]));
                pairs.claim(group, target, step, operated.is_some())?;
                store(&mut result, target, step, operated, binary.bool_result);
            }
        }
        result.drop_empty_rows();
        self.merge_now(result, false)
    }
}

fn store(result: &mut Table, row: usize, step: usize, operated: Operated, bool_result: bool) {
    match operated {
        Some((_, holds)) if bool_result => result.set(row, step, f64::from(u8::from(holds))),
        None | Some((_, false)) => {}
        Some((Result2::Float(value), true)) => result.set(row, step, value),
        Some((Result2::Histogram(histogram), true)) => result.set_histogram(row, step, histogram),
    }
}

/// The rows of the result, and which of them have been met at which step.
struct Pairs<'b> {
    binary: &'b Binary,
    groups: Groups,
    /// The pair that is next to last time's, as pairs come in runs.
    last: Option<((usize, usize), usize)>,
    /// Per group or row, the step that was claimed, to find two matches of one.
    claimed: std::collections::HashSet<(usize, usize)>,
}

impl<'b> Pairs<'b> {
    fn new(binary: &'b Binary) -> Self {
        let claimed = std::collections::HashSet::new();
        Self { binary, groups: Groups::with_capacity(16), last: None, claimed }
    }

    /// The row of the result for a pair of rows.
    fn row(&mut self, result: &mut Table, many: (usize, &Row), one: (usize, &Row)) -> usize {
        if let Some((pair, row)) = self.last {
            if pair == (many.0, one.0) {
                return row;
            }
        }
        let labels = result_labels(&many.1.labels, &one.1.labels, self.binary);
        let known = self.groups.labels.len();
        let row = self.groups.add(labels.clone());
        if row == known {
            result.push(Row { labels, drop_name: self.binary.bool_result });
        }
        self.last = Some(((many.0, one.0), row));
        row
    }

    /// Refuses a second match: of the group where one goes with one, of the result's labels otherwise.
    fn claim(&mut self, group: usize, row: usize, step: usize, operated: bool) -> Evaluated<()> {
        if !operated {
            return Ok(());
        }
        let one_to_one = self.binary.matching.cardinality == Cardinality::OneToOne;
        let key = if one_to_one { group } else { row };
        if self.claimed.insert((key, step)) {
            return Ok(());
        }
        let words = if one_to_one {
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        } else {
            "multiple matches for labels: grouping labels must ensure unique matches"
        };
        Err(QueryError::execution(words))
    }
}

fn result_labels(many: &Labels, one: &Labels, binary: &Binary) -> Labels {
    let Matching { on, labels: names, cardinality, include } = &binary.matching;
    let mut labels = many.clone();
    if binary.bool_result || binary.operator.changes_metric() {
        labels = labels.without_name();
    }
    if *cardinality == Cardinality::OneToOne {
        let listed = |name: &str| names.iter().any(|other| other == name);
        labels = labels.retain(|name| if *on { listed(name) } else { !listed(name) });
    }
    for name in include {
        let value = one.get(name);
        if labels.get(name) != value {
            labels = labels.with(name, value);
        }
    }
    labels
}

fn many_to_many(group: &Labels, side: &str, (new, known): (&Labels, &Labels)) -> QueryError {
    let group = group.retain(|name| name != NAME);
    QueryError::execution(format!(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
         [{new}, {known}];many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}
