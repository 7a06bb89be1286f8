//! Classic histograms: `histogram_quantile` and `histogram_fraction` of series with the label `le`.

use std::sync::Arc;

use super::context::{Context, Evaluated, Resets};
use super::group::{Groups, Members};
use super::table::{Grid, Row, Table, Value};
use crate::ast::Expr;
use crate::histogram::NanObservations;
use crate::labels::Layout;
use crate::number;

/// The count of observations up to a bound.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// Bounds by the text they are written in, of which a store has one for many series.
#[derive(Default)]
struct Bounds {
    known: Vec<(Arc<str>, Option<f64>)>,
    next: usize,
}

impl Bounds {
    fn of(&mut self, text: &Arc<str>) -> Option<f64> {
        // They come in the same order, histogram after histogram.
        for turn in 0..self.known.len().min(2) {
            let at = (self.next + turn) % self.known.len();
            if Arc::ptr_eq(&self.known[at].0, text) {
                self.next = at + 1;
                return self.known[at].1;
            }
        }
        let bound = number::parse(text);
        if self.known.len() < 64 {
            self.known.push((Arc::clone(text), bound));
            self.next = 0;
        }
        bound
    }
}

/// The largest relative difference that is rounding.
const TOLERANCE: f64 = 1e-12;

/// What is asked of a histogram: its quantile, or the fraction between two values.
enum Question {
    Quantile(Vec<f64>),
    Fraction(Vec<f64>, Vec<f64>),
}

impl Context<'_> {
    pub(super) fn histogram_quantile(&self, arguments: &[Expr], grid: Grid) -> Evaluated<Table> {
        let quantiles = self.scalar(&arguments[0], grid)?;
        let table = self.with_resets(Resets::AsStoredBelow, || self.vector(&arguments[1], grid))?;
        quantiles.iter().for_each(|q| self.check_quantile(*q));
        self.histograms(&table, grid, &Question::Quantile(quantiles))
    }

    pub(super) fn histogram_fraction(&self, arguments: &[Expr], grid: Grid) -> Evaluated<Table> {
        let (lower, upper) = (self.scalar(&arguments[0], grid)?, self.scalar(&arguments[1], grid)?);
        let table = self.with_resets(Resets::AsStoredBelow, || self.vector(&arguments[2], grid))?;
        self.histograms(&table, grid, &Question::Fraction(lower, upper))
    }

    fn histograms(&self, table: &Table, grid: Grid, question: &Question) -> Evaluated<Table> {
        let one_name = super::elementwise::one_name(&table.rows);
        let mut answer = table.like();
        let natives = self.natives(table, grid, question, &mut answer)?;
        // Each row of a classic histogram is a bucket; the rows without `le` alike are one histogram.
        let mut groups = Groups::with_capacity(table.len() / 8);
        let mut layout = Layout::default();
        let mut parsed = Bounds::default();
        let (mut group_of, mut members, mut bounds) = (Vec::new(), Vec::new(), Vec::new());
        for (index, row) in table.rows.iter().enumerate() {
            let value = row.labels.value("le");
            let floats = table.row(index).iter().any(|value| !crate::sample::is_stale(*value));
            if !floats {
                continue;
            }
            let Some(bound) = value.and_then(|value| parsed.of(value)) else {
                let label = value.map_or("", |value| value);
                let name = self.late_name(&row.labels);
                self.warn(|| format!("bucket label \"le\" is missing or has a malformed value of {label:?}{name}"));
                continue;
            };
            group_of.push(groups.add(layout.retain(&row.labels, |name| name != "le")));
            members.push(index);
            bounds.push(bound);
        }
        // Native histograms of the same labels, by group.
        let mut clash: Vec<Option<(usize, usize)>> = vec![None; groups.labels.len()];
        for (source, target) in natives {
            if let Some(group) = groups.find(&table.rows[source].labels) {
                clash[group] = Some((source, target));
            }
        }
        let rows = Members::new(&group_of, groups.labels.len());
        let (mut order, mut buckets): (Vec<usize>, Vec<Bucket>) = (Vec::new(), Vec::new());
        for (group, clash) in clash.iter().enumerate() {
            self.check()?;
            order.clear();
            order.extend(rows.of(group));
            order.sort_by(|left, right| bounds[*left].total_cmp(&bounds[*right]));
            let first = &table.rows[members[order[0]]];
            let labels = Row { labels: groups.labels[group].clone(), drop_name: first.drop_name };
            let to = answer.push(self.unnamed(&labels));
            for step in 0..grid.count {
                buckets.clear();
                buckets.extend(order.iter().filter_map(|at| match table.get(members[*at], step) {
                    Value::Float(count) => Some(Bucket { bound: bounds[*at], count }),
                    _ => None,
                }));
                if buckets.is_empty() {
                    continue;
                }
                if let Some((source, target)) = *clash {
                    if matches!(table.get(source, step), Value::Histogram(_)) {
                        let name = self.late_name(&groups.labels[group]);
                        self.warn(|| format!("vector contains a mix of classic and native histograms{name}"));
                        answer.clear(target, step);
                        continue;
                    }
                }
                let value = match question {
                    Question::Quantile(quantiles) => {
                        let (value, forced) = quantile(quantiles[step], &mut buckets);
                        if forced {
                            let name = self.late_name(&groups.labels[group]);
                            self.inform(|| format!("{MONOTONICITY}{name}"));
                        }
                        value
                    }
                    Question::Fraction(lower, upper) => fraction(lower[step], upper[step], &mut buckets),
                };
                answer.set(to, step, value);
            }
        }
        answer.drop_empty_rows();
        if one_name {
            return Ok(answer);
        }
        self.merge_duplicates(answer)
    }

    /// Answers for native histograms; returns which row of the answer each row of the table became.
    fn natives(
        &self,
        table: &Table,
        grid: Grid,
        question: &Question,
        answer: &mut Table,
    ) -> Evaluated<Vec<(usize, usize)>> {
        let mut natives = Vec::new();
        if !table.has_histograms() {
            return Ok(natives);
        }
        for (index, row) in table.rows.iter().enumerate() {
            self.check()?;
            let mut to = None;
            for step in 0..grid.count {
                let Value::Histogram(histogram) = table.get(index, step) else { continue };
                let (value, met) = match question {
                    Question::Quantile(quantiles) => histogram.quantile(quantiles[step]),
                    Question::Fraction(lower, upper) => histogram.fraction(lower[step], upper[step]),
                };
                let words = match (question, met) {
                    (_, NanObservations::None) => "",
                    (Question::Quantile(_), NanObservations::Result) => {
                        "input to histogram_quantile has NaN observations, result is NaN"
                    }
                    (Question::Quantile(_), NanObservations::Skew) => {
                        "input to histogram_quantile has NaN observations, result is skewed higher"
                    }
                    (Question::Fraction(..), _) => {
                        "input to histogram_fraction has NaN observations, which are excluded from all fractions"
                    }
                };
                if !words.is_empty() {
                    let name = self.late_name(&row.labels);
                    self.inform(|| format!("{words}{name}"));
                }
                let target = *to.get_or_insert_with(|| answer.push(self.unnamed(row)));
                answer.set(target, step, value);
            }
            natives.extend(to.map(|to| (index, to)));
        }
        Ok(natives)
    }
}

