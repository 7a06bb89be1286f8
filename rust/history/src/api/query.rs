//! `query` and `query_range`.

use super::gate::{ApiLimits, Gate};
use super::parameters::{invalid, Parameters};
use super::reply::{Answered, Reply, JSON};
use crate::history::History;
use ferrometer_promql::{instant, range, Answer, ErrorKind, Limits, QueryError, SampleValue, Value};
use std::sync::Arc;

/// `query`
pub fn at_one_time(
    history: &History,
    most: &ApiLimits,
    gate: &Gate,
    parameters: &Parameters<'_>,
    client: &str,
) -> Answered {
    let time_ms = parameters.time_or_now("time")?;
    let limits = limits_of(most, parameters)?;
    let query = parameters.get("query").unwrap_or_default();
    let _pass = gate.enter(client, limits.seconds)?;
    let answer = instant(&**history.store(), query, time_ms, &limits).map_err(named)?;
    finished(answer, parameters)
}

/// `query_range`
pub fn over_a_range(
    history: &History,
    most: &ApiLimits,
    gate: &Gate,
    parameters: &Parameters<'_>,
    client: &str,
) -> Answered {
    let (start_ms, end_ms) = (parameters.needed_time("start")?, parameters.needed_time("end")?);
    if end_ms < start_ms {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let step = parameters.duration("step")?;
    let step_ms = step.ok_or_else(|| invalid("step", "cannot parse \"\" to a valid duration"))?;
    if step_ms <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(invalid("step", why));
    }
    let limits = limits_of(most, parameters)?;
    if usize::try_from((end_ms - start_ms) / step_ms).is_ok_and(|points| points > limits.points) {
        let message = "exceeded maximum resolution of 11,000 points per timeseries. \
                           Try decreasing the query resolution (?step=XX)";
        return Err(QueryError::bad_data(message));
    }
    let query = parameters.get("query").unwrap_or_default();
    let _pass = gate.enter(client, limits.seconds)?;
    let answer = range(&**history.store(), query, start_ms, end_ms, step_ms, &limits).map_err(named)?;
    finished(answer, parameters)
}

fn limits_of(most: &ApiLimits, parameters: &Parameters<'_>) -> Result<Limits, QueryError> {
    let mut limits = Limits { seconds: most.seconds, samples: most.samples, bytes: most.bytes, ..Limits::default() };
    limits.seconds = parameters.seconds(most.seconds)?;
    if let Some(ms) = parameters.duration("lookback_delta")?.filter(|&ms| ms > 0) {
        limits.lookback_ms = ms;
    }
    Ok(limits)
}

/// Prometheus says which parameter it could not read.
fn named(error: QueryError) -> QueryError {
    if error.kind == ErrorKind::BadData && !error.message.starts_with("invalid parameter") {
        return QueryError { message: format!("invalid parameter \"query\": {}", error.message), ..error };
    }
    error
}

/// The answer, cut to `limit` series, its native histograms in bins of `histogram_schema` at the finest.
fn finished(mut answer: Answer, parameters: &Parameters<'_>) -> Answered {
    if let Some(schema) = parameters.schema("histogram_schema")? {
        match &mut answer.value {
            Value::Vector(samples) => {
                for sample in samples {
                    if let SampleValue::Histogram(histogram) = &mut sample.value {
                        *histogram = Arc::new(histogram.merged(schema));
                    }
                }
            }
            Value::Matrix(all) => {
                for (_, histogram) in all.iter_mut().flat_map(|series| &mut series.histograms) {
                    *histogram = Arc::new(histogram.merged(schema));
                }
            }
            Value::Scalar(..) | Value::String(..) => {}
        }
    }
    if let Some(limit) = parameters.limit("limit")? {
        let is_cut = match &mut answer.value {
            Value::Vector(samples) if samples.len() > limit => {
                samples.truncate(limit);
                true
            }
            Value::Matrix(series) if series.len() > limit => {
                series.truncate(limit);
                true
            }
            _ => false,
        };
        if is_cut {
            answer.warnings.push("results truncated due to limit".into());
        }
    }
    Ok(Reply { status: 200, media_type: JSON, body: answer.to_json() })
}
