//! The store against what was recorded: random series over some minutes, in levels of seconds.

#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "small counts, and numbers that are whole"
)]

use ferrometer_history::level::{Level, Plan};
use ferrometer_history::recorder::Recorder;
use ferrometer_history::store::Store;
use ferrometer_history::track::Shape;
use ferrometer_promql::sample::is_stale;
use ferrometer_promql::{Extreme, Matcher, Operation, Samples, Storage, Windows};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const START: i64 = 1_700_000_000_000;

fn plan() -> Plan {
    let level = |seconds: i64, keep: i64, block_ticks, schema| Level {
        step_ms: seconds * 1000,
        keep_ms: keep * 1000,
        block_ticks,
        schema,
        bins_step_ms: seconds * 1000,
        marked_only: false,
    };
    let long = Level { marked_only: true, ..level(40, 100_000, 4, None) };
    let levels = vec![level(1, 20, 7, Some(7)), level(5, 60, 4, Some(4)), level(20, 1000, 3, Some(3)), long];
    Plan { levels, budget: usize::MAX, marks: vec!["slo:".into()] }
}

/// What a series does from one second to the next.
#[derive(Clone, Debug)]
enum Step {
    Stay,
    Add(u32),
    Reset(u32),
    Vanish,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Stay),
        8 => (0u32..1000).prop_map(Step::Add),
        1 => (0u32..1000).prop_map(Step::Reset),
        1 => Just(Step::Vanish),
    ]
}

struct Truth {
    /// By series and time.
    values: Vec<BTreeMap<i64, f64>>,
    looks: Vec<i64>,
}

fn play(store: &Store, recorder: &mut Recorder, scripts: &[Vec<Step>], shapes: &[Shape], from: i64) -> Truth {
    let seconds = scripts.iter().map(Vec::len).max().unwrap_or(0);
    let mut state: Vec<Option<f64>> = vec![None; scripts.len()];
    let mut truth = Truth { values: vec![BTreeMap::new(); scripts.len()], looks: Vec::new() };
    for second in 0..seconds as i64 {
        let time = from + second * 1000;
        recorder.begin(time);
        truth.looks.push(time);
        for (index, script) in scripts.iter().enumerate() {
            match script.get(second as usize) {
                None | Some(Step::Vanish) => state[index] = None,
                Some(Step::Stay) => {}
                Some(Step::Add(more)) => *state[index].get_or_insert(0.0) += f64::from(*more),
                Some(Step::Reset(value)) => state[index] = Some(f64::from(*value)),
            }
            if let Some(value) = state[index] {
                let name: Arc<str> = format!("series_{index}").into();
                recorder.scalar(&shapes[index], &name, "a=\"b\"", value);
                truth.values[index].insert(time, value);
            }
        }
        store.add(&recorder.finish());
    }
    truth
}

