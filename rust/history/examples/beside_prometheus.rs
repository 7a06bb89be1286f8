//! The bytes of a day, the cost of a look, and of a latency quantile beside a real Prometheus 3 that has the very
//! samples which the store shows: processor time of one run, JSON included on both sides. A line of JSON each.
//!
//! `cargo run --release -p ferrometer-history --example beside_prometheus -- [ROUTES]`

#[path = "../../promql/tests/differential/server.rs"]
mod server;
mod traffic;

use ferrometer_history::level::Plan;
use ferrometer_history::store::Store;
use ferrometer_promql::{instant, range, Limits, Matcher, Operation, Samples, Storage};
use std::collections::BTreeMap;
use std::fmt::Write;
use traffic::{Traffic, START};

const QUERY: &str = "histogram_quantile(0.99, sum by (le, endpoint) (rate(http_seconds_bucket[5m])))";

fn main() {
    let routes: usize = std::env::args().nth(1).map_or(1000, |text| text.parse().expect("a number"));
    // The last minutes, by the second.
    let store = Store::new(Plan { budget: 1 << 30, ..Plan::default() });
    let mut traffic = Traffic::new(&store, routes, routes as f64);
    let looks = 400;
    for second in 0..looks {
        traffic.look(&store, START + second * 1000, 1.0);
    }
    let look_ms = traffic.looking / looks as f64 * 1e3;
    println!("{{\"figure\":\"look\",\"routes\":{routes},\"ms\":{look_ms:.4}}}");
    let end = START + (looks - 1) * 1000;
    compare("instant", &store, routes, (end, end, 0), end - 330_000);
    // A day: by the minute, then by ten seconds, then by the second. A twentieth of the routes: Prometheus reads each
    // sample from a text.
    let day = a_day(routes);
    println!("{{\"figure\":\"day\",\"routes\":{routes},\"bytes\":{}}}", day.lock().bytes());
    drop(day);
    let routes = (routes / 20).max(1);
    let (start, end) = (START + 300_000, START + (DAY - 1) * 1000);
    let step = (end - start) / 299 / 1000 * 1000;
    compare("range", &a_day(routes), routes, (end - 299 * step, end, step), START - 1);
}

const DAY: i64 = 24 * 3600;
const HOUR: i64 = 3600;

/// Until the last hour a look a minute shows as much as one a second.
fn a_day(routes: usize) -> Store {
    let store = Store::new(Plan { budget: 1 << 30, ..Plan::default() });
    let mut traffic = Traffic::new(&store, routes, routes as f64);
    let minutes = (60..DAY - HOUR).step_by(60).map(|second| (second, 60.0));
    for (second, since) in minutes.chain((DAY - HOUR..DAY).map(|second| (second, 1.0))) {
        traffic.look(&store, START + second * 1000, since);
    }
    store
}

/// A query of `(start, end, step)`, asked of both; the samples after `from_ms` are in both.
fn compare(name: &str, store: &Store, routes: usize, (start, end, step): (i64, i64, i64), from_ms: i64) {
    let limits = Limits { bytes: 4 << 30, samples: 1 << 40, ..Limits::default() };
    let ask = || {
        let answer =
            if step > 0 { range(store, QUERY, start, end, step, &limits) } else { instant(store, QUERY, end, &limits) };
        answer.expect("an answer").to_json()
    };
    let answer = ask();
    let repeats = if step > 0 { 5 } else { 40 };
    let cpu = cpu_seconds(std::process::id());
    for _ in 0..repeats {
        std::hint::black_box(ask());
    }
    let ours = (cpu_seconds(std::process::id()) - cpu) / f64::from(repeats) * 1e3;
    let mut line = format!("{{\"figure\":\"{name}\",\"routes\":{routes},\"ours_ms\":{ours:.3}");
    if let Some(binaries) = server::binaries() {
        let server = server::Server::start(&binaries, &samples(store, from_ms, end));
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let ask = || {
            if step > 0 {
                let (start, end, step) = (seconds(start), seconds(end), seconds(step));
                let form = [("query", QUERY), ("start", &start), ("end", &end), ("step", &step)];
                server.query("/api/v1/query_range", &form)
            } else {
                server.query("/api/v1/query", &[("query", QUERY), ("time", &seconds(end))])
            }
        };
        let (points, different) = different(&numbers(&answer), &numbers(&ask()));
        assert!(points > 0, "no point at all");
        let repeats = if step > 0 { 3 } else { 20 };
        let cpu = cpu_seconds(server.child.id());
        for _ in 0..repeats {
            std::hint::black_box(ask());
        }
        let theirs = (cpu_seconds(server.child.id()) - cpu) / f64::from(repeats) * 1e3;
        let _ = write!(line, ",\"theirs_ms\":{theirs:.3},\"points\":{points},\"different\":{different}");
    }
    println!("{line}}}");
}

/// The buckets as the store shows them, in `OpenMetrics`.
fn samples(store: &Store, from_ms: i64, end_ms: i64) -> String {
    let named = Matcher::new("__name__", Operation::Equal, "http_seconds_bucket").expect("a matcher");
    let selection = store.select(&[named], from_ms, end_ms).expect("memory");
    let mut text = String::new();
    let mut samples = Samples::default();
    for series in 0..selection.count() {
        samples.floats.clear();
        selection.read(series, from_ms, end_ms, &mut samples).expect("memory");
        let labels = selection.labels(series).to_string().replace("\", ", "\",");
        for point in &samples.floats {
            let _ = writeln!(text, "{labels} {} {}.{:03}", point.value, point.time_ms / 1000, point.time_ms % 1000);
        }
    }
    text.push_str("# EOF\n");
    text
}

type Points = BTreeMap<(String, u64), f64>;

/// All points of an answer by labels and time.
fn numbers(json: &str) -> Points {
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let mut all = BTreeMap::new();
    for row in json["data"]["result"].as_array().expect("rows") {
        let points = row["values"].as_array().cloned().unwrap_or_else(|| vec![row["value"].clone()]);
        for point in points {
            let time = point[0].as_f64().expect("a time").to_bits();
            let value = point[1].as_str().expect("a text").replace("Inf", "inf").parse().expect("a number");
            all.insert((row["metric"].to_string(), time), value);
        }
    }
    all
}

/// How many points there are, and how many of them differ.
fn different(ours: &Points, theirs: &Points) -> (usize, usize) {
    let same = |key: &(String, u64), value: f64| {
        theirs.get(key).is_some_and(|other| {
            value.is_nan() && other.is_nan() || (value - other).abs() <= 1e-9 * value.abs().max(1e-6)
        })
    };
    let missing = theirs.keys().filter(|key| !ours.contains_key(*key)).count();
    (theirs.len(), missing + ours.iter().filter(|(key, value)| !same(key, **value)).count())
}

/// Seconds of processor time that a process has used.
fn cpu_seconds(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    ticks / 100.0
}
