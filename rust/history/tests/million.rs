//! An application that makes a million series: the history keeps its budget, and answers or refuses.

use ferrometer_history::api::{Api, ApiLimits, Asked};
use ferrometer_history::history::History;
use ferrometer_history::level::Plan;
use ferrometer_history::recorder::Recorder;
use ferrometer_history::track::Shape;
use ferrometer_promql::{instant, ErrorKind, Limits, Matcher, Operation, Storage};
use std::sync::Arc;

const START: i64 = 1_700_000_000_000;
const SERIES: usize = 1_000_000;

#[test]
fn a_million_series_cost_no_more_than_the_budget_and_are_asked_within_limits() {
    let budget = 1 << 20;
    // A block a tick, so that the budget has something to let go of.
    let mut plan = Plan { budget, ..Plan::default() };
    plan.levels.iter_mut().for_each(|level| level.block_ticks = 1);
    let history = History::new(plan.clone(), None);
    let store = history.store().clone();
    let mut recorder = Recorder::new(&plan, 0);
    let name: Arc<str> = "requests_total".into();
    for second in 0..2 {
        recorder.begin(START + second * 1000);
        let mut text = String::new();
        for series in 0..SERIES {
            use std::fmt::Write;
            text.clear();
            write!(text, "user=\"{series}\"").expect("a string takes all");
            recorder.scalar(&Shape::Counter, &name, &text, (series % 7 + 1) as f64);
        }
        store.add(&recorder.finish());
        if second == 0 {
            // All of them are there at once, whatever they cost.
            let all = Limits { bytes: 1 << 30, ..Limits::default() };
            let answer = instant(&*store, "count(requests_total)", START, &all).expect("an answer").to_json();
            assert!(answer.contains(&format!("\"{SERIES}\"")), "{answer}");
            let one = Matcher::new("user", Operation::Equal, "77").expect("a matcher");
            let named = Matcher::new("__name__", Operation::Equal, "requests_total").expect("a matcher");
            assert_eq!(store.select(&[named, one], START - 1, START).expect("memory").count(), 1);
            // The limits of the API: refused, in words.
            let few = Limits { bytes: 16 << 20, ..Limits::default() };
            let error = instant(&*store, "requests_total", START, &few).expect_err("too much");
            assert_eq!(error.kind, ErrorKind::Execution);
            assert!(error.message.contains("bytes in memory"), "{error}");
            let few = Limits { samples: 1000, ..Limits::default() };
            let error = instant(&*store, "sum(rate(requests_total[5m]))", START, &few).expect_err("too much");
            assert!(error.message.contains("too many samples"), "{error}");
            lists(&history);
        }
    }
    let memory = store.lock();
    let open: usize = memory.levels.iter().map(|blocks| blocks.open.bytes).sum();
    assert!(memory.bytes() <= budget.max(open), "{} bytes, {open} of them in open blocks", memory.bytes());
    assert!(memory.levels[0].dropped > 0, "the oldest went first");
}

/// The lists of series and labels have the limits of queries: refused beyond them, never cut without a word.
fn lists(history: &History) {
    let answer = |limits: ApiLimits, path: &str| {
        let asked = Asked { method: "GET", path, parameters: &[], client: "", now_ms: START };
        Api::new(limits, "").respond(history, &asked)
    };
    let wide = ApiLimits { seconds: 600.0, bytes: 1 << 30, ..ApiLimits::default() };
    let reply = answer(wide.clone(), "label/user/values");
    assert_eq!((reply.status, reply.body.matches(',').count()), (200, SERIES));
    for (limits, status, words) in [
        (ApiLimits { bytes: 16 << 20, ..wide.clone() }, 422, "would hold more than"),
        (ApiLimits { samples: 1000, ..wide.clone() }, 422, "too many samples"),
        (ApiLimits { seconds: 0.001, ..wide }, 503, "timed out"),
    ] {
        let reply = answer(limits, "series");
        assert_eq!(reply.status, status);
        assert!(reply.body.contains(words), "{}", reply.body);
    }
}
