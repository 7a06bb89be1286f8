//! Queries: an expression at one time, or at many.

use std::thread;

use crate::answer::Answer;
use crate::error::QueryError;
use crate::eval::{evaluate, Grid};
use crate::limits::Limits;
use crate::parse::{parse_for, Times};
use crate::storage::Storage;

/// The stack of an evaluation: an expression of 500 tokens takes a small part of it.
const STACK_BYTES: usize = 16 << 20;

/// The earliest and latest time of a query: what arithmetic on milliseconds cannot leave.
const MAX_TIME_MS: i64 = 1 << 52;

/// Evaluates an expression at one time, in milliseconds since 1970.
///
/// # Errors
/// The expression is wrong, cannot be evaluated, or exceeds a limit.
pub fn instant(storage: &dyn Storage, query: &str, time_ms: i64, limits: &Limits) -> Result<Answer, QueryError> {
    check_time("time", time_ms)?;
    let grid = Grid { start_ms: time_ms, step_ms: 0, count: 1 };
    run(storage, query, grid, time_ms, limits, false)
}

/// Evaluates an expression from a start to an end, both inclusive, in milliseconds since 1970.
///
/// # Errors
/// As [`instant`]; also: the end is before the start, the step is not positive, there are too many steps, or the
/// expression's value is neither a scalar nor an instant vector.
pub fn range(
    storage: &dyn Storage,
    query: &str,
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
    limits: &Limits,
) -> Result<Answer, QueryError> {
    check_time("start", start_ms)?;
    check_time("end", end_ms)?;
    if end_ms < start_ms {
        let message = "invalid parameter \"end\": end timestamp must not be before start time";
        return Err(QueryError::bad_data(message));
    }
    if step_ms <= 0 {
        let message = "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(QueryError::bad_data(message));
    }
    // Both times lie within 2^52.
    let count = (end_ms - start_ms) / step_ms;
    if count > limits.points as i64 {
        let message = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(QueryError::bad_data(message.replace("11,000", &thousands(limits.points))));
    }
    let grid = Grid { start_ms, step_ms, count: count as usize + 1 };
    run(storage, query, grid, end_ms, limits, true)
}

fn check_time(name: &str, time_ms: i64) -> Result<(), QueryError> {
    if time_ms.unsigned_abs() <= MAX_TIME_MS.unsigned_abs() {
        return Ok(());
    }
    let message =
        format!("invalid parameter {name:?}: {time_ms} ms is out of range, at most {MAX_TIME_MS} ms from 1970");
    Err(QueryError::bad_data(message))
}

fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// On a thread with a stack of its own: an expression's depth must not end the caller's.
fn run(
    storage: &dyn Storage,
    query: &str,
    grid: Grid,
    end_ms: i64,
    limits: &Limits,
    is_range: bool,
) -> Result<Answer, QueryError> {
    let work = || {
        let times = Times { step_ms: grid.step_ms, range_ms: end_ms - grid.start_ms };
        let expr = parse_for(query, times)?;
        evaluate(storage, &expr, grid, end_ms, limits, is_range)
    };
    let thread = thread::Builder::new().name("promql".to_owned()).stack_size(STACK_BYTES);
    thread::scope(|scope| {
        let handle = thread
            .spawn_scoped(scope, work)
            .map_err(|error| QueryError::execution(format!("no thread for the query: {error}")))?;
        handle.join().unwrap_or_else(|panic| {
            let words = panic
                .downcast_ref::<&str>()
                .map(|words| (*words).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(QueryError::execution(format!("the evaluation failed, which is a fault of the engine: {words}")))
        })
    })
}
