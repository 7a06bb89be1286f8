//! What the store answers without reading every sample, against the same query of all its samples.

#![expect(clippy::cast_possible_wrap, reason = "small counts")]

use ferrometer_history::bins::OFFSET;
use ferrometer_history::level::{Level, Plan};
use ferrometer_history::recorder::Recorder;
use ferrometer_history::store::Store;
use ferrometer_history::track::Shape;
use ferrometer_promql::{
    instant, range, Answer, Labels, Limits, Matcher, Samples, Selection, Storage, StorageError, Value,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const START: i64 = 1_700_000_000_000;

/// The same store without pushdowns.
struct Plain<'s>(&'s Store);

struct PlainSelection<'s>(Box<dyn Selection + 's>);

impl Storage for Plain<'_> {
    fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        after_ms: i64,
        until_ms: i64,
    ) -> Result<Box<dyn Selection + 'a>, StorageError> {
        Ok(Box::new(PlainSelection(self.0.select(matchers, after_ms, until_ms)?)))
    }
}

impl Selection for PlainSelection<'_> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn labels(&self, series: usize) -> Labels {
        self.0.labels(series)
    }

    fn read(&self, series: usize, after_ms: i64, until_ms: i64, into: &mut Samples) -> Result<(), StorageError> {
        self.0.read(series, after_ms, until_ms, into)
    }
}

fn plan() -> Plan {
    let level = |seconds: i64, keep: i64, block_ticks, schema, bins: i64| Level {
        step_ms: seconds * 1000,
        keep_ms: keep * 1000,
        block_ticks,
        schema: Some(schema),
        bins_step_ms: bins * 1000,
        marked_only: false,
    };
    let levels = vec![level(1, 20, 7, 7, 1), level(5, 60, 4, 4, 5), level(20, 1000, 3, 3, 40)];
    Plan { levels, budget: usize::MAX, marks: Vec::new() }
}

/// What a histogram does from one second to the next.
#[derive(Clone, Debug)]
enum Step {
    Stay,
    Observe(Vec<(u32, u32, i8)>),
    Reset,
    Vanish,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Stay),
        // A bin, how often, and what it adds to the sum, which may fall.
        9 => prop::collection::vec((0u32..600, 1u32..9, -1i8..9), 1..4).prop_map(Step::Observe),
        1 => Just(Step::Reset),
        1 => Just(Step::Vanish),
    ]
}

fn record(scripts: &[Vec<Step>]) -> (Store, i64) {
    let store = Store::new(plan());
    let mut recorder = Recorder::new(&store.plan, 0);
    let bounds = Shape::Classic([0.1, 1.0, f64::INFINITY].into());
    let (seconds, jobs): (Arc<str>, Arc<str>) = ("took_seconds".into(), "jobs_total".into());
    let mut state = vec![None::<(BTreeMap<u32, u64>, [u64; 3], f64)>; scripts.len()];
    let length = scripts.iter().map(Vec::len).max().unwrap_or(0);
    for second in 0..length {
        recorder.begin(START + second as i64 * 1000);
        for (index, script) in scripts.iter().enumerate() {
            match script.get(second) {
                None | Some(Step::Vanish) => state[index] = None,
                Some(Step::Stay) => {}
                Some(Step::Reset) => state[index] = Some(Default::default()),
                Some(Step::Observe(all)) => {
                    let (bins, counts, sum) = state[index].get_or_insert_default();
                    for &(bin, count, more) in all {
                        *bins.entry(OFFSET.cast_unsigned() + bin).or_insert(0) += u64::from(count);
                        counts[bin as usize % 3] += u64::from(count);
                        *sum += f64::from(more);
                    }
                }
            }
            let text = format!("i=\"{index}\"");
            if let Some((bins, counts, sum)) = &state[index] {
                let bins: Vec<_> = bins.iter().map(|(&place, &count)| (place, count)).collect();
                recorder.classic(&seconds, &text, &bounds, counts, *sum);
                recorder.bins(&seconds, &text, Some(&bins));
                recorder.scalar(&Shape::Counter, &jobs, &text, counts.iter().sum::<u64>() as f64);
            }
        }
        store.add(&recorder.finish());
    }
    (store, START + (length as i64 - 1) * 1000)
}

