//! Loads series as Prometheus's store does: it knows counter resets of histograms before a query asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrometer_promql::histogram::CUSTOM;
use ferrometer_promql::memory::Memory;
use ferrometer_promql::{Bin, CounterReset, Histogram, Label, Labels};

use crate::script::Load;
use crate::series::Item;

pub fn load(store: &mut Memory, load: &Load) {
    for (at, (labels, items)) in load.series.iter().enumerate() {
        // Of one series defined twice, the last definition counts.
        if load.series[at + 1..].iter().any(|(other, _)| other == labels) {
            continue;
        }
        for (index, item) in items.iter().enumerate() {
            let time_ms = index as i64 * load.step_ms;
            match item {
                Item::Omitted => {}
                Item::Float(value) => store.push(labels, time_ms, *value),
                Item::Histogram(histogram, _) => push(store, labels, time_ms, (**histogram).clone()),
            }
        }
    }
    if load.with_custom {
        load_custom(store, load);
    }
}

fn push(store: &mut Memory, labels: &Labels, time_ms: i64, mut histogram: Histogram) {
    if !matches!(histogram.reset, CounterReset::Gauge | CounterReset::Reset) {
        let unknown = Histogram { reset: CounterReset::Unknown, ..histogram.clone() };
        histogram.reset = match store.last_histogram(labels) {
            Some(previous) if previous.reset != CounterReset::Gauge => {
                let same = previous.schema == unknown.schema && previous.zero_threshold == unknown.zero_threshold;
                // Its store begins a new chunk at a reset, and knows nothing of the first one of a chunk.
                if same && !unknown.is_reset_after(previous) {
                    CounterReset::NotReset
                } else {
                    CounterReset::Unknown
                }
            }
            _ => CounterReset::Unknown,
        };
    }
    store.push_histogram(labels, time_ms, histogram);
}

/// The buckets, count and sum of one classic histogram at one time.
#[derive(Default)]
struct Classic {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

fn load_custom(store: &mut Memory, load: &Load) {
    // By name and labels without `le`; label sets are ordered, so that a map of them is.
    let mut found: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for (labels, items) in &load.series {
        let name = labels.name().map_or("", |name| name);
        let Some((base, suffix)) = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).map(|base| (base, *suffix)))
        else {
            continue;
        };
        let bound = match suffix {
            "_bucket" => match labels.get("le").parse::<f64>() {
                Ok(bound) if !bound.is_nan() => bound,
                _ => continue,
            },
            _ => 0.0,
        };
        let pairs: Vec<Label> = labels.pairs().filter(|pair| &*pair.name != "le").cloned().collect();
        let times = found.entry(Labels::new(Some(Arc::from(base)), pairs)).or_default();
        for (index, item) in items.iter().enumerate() {
            let Item::Float(value) = item else { continue };
            let classic = times.entry(index as i64 * load.step_ms).or_default();
            match suffix {
                "_bucket" => classic.buckets.push((bound, *value)),
                "_count" => classic.count = Some(*value),
                _ => classic.sum = *value,
            }
        }
    }
    for (labels, times) in found {
        for (time_ms, classic) in times {
            push(store, &labels, time_ms, custom(classic));
        }
    }
}

fn custom(mut classic: Classic) -> Histogram {
    classic.buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
    let total = classic.buckets.last().map_or(0.0, |last| last.1);
    let count = classic.count.unwrap_or(total);
    if classic.buckets.last().is_none_or(|last| last.0 != f64::INFINITY) {
        classic.buckets.push((f64::INFINITY, count));
    }
    let bounds: Vec<f64> = classic.buckets.iter().map(|bucket| bucket.0).filter(|bound| bound.is_finite()).collect();
    let mut before = 0.0;
    let mut positive = Vec::new();
    for (index, (_, cumulative)) in classic.buckets.iter().enumerate() {
        positive.push(Bin { index: index as i32, count: cumulative - before });
        before = *cumulative;
    }
    positive.retain(|bin| bin.count != 0.0);
    Histogram { schema: CUSTOM, count, sum: classic.sum, positive, bounds: bounds.into(), ..Histogram::default() }
}
