//! The same samples in a real Prometheus 3, the same expressions asked of both: the answers are equal to 1e-9.
//!
//! `make real-prometheus3` builds the server and runs this; without it the test says so and passes.
//! `PROMQL_CASES` is the number of drawn expressions, `PROMQL_SEED` the first seed.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "small numbers")]

#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/dataset.rs"]
mod dataset;
#[path = "differential/draw.rs"]
mod draw;
#[path = "differential/server.rs"]
mod server;

use dataset::{Dataset, Random, COUNT, START_MS, STEP_MS};
use ferrometer_promql::{instant, range, Limits};

const EXPRESSIONS: &str = include_str!("differential/expressions.txt");

struct Both {
    server: server::Server,
    set: Dataset,
    asked: usize,
    failed: usize,
    different: Vec<String>,
}

impl Both {
    fn instant(&mut self, query: &str, time_ms: i64) {
        let time = seconds(time_ms);
        let theirs = self.server.query("/api/v1/query", &[("query", query), ("time", &time)]);
        let ours = instant(&self.set.store, query, time_ms, &Limits::default());
        let ours = ours.map_or_else(|error| error.to_json(), |answer| answer.to_json());
        self.compare(query, &format!("at {time}"), &ours, &theirs);
    }

    fn range(&mut self, query: &str, start_ms: i64, end_ms: i64, step_ms: i64) {
        let [start, end, step] = [start_ms, end_ms, step_ms].map(seconds);
        let parameters = [("query", query), ("start", &*start), ("end", &*end), ("step", &*step)];
        let theirs = self.server.query("/api/v1/query_range", &parameters);
        let ours = range(&self.set.store, query, start_ms, end_ms, step_ms, &Limits::default());
        let ours = ours.map_or_else(|error| error.to_json(), |answer| answer.to_json());
        self.compare(query, &format!("from {start} to {end} by {step}"), &ours, &theirs);
    }

    fn compare(&mut self, query: &str, when: &str, ours: &str, theirs: &str) {
        self.asked += 1;
        self.failed += usize::from(theirs.contains("\"status\":\"error\""));
        if let Err(words) = compare::equal(query, ours, theirs) {
            let cut = |text: &str| text.chars().take(600).collect::<String>();
            self.different.push(format!(
                "{query}\n  {when}: {words}\n  ours   {}\n  theirs {}",
                cut(ours),
                cut(theirs)
            ));
        }
    }

    fn all(&mut self, query: &str) {
        let middle = START_MS + COUNT / 2 * STEP_MS;
        // On a sample, between two, on a whole minute, before the first and after the last.
        for time in
            [middle, middle + 7_001, middle / 60_000 * 60_000, START_MS - 1000, START_MS + (COUNT + 10) * STEP_MS]
        {
            self.instant(query, time);
        }
        self.range(query, middle - 1_200_000, middle + 600_000, 60_000);
        self.range(query, START_MS - 120_000, START_MS + 1_800_000, 47_000);
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[test]
fn answers_are_those_of_prometheus_3() {
    let Some(binaries) = server::binaries() else { return };
    let set = Dataset::new();
    let server = server::Server::start(&binaries, &set.text);
    let mut both = Both { server, set, asked: 0, failed: 0, different: Vec::new() };
    let listed = EXPRESSIONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    listed.for_each(|query| both.all(query));
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (cases, seed) = (number("PROMQL_CASES", 600), number("PROMQL_SEED", 1));
    for case in 0..cases {
        let mut random = Random(seed.wrapping_add(case).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let query = draw::Draw(&mut random, false).expression(1 + (case % 4) as usize);
        let middle = START_MS + COUNT / 2 * STEP_MS;
        both.instant(&query, middle + (random.below(200) as i64 - 100) * 5_000);
        let start = middle - random.below(1_000_000) as i64;
        both.range(&query, start, start + 600_000, [15_000, 30_000, 61_000][random.below(3)]);
    }
    let Both { asked, failed, different, .. } = both;
    println!("differential: {asked} questions, {failed} of them refused by both, {} answers differ", different.len());
    let shown: Vec<&String> = different.iter().take(40).collect();
    assert!(different.is_empty(), "{} of {asked} answers differ:\n{shown:#?}", different.len());
}
