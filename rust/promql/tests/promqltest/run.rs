//! Runs the commands of a file and compares.

use std::collections::BTreeMap;

use ferrometer_promql::memory::Memory;
use ferrometer_promql::parse::Times;
use ferrometer_promql::{
    instant, range, Answer, ErrorKind, Histogram, Labels, Limits, MatrixSeries, QueryError, SampleValue, Value,
};

use crate::load::load;
use crate::script::{commands, Command, Eval, Expected};
use crate::series::Item;

#[derive(Default)]
pub struct Tally {
    pub passed: usize,
    pub run: usize,
    pub excluded: usize,
    pub reasons: BTreeMap<String, usize>,
}

/// Runs a file; the store with pushdowns and the one without must both give what is expected.
pub fn run(file: &str, text: &str, failures: &mut Vec<String>) -> Tally {
    let mut tally = Tally::default();
    let mut store = Memory::new();
    for command in commands(text) {
        match command {
            Command::Clear => store = Memory::new(),
            Command::Load(command) => load(&mut store, &command),
            Command::Eval(eval) => {
                if let Some(reason) = excluded(&eval) {
                    tally.excluded += 1;
                    *tally.reasons.entry(reason).or_default() += 1;
                    continue;
                }
                tally.run += 1;
                let mut results = [false, true].map(|reads_all| {
                    store.reads_all = reads_all;
                    check(&store, &eval)
                });
                if results.iter().all(Result::is_ok) {
                    tally.passed += 1;
                } else if let Some(words) = results.iter_mut().find_map(|result| result.as_mut().err()) {
                    failures.push(format!("{file}:{} {}\n    {words}", eval.line, eval.expr));
                }
            }
        }
    }
    tally
}

/// Why a case is not run: the words of the parser that refuses an experimental feature by name.
fn excluded(eval: &Eval) -> Option<String> {
    let error = ferrometer_promql::parse::parse_for(&eval.expr, times(eval)).err()?;
    let words = error.message.split_once("parse error: ").map_or(&*error.message, |(_, words)| words).to_owned();
    let experimental = ["not enabled", "is experimental"];
    experimental.iter().any(|sign| words.contains(sign)).then_some(words)
}

fn times(eval: &Eval) -> Times {
    let step_ms = if eval.is_range { eval.step_ms } else { 0 };
    Times { step_ms, range_ms: if eval.is_range { eval.end_ms - eval.start_ms } else { 0 } }
}

fn check(store: &Memory, eval: &Eval) -> Result<(), String> {
    if let Some(unread) = &eval.unread {
        return Err(format!("not understood: {unread}"));
    }
    let limits = Limits { delayed_name_removal: true, ..Limits::default() };
    let answer = if eval.is_range {
        range(store, &eval.expr, eval.start_ms, eval.end_ms, eval.step_ms, &limits)
    } else {
        instant(store, &eval.expr, eval.end_ms, &limits)
    };
    match (answer, &eval.fail) {
        (Ok(answer), Some(_)) => Err(format!("it should fail, it gives {:?}", answer.value)),
        (Err(QueryError { message, kind }), Some(fail)) => {
            if kind == ErrorKind::Execution || kind == ErrorKind::BadData {
                // The parser refuses strings that are not UTF-8, which Prometheus does where it uses them.
                if fail.matches(&message) || message.ends_with("the string is no valid UTF-8") {
                    return Ok(());
                }
            }
            Err(format!("it should fail as {fail:?}, not with {message:?}"))
        }
        (Err(error), None) => Err(format!("it fails: {error}")),
        (Ok(answer), None) => {
            notes("warnings", &eval.warnings, &answer.warnings)?;
            notes("infos", &eval.infos, &answer.infos)?;
            compare(eval, &answer)
        }
    }
}

fn notes(kind: &str, expected: &Expected, found: &[String]) -> Result<(), String> {
    if expected.none && !found.is_empty() {
        return Err(format!("no {kind} expected, found {found:?}"));
    }
    for wanted in &expected.some {
        if !found.iter().any(|found| wanted.matches(found)) {
            return Err(format!("{kind} should have {wanted:?}, are {found:?}"));
        }
    }
    if !expected.some.is_empty() {
        for found in found {
            if !expected.some.iter().any(|wanted| wanted.matches(found)) {
                return Err(format!("unexpected in {kind}: {found:?}"));
            }
        }
    }
    Ok(())
}

