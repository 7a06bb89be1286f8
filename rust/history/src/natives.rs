//! The bins of a histogram as native histograms of Prometheus.

use crate::bins::{self, index_of, Bins, ZERO};
use crate::chunk::Value;
use crate::runs::{Runs, ENDED};
use crate::span::{Moment, Span};
use ferrometer_promql::{Bin, CounterReset, Histogram, HistogramWindow};
use std::sync::Arc;

/// A native histogram of these bins.
fn native(schema: i8, bins: &[(u32, u64)], sum: f64) -> Histogram {
    let mut histogram = Histogram {
        schema,
        reset: CounterReset::Unknown,
        zero_threshold: f64::MIN_POSITIVE,
        sum,
        ..Histogram::default()
    };
    histogram.positive.reserve(bins.len());
    let mut total = 0u64;
    for &(place, count) in bins {
        total = total.wrapping_add(count);
        if place == ZERO {
            histogram.zero_count = count as f64;
        } else {
            histogram.positive.push(Bin { index: index_of(place), count: count as f64 });
        }
    }
    histogram.count = total as f64;
    histogram
}

/// Whether a histogram counts anew. A finer schema than before is no sign of it here: levels differ in their schemas.
fn reset_between((was_schema, was): &(i8, Bins), (schema, now): &(i8, Bins)) -> CounterReset {
    let common = (*was_schema).min(*schema);
    if bins::is_reset(&bins::merged(now, *schema, common), &bins::merged(was, *was_schema, common)) {
        CounterReset::Reset
    } else {
        CounterReset::NotReset
    }
}

/// The native histograms of bins and their times; `None` where the series ended. The sums are those of the buckets beside
/// the bins.
pub fn histograms(runs: &Runs, sums: Option<&Runs>) -> Vec<(i64, Option<Arc<Histogram>>)> {
    let (mut at, mut latest) = (0, None::<(u32, f64, Arc<Histogram>)>);
    let mut before = None::<u32>;
    let mut out = Vec::with_capacity(runs.samples.len());
    for &(time, row) in &runs.samples {
        if row == ENDED {
            out.push((time, None));
            continue;
        }
        let mut sum = f64::NAN;
        if let Some(sums) = sums {
            while sums.samples.get(at + 1).is_some_and(|&(next, _)| next <= time) {
                at += 1;
            }
            if let Some(&(_, row)) = sums.samples.get(at).filter(|(_, row)| *row != ENDED) {
                sum = sums.number(row, sums.width - 1);
            }
        }
        let histogram = match &latest {
            Some((known, was, histogram))
                if *known == row && was.to_bits() == sum.to_bits() && histogram.reset == CounterReset::NotReset =>
            {
                histogram.clone()
            }
            _ => {
                let (schema, bins) = &runs.bins[row as usize];
                let mut histogram = native(*schema, bins, sum);
                histogram.reset = match before {
                    None => CounterReset::Unknown,
                    Some(before) if before == row => CounterReset::NotReset,
                    Some(before) => reset_between(&runs.bins[before as usize], &runs.bins[row as usize]),
                };
                let histogram = Arc::new(histogram);
                latest = Some((row, sum, histogram.clone()));
                histogram
            }
        };
        before = Some(row);
        out.push((time, Some(histogram)));
    }
    out
}

/// What came between the ends of a span; the sums are those of the buckets beside the bins.
pub fn increase(span: &Span, sums: Option<&Runs>) -> HistogramWindow {
    let sum_at = |time_ms: i64| {
        let sums = sums?;
        let after = sums.samples.partition_point(|&(time, _)| time <= time_ms);
        // The sum may have been set before the first of these times.
        let &(_, row) = sums.samples.get(after.saturating_sub(1)).filter(|(_, row)| *row != ENDED)?;
        Some(sums.number(row, sums.width - 1))
    };
    let at = |moment: &Moment| match &moment.value {
        Value::Bins(bins) => {
            let native = native(moment.schema, bins, sum_at(moment.time_ms).unwrap_or(f64::NAN));
            native.merged(span.schema)
        }
        Value::Scalar(_) | Value::Classic(_) => Histogram::default(),
    };
    let first = at(&span.first);
    let (first_count, skip) = (first.count, usize::from(span.starts_anew()));
    let mut increase = at(&span.last);
    let mut lost = Vec::new();
    lost.extend(span.resets.iter().skip(skip).map(|(before, _)| at(before)));
    // All are of one schema, without bounds of their own.
    let fits = lost.iter().all(|lost| increase.add(lost).is_ok()) && (skip > 0 || increase.subtract(&first).is_ok());
    debug_assert!(fits, "histograms of one track fit each other");
    HistogramWindow {
        count: span.count,
        first_ms: span.first.time_ms,
        first_count,
        last_ms: span.last.time_ms,
        increase,
    }
}
