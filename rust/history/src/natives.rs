//! The bins of a histogram as native histograms of Prometheus.

use crate::bins::{self, index_of, Bins, ZERO};
use ferrometer_promql::{Bin, CounterReset, Histogram};

/// A native histogram of these bins.
pub fn native(schema: i8, bins: &[(u32, u64)], sum: f64) -> Histogram {
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
pub fn reset_between((was_schema, was): &(i8, Bins), (schema, now): &(i8, Bins)) -> CounterReset {
    let common = (*was_schema).min(*schema);
    if bins::is_reset(&bins::merged(now, *schema, common), &bins::merged(was, *was_schema, common)) {
        CounterReset::Reset
    } else {
        CounterReset::NotReset
    }
}