const MONOTONICITY: &str = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

/// The quantile of buckets in ascending order of their bounds, linear within a bucket, and whether counts that
/// shrank had to be raised.
fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return (f64::NAN, false);
    }
    join_equal_bounds(buckets);
    let forced = raise(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if buckets.len() < 2 || observations == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * observations;
    let at = buckets[..last].partition_point(|bucket| !(bucket.count >= rank));
    if at == last {
        return (buckets[last - 1].bound, forced);
    }
    if at == 0 && buckets[0].bound <= 0.0 {
        return (buckets[0].bound, forced);
    }
    let (mut start, mut count) = (0.0, buckets[at].count);
    if at > 0 {
        start = buckets[at - 1].bound;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (start + (buckets[at].bound - start) * (rank / count), forced)
}

/// The fraction of observations between two values.
fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return f64::NAN;
    }
    join_equal_bounds(buckets);
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let mut start = if buckets[0].bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut rank = 0.0;
    let (mut lower_rank, mut upper_rank) = (None, None);
    for bucket in buckets.iter() {
        for (value, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_some() {
                continue;
            }
            if start >= value {
                *found = Some(rank);
            } else if start < value && bucket.bound > value {
                *found = Some(if start == f64::NEG_INFINITY {
                    bucket.count
                } else {
                    rank + (bucket.count - rank) * (value - start) / (bucket.bound - start)
                });
            }
        }
        rank = bucket.count;
        start = bucket.bound;
    }
    let capped = |rank: Option<f64>| rank.filter(|rank| !(*rank > count)).unwrap_or(count);
    (capped(upper_rank) - capped(lower_rank)) / count
}

/// Buckets of one bound, which `le="1"` and `le="1.0"` make, are one.
fn join_equal_bounds(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|bucket, before| {
        let equal = bucket.bound == before.bound;
        if equal {
            before.count += bucket.count;
        }
        equal
    });
}

/// Raises counts that are less than those of the bucket before; true where that was more than rounding.
fn raise(buckets: &mut [Bucket]) -> bool {
    let (mut forced, mut before) = (false, buckets[0].count);
    for bucket in &mut buckets[1..] {
        if bucket.count == before {
            continue;
        }
        if almost_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn almost_equal(left: f64, right: f64) -> bool {
    if left.is_nan() && right.is_nan() || left == right {
        return true;
    }
    let sum = left.abs() + right.abs();
    let difference = (left - right).abs();
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}