/// The numbers of an answer by labels and time.
fn numbers(answer: &Answer) -> BTreeMap<(String, i64), f64> {
    let json: serde_json::Value = serde_json::from_str(&answer.to_json()).expect("JSON");
    let mut all = BTreeMap::new();
    for row in json["data"]["result"].as_array().expect("rows") {
        let points = row["values"].as_array().cloned().unwrap_or_else(|| vec![row["value"].clone()]);
        for point in points {
            let time = (point[0].as_f64().expect("a time") * 1000.0).round() as i64;
            let value = point[1].as_str().expect("a text").replace("Inf", "inf").parse().expect("a number");
            all.insert((row["metric"].to_string(), time), value);
        }
    }
    assert!(matches!(answer.value, Value::Vector(_) | Value::Matrix(_)));
    all
}

fn same(query: &str, left: &Answer, right: &Answer) {
    let (left, right) = (numbers(left), numbers(right));
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>(), "{query}");
    for (key, value) in &left {
        let other = right[key];
        let close = value.to_bits() == other.to_bits()
            || value.is_nan() && other.is_nan()
            || (value - other).abs() <= 1e-9 * value.abs().max(other.abs()).max(1e-3);
        assert!(close, "{query}: {key:?} is {value} and {other}");
    }
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(30), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pushdowns_answer_as_all_samples_do(
        scripts in prop::collection::vec(prop::collection::vec(step(), 70..200), 1..3),
        width in 2i64..150,
        back in 0i64..60,
    ) {
        let (store, last) = record(&scripts);
        let plain = Plain(&store);
        let limits = Limits::default();
        let end = last - back * 1000;
        for query in [
            "histogram_count(rate(took_seconds[W]))",
            "histogram_sum(increase(took_seconds[W]))",
            "histogram_quantile(0.9, rate(took_seconds[W]))",
            "histogram_quantile(0.5, sum(increase(took_seconds[W])))",
            "rate(took_seconds_bucket[W])",
            "increase(took_seconds_sum[W])",
            "rate(took_seconds_count[W])",
            "increase(jobs_total[W])",
            "count_over_time(jobs_total[W])",
        ] {
            let query = query.replace('W', &format!("{width}s"));
            // Later ones find what the earlier ones have remembered of the blocks.
            for end in [end, end - 13_000, last] {
                let [quick, slow] =
                    [&store as &dyn Storage, &plain].map(|storage| instant(storage, &query, end, &limits));
                same(&query, &quick.unwrap(), &slow.unwrap());
            }
            let [quick, slow] = [&store as &dyn Storage, &plain]
                .map(|storage| range(storage, &query, end - 50_000, end, 7000, &limits));
            same(&query, &quick.unwrap(), &slow.unwrap());
        }
    }
}

/// Bins of one histogram are finer in the last minutes than before: that is no reset.
#[test]
fn bins_that_become_finer_are_no_reset() {
    let observe = |second: u32| Step::Observe(vec![(second * 7 % 600, 2, 1)]);
    let (store, last) = record(&[(0..180).map(observe).collect()]);
    for query in ["histogram_count(increase(took_seconds[120s]))", "histogram_count(sum(increase(took_seconds[120s])))"]
    {
        for storage in [&store as &dyn Storage, &Plain(&store)] {
            let answer = instant(storage, query, last, &Limits::default()).unwrap();
            let found: Vec<f64> = numbers(&answer).into_values().collect();
            assert!(found.len() == 1 && (found[0] - 240.0).abs() < 3.0, "{query}: {found:?}");
        }
    }
}