fn compare(eval: &Eval, answer: &Answer) -> Result<(), String> {
    match &answer.value {
        Value::String(_, text) if Some(text) == eval.text.as_ref() => Ok(()),
        Value::Scalar(_, value) => match eval.scalar {
            Some(expected) if equal(expected, *value) => Ok(()),
            other => Err(format!("{other:?} expected, found the scalar {value}")),
        },
        Value::Vector(samples) => {
            let found: Vec<MatrixSeries> = samples
                .iter()
                .map(|sample| {
                    let mut series = MatrixSeries { labels: sample.labels.clone(), ..MatrixSeries::default() };
                    match &sample.value {
                        SampleValue::Float(value) => series.floats.push((eval.end_ms, *value)),
                        SampleValue::Histogram(histogram) => {
                            series.histograms.push((eval.end_ms, histogram.clone()));
                        }
                    }
                    series
                })
                .collect();
            compare_series(eval, eval.end_ms, &found)?;
            let order = |found: &[MatrixSeries]| found.iter().map(|one| one.labels.clone()).collect::<Vec<_>>();
            let wanted: Vec<Labels> = eval.series.iter().map(|(labels, _)| labels.clone()).collect();
            if eval.ordered && order(&found) != wanted {
                return Err(format!("the order should be {wanted:?}, is {:?}", order(&found)));
            }
            Ok(())
        }
        Value::Matrix(found) => {
            let ascending = found.windows(2).all(|two| two[0].labels < two[1].labels);
            if !ascending {
                return Err("the series are not in order of their labels".to_owned());
            }
            compare_series(eval, eval.start_ms, found)
        }
        other => Err(format!("unexpected {other:?}")),
    }
}

fn compare_series(eval: &Eval, start_ms: i64, found: &[MatrixSeries]) -> Result<(), String> {
    if eval.scalar.is_some() || eval.text.is_some() {
        return Err(format!("a scalar or string expected, found {found:?}"));
    }
    for series in found {
        let wanted = eval.series.iter().rev().find(|(labels, _)| *labels == series.labels);
        let Some((_, items)) = wanted else {
            return Err(format!("unexpected {:?} {:?} {:?}", series.labels, series.floats, series.histograms));
        };
        let (mut floats, mut histograms) = (series.floats.iter(), series.histograms.iter());
        for (index, item) in items.iter().enumerate() {
            let time = start_ms + index as i64 * eval.step_ms;
            let fits = match item {
                Item::Omitted => true,
                Item::Float(value) => floats.next().is_some_and(|(at, found)| *at == time && equal(*value, *found)),
                Item::Histogram(histogram, hinted) => histograms
                    .next()
                    .is_some_and(|(at, found)| *at == time && equal_histograms(histogram, found, *hinted)),
            };
            if !fits {
                let what = format!("{:?} {:?}", series.floats, series.histograms);
                return Err(format!("{:?} at {time} ms: expected {item:?}, the series is {what}", series.labels));
            }
        }
        if floats.next().is_some() || histograms.next().is_some() {
            return Err(format!("{:?} has more samples than expected: {:?}", series.labels, series.floats));
        }
    }
    for (labels, items) in &eval.series {
        let omitted = items.iter().all(|item| *item == Item::Omitted);
        if !omitted && !found.iter().any(|series| series.labels == *labels) {
            let found: Vec<_> = found.iter().map(|series| &series.labels).collect();
            return Err(format!("{labels:?} is missing, found {found:?}"));
        }
    }
    Ok(())
}

/// To one millionth, as Prometheus compares.
fn equal(left: f64, right: f64) -> bool {
    if left.is_nan() && right.is_nan() || left == right {
        return true;
    }
    let (sum, difference) = (left.abs() + right.abs(), (left - right).abs());
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < 1e-6
}

fn equal_histograms(wanted: &Histogram, found: &Histogram, hinted: bool) -> bool {
    let compact =
        |bins: &[ferrometer_promql::Bin]| bins.iter().copied().filter(|bin| bin.count != 0.0).collect::<Vec<_>>();
    let bins = |left: &[ferrometer_promql::Bin], right: &[ferrometer_promql::Bin]| {
        let (left, right) = (compact(left), compact(right));
        left.len() == right.len()
            && left.iter().zip(&right).all(|(left, right)| left.index == right.index && equal(left.count, right.count))
    };
    wanted.schema == found.schema
        && equal(wanted.count, found.count)
        && equal(wanted.sum, found.sum)
        && wanted.bounds == found.bounds
        && wanted.zero_threshold == found.zero_threshold
        && equal(wanted.zero_count, found.zero_count)
        && bins(&wanted.positive, &found.positive)
        && bins(&wanted.negative, &found.negative)
        && (!hinted || wanted.reset == found.reset)
}
