//! Requests that someone sends to see what happens: any path with any parameters has an answer in JSON or words.

use ferrometer_history::api::{Api, ApiLimits, Asked};
use ferrometer_history::history::History;
use ferrometer_history::level::Plan;
use ferrometer_history::recorder::Recorder;
use ferrometer_history::track::Shape;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use std::sync::LazyLock;

const NOW: i64 = 1_700_000_000_000;

static HISTORY: LazyLock<History> = LazyLock::new(|| {
    let plan = Plan::default();
    let history = History::new(plan.clone(), None);
    let mut recorder = Recorder::new(&plan, 0);
    for second in 0..20 {
        recorder.begin(NOW + second * 1000);
        for user in 0..20 {
            recorder.scalar(&Shape::Counter, &"requests_total".into(), &format!("user=\"{user}\""), 1.0);
        }
        history.store().add(&recorder.finish());
    }
    history
});

fn path() -> impl Strategy<Value = String> {
    let known = [
        "query",
        "query_range",
        "series",
        "labels",
        "label/user/values",
        "label/U__a_2e_b/values",
        "label/%zz/values",
        "label//values",
        "batch",
        "metadata",
        "targets",
        "status/buildinfo",
        "rules",
        "alerts",
        "",
    ];
    prop_oneof![8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn parameter() -> impl Strategy<Value = (String, String)> {
    let names = [
        "query",
        "time",
        "start",
        "end",
        "step",
        "timeout",
        "limit",
        "match[]",
        "lookback_delta",
        "histogram_schema",
        "metric",
        "get",
    ];
    let values = [
        "requests_total",
        "sum(rate(requests_total[10s]))",
        "{}",
        "{user=~\".+\"}",
        "NaN",
        "-Inf",
        "1e300",
        "-1",
        "0",
        "1",
        "1700000010",
        "1700000000.5",
        "-99999999999",
        "1ms",
        "5m",
        "292y",
        "2023-11-14T22:13:30Z",
        "",
        "9223372036854775807",
        "series?match[]=requests_total",
        "batch?get=labels",
        "(",
        "\u{0}",
    ];
    let value = prop_oneof![8 => prop::sample::select(values.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    let any = (prop::sample::select(names.to_vec()).prop_map(str::to_owned), value);
    let right = [
        ("query", "requests_total"),
        ("query", "sum by (user) (rate(requests_total[10s]))"),
        ("time", "1700000010"),
        ("start", "1700000000"),
        ("end", "1700000019"),
        ("step", "5"),
        ("match[]", "requests_total{user=~\"1.\"}"),
        ("get", "series?match[]=requests_total"),
    ];
    let right = prop::sample::select(right.to_vec()).prop_map(|(name, value)| (name.to_owned(), value.to_owned()));
    prop_oneof![4 => right, 1 => any]
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn every_request_has_an_answer() {
    let api = Api::new(ApiLimits { seconds: 5.0, ..ApiLimits::default() }, "shop");
    let mut runner =
        TestRunner::new(ProptestConfig { cases: cases(1000), failure_persistence: None, ..Default::default() });
    let requests = (
        path(),
        prop::collection::vec(parameter(), 0..8),
        prop::sample::select(vec!["GET", "GET", "GET", "POST", "HEAD"]),
    );
    let with_samples = Cell::new(0);
    let done = runner.run(&requests, |(path, parameters, method)| {
        let asked = Asked { method, path: &path, parameters: &parameters, client: "", now_ms: NOW };
        let reply = api.respond(&HISTORY, &asked);
        if reply.media_type == "application/json" {
            let answer: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
            let status = if reply.status == 200 { "success" } else { "error" };
            prop_assert_eq!(&answer["status"], status);
            prop_assert!([200, 400, 422, 503].contains(&reply.status));
            with_samples.set(with_samples.get() + u32::from(reply.status == 200 && reply.body.contains("\"user\"")));
        } else {
            prop_assert!([404, 405].contains(&reply.status), "{} {}", reply.status, reply.body);
        }
        Ok(())
    });
    done.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(with_samples.get() >= cases(1000) / 100, "{} of the requests reached a series", with_samples.get());
}
