//! `PromQL` that nobody would write, made of expressions that somebody did, asked of a small store.

use std::time::{Duration, Instant};

use ferrometer_promql::memory::Memory;
use ferrometer_promql::{instant, range, Bin, Histogram, Label, Labels, Limits};

use crate::random::Random;

/// What mutations begin with: the expressions that are compared with a real Prometheus.
const EXPRESSIONS: &str = include_str!("../../promql/tests/differential/expressions.txt");

/// Pieces that mean something.
const PIECES: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[5m]",
    "[5m:1m]",
    " offset 1m",
    " @ end()",
    " by (job)",
    " on (job) group_left ()",
    "-",
    "^",
    "%",
    "</ 0.1",
    ">/ 1",
    " bool ",
    " unless ",
    "NaN",
    "1e309",
    "\"",
    "\\x",
    "'",
    "`",
    "#",
    "\n",
    "0x",
    "5y",
    "histogram_quantile(0.9, ",
    "sum(",
    "rate(",
    "label_replace(",
    ",",
    "=~\"(a|b)*\"",
    "native",
    "é",
    "\0",
    "9e15",
    "step()",
    "count_values(\"v\", ",
];

/// The expressions to begin with.
pub fn seeds() -> Vec<String> {
    EXPRESSIONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// A small store of counters, gauges and native histograms.
pub fn store() -> Memory {
    let mut store = Memory::new();
    let names =
        ["http_requests_total", "up", "temperature_celsius", "http_request_duration_seconds_bucket", "odd_bucket"];
    for (number, name) in names.iter().enumerate() {
        for (index, le) in ["0.1", "1.0", "+Inf"].iter().enumerate() {
            let pairs = [("job", "api"), ("le", le), ("status", "500")];
            let pairs = pairs.map(|(name, value)| Label { name: name.into(), value: value.into() });
            let labels = Labels::new(Some((*name).into()), pairs);
            for at in 0..40_u32 {
                let value = f64::from(at % 13 * (number as u32 + 1)) * (index + 1) as f64;
                store.push(&labels, i64::from(at) * 15_000, if at == 20 { f64::NAN } else { value });
            }
        }
    }
    for (number, schema) in [0, 3, -4].into_iter().enumerate() {
        let labels = Labels::new(Some("native".into()), [Label { name: "n".into(), value: number.to_string().into() }]);
        for at in 0..40_u32 {
            let bins = (-2..3).map(|index| Bin { index: index * 7, count: f64::from(at % 11) }).collect::<Vec<_>>();
            let histogram = Histogram {
                schema,
                count: f64::from(at % 11) * 10.0,
                sum: f64::from(at),
                zero_threshold: 0.001 * f64::from(at % 3),
                positive: bins.clone(),
                negative: bins,
                ..Histogram::default()
            };
            store.push_histogram(&labels, i64::from(at) * 15_000, histogram);
        }
    }
    store
}

/// Changes an expression in a few places.
pub fn mutate(query: &str, random: &mut Random) -> String {
    let mut text: Vec<char> = query.chars().collect();
    for _ in 0..=random.below(4) {
        let at = random.below(text.len() + 1);
        match random.below(5) {
            0 if at < text.len() => {
                text.remove(at);
            }
            1 if at < text.len() => {
                let end = (at + 1 + random.below(12)).min(text.len());
                let part: Vec<char> = text[at..end].to_vec();
                let to = random.below(text.len() + 1);
                text.splice(to..to, part);
            }
            2 if at < text.len() => text[at] = char::from(32 + random.below(95) as u8),
            3 => {
                let end = (at + random.below(20)).min(text.len());
                text.drain(at..end);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                text.splice(at..at, piece.chars());
            }
        }
    }
    text.into_iter().collect()
}

/// Asks a query both ways.
///
/// # Panics
/// The engine fails in a way that is its own fault, or takes far longer than its limit.
pub fn ask(store: &Memory, query: &str) {
    let limits = Limits { seconds: 2.0, bytes: 64 << 20, samples: 1_000_000, ..Limits::default() };
    for answer in [instant(store, query, 400_000, &limits), range(store, query, -60_000, 700_000, 35_000, &limits)] {
        let began = Instant::now();
        match answer {
            Ok(answer) => assert!(!answer.to_json().is_empty(), "no JSON"),
            Err(error) => assert!(!error.message.contains("fault of the engine"), "{query:?}: {error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{query:?} took {:?}", began.elapsed());
    }
}