fn increase(values: impl Iterator<Item = f64>) -> f64 {
    let (mut total, mut before) = (0.0, None);
    for value in values {
        if let Some(before) = before {
            total += if value < before { value } else { value - before };
        }
        before = Some(value);
    }
    total
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// What the store shows of these scripts is what was recorded.
fn check(scripts: &[Vec<Step>], gauges: bool) {
    let store = Store::new(plan());
    let shape = if gauges { Shape::Gauge } else { Shape::Counter };
    let shapes = vec![shape.clone(); scripts.len()];
    let mut recorder = Recorder::new(&store.plan, 0);
    let truth = play(&store, &mut recorder, scripts, &shapes, START);
    let last = *truth.looks.last().unwrap();
    let finest = store.lock().levels[0].first_ms();
    for (index, values) in truth.values.iter().enumerate() {
        let matcher = Matcher::new("__name__", Operation::Equal, format!("series_{index}")).unwrap();
        let selection = store.select(&[matcher], i64::MIN, i64::MAX).unwrap();
        if selection.count() == 0 {
            // Of a life between two ticks of a coarse level only the finer ones know.
            let first = store.lock().levels[2].first_ms();
            assert!(values.range(first..).all(|(time, _)| time % 20_000 != 0));
            assert!(values.range(finest..).next().is_none());
            continue;
        }
        assert_eq!(selection.count(), 1);
        let mut samples = Samples::default();
        selection.read(0, i64::MIN, i64::MAX, &mut samples).unwrap();
        let shown: Vec<_> = samples.floats.iter().filter(|point| !is_stale(point.value)).collect();
        for point in &shown {
            // What a coarse level keeps of a reset may be a moment behind its time.
            let second = point.time_ms.div_euclid(1000) * 1000;
            assert_eq!(values.get(&second).copied(), Some(point.value), "at {}", point.time_ms - START);
        }
        // The finest level shows every look.
        let fine: Vec<_> = shown.iter().filter(|p| p.time_ms >= finest).map(|p| (p.time_ms, p.value)).collect();
        let all: Vec<_> = values.range(finest..).map(|(&time, &value)| (time, value)).collect();
        assert_eq!(fine, all);
        // Stale exactly where it was gone.
        for point in samples.floats.iter().filter(|point| is_stale(point.value)) {
            let next = truth.looks.iter().find(|&&look| look >= point.time_ms).unwrap();
            assert!(!values.contains_key(next), "stale at {}", point.time_ms - START);
        }
        // No total is lost, however coarse.
        if let (Some(first), false) = (shown.first(), gauges) {
            let unbroken = values.range(first.time_ms..).count() as i64 == (last - first.time_ms) / 1000 + 1;
            if unbroken {
                let real = increase(values.range(first.time_ms..).map(|(_, &value)| value));
                assert_eq!(increase(shown.iter().map(|point| point.value)), real);
                let windows = Windows { first_end_ms: last, step_ms: 0, count: 1, width_ms: last - first.time_ms + 1 };
                let mut found = Vec::new();
                assert!(selection.counter_windows(0, &windows, &mut found).unwrap());
                let window = found[0].unwrap();
                assert_eq!(window.last - window.first + window.lost, real);
                assert_eq!(window.count, shown.len() as u64);
            }
        }
        // The extremes of whole steps are those of all looks.
        if let (Some(first), true) = (shown.first(), gauges) {
            let windows = Windows { first_end_ms: last, step_ms: 0, count: 1, width_ms: last - first.time_ms + 1 };
            for (extreme, choose) in [(Extreme::Maximum, f64::max as fn(f64, f64) -> f64), (Extreme::Minimum, f64::min)]
            {
                let mut found = Vec::new();
                assert!(selection.extreme_windows(0, &windows, extreme, &mut found).unwrap());
                // The first sample shown tells the extremes since the tick before it, which is not shown.
                let of = |from: i64| values.range(from..).map(|(_, &value)| value).reduce(choose).unwrap();
                let (real, wider) = (of(first.time_ms), of(first.time_ms - 20_000));
                // Of a life shorter than a step a coarse level need not know.
                let gone = truth.looks.iter().any(|look| *look >= first.time_ms && !values.contains_key(look));
                if !gone {
                    let found = found[0].unwrap();
                    assert!(choose(found, real) == found && choose(found, wider) == wider, "{found}: {real}, {wider}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(40), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_recorded_is_remembered(
        scripts in prop::collection::vec(prop::collection::vec(step(), 90..240), 1..5),
        gauges in any::<bool>(),
    ) {
        check(&scripts, gauges);
    }
}

/// A series that does not change ends, whenever that is, at the look that did not show it any more: not at the last
/// time that a coarse level had to be told something.
#[test]
fn a_quiet_series_ends_where_it_vanished() {
    for gone_at in 1..130 {
        let mut script = vec![Step::Add(5)];
        script.resize(gone_at, Step::Stay);
        script.push(Step::Vanish);
        script.resize(140, Step::Stay);
        let returns: Vec<Step> = script.iter().cloned().chain([Step::Add(7)]).collect();
        let lives = vec![Step::Add(1); 240];
        for gauges in [false, true] {
            check(&[script.clone(), returns.clone(), lives.clone()], gauges);
        }
    }
}

/// A gauge's moment of greatness is remembered whichever second it was, also where one level takes over from another.
#[test]
fn no_spike_is_lost_between_two_levels() {
    for seconds in [150, 163, 171, 200] {
        for spike in 0..seconds {
            let mut script = vec![Step::Reset(1); seconds];
            script[spike] = Step::Reset(1000);
            check(&[script], true);
        }
    }
}
