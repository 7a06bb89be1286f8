//! What a latency quantile of many routes costs, here and in a real Prometheus 3 on the same samples: processor time
//! per query, all of it, JSON included on both sides.
//!
//! `cargo bench -p ferrometer-promql` after `make real-prometheus3`; without the server only this side is printed.

#[path = "../tests/differential/server.rs"]
mod server;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use ferrometer_promql::memory::Memory;
use ferrometer_promql::{instant, range, Answer, Label, Labels, Limits};

const QUERY: &str = "histogram_quantile(0.99, sum by (le, endpoint) (rate(http_request_duration_seconds_bucket[5m])))";
const BOUNDS: [&str; 15] = [
    "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0", "+Inf",
];
const START_MS: i64 = 1_700_000_000_000;

fn main() {
    for (routes, step_ms, count, steps) in [(1000, 15_000, 40, 1), (1000, 1000, 400, 1), (250, 60_000, 1440, 300)] {
        measure(routes, step_ms, count, steps);
    }
}

fn measure(routes: usize, step_ms: i64, count: i64, steps: i64) {
    let with_server = server::binaries();
    let (store, text) = samples(routes, step_ms, count, with_server.is_some());
    let end_ms = START_MS + (count - 1) * step_ms;
    let grid_ms = if steps > 1 { (count - 6) * step_ms / (steps - 1) / 1000 * 1000 } else { 0 };
    let start_ms = end_ms - grid_ms * (steps - 1);
    let ask = || {
        let limits = Limits { bytes: 1 << 30, ..Limits::default() };
        let answer: Answer = if steps > 1 {
            range(&store, QUERY, start_ms, end_ms, grid_ms, &limits).expect("an answer")
        } else {
            instant(&store, QUERY, end_ms, &limits).expect("an answer")
        };
        answer.to_json().len()
    };
    let bytes = ask();
    let repeats = if steps > 1 { 5 } else { 100 };
    let (began, cpu) = (Instant::now(), cpu_seconds(std::process::id()));
    for _ in 0..repeats {
        std::hint::black_box(ask());
    }
    let ours = (cpu_seconds(std::process::id()) - cpu) / f64::from(repeats);
    let wall = began.elapsed().as_secs_f64() / f64::from(repeats);
    let every = step_ms / 1000;
    println!(
        "{routes} routes x {} buckets, a sample every {every} s, {steps} step(s), {bytes} bytes of JSON",
        BOUNDS.len()
    );
    println!("  here         {:9.3} ms CPU {:9.3} ms wall", ours * 1e3, wall * 1e3);
    let Some(binaries) = with_server else { return };
    let server = server::Server::start(&binaries, &text);
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let ask = || {
        if steps > 1 {
            let (start, end, step) = (seconds(start_ms), seconds(end_ms), seconds(grid_ms));
            server.query("/api/v1/query_range", &[("query", QUERY), ("start", &start), ("end", &end), ("step", &step)])
        } else {
            server.query("/api/v1/query", &[("query", QUERY), ("time", &seconds(end_ms))])
        }
    };
    let first = ask();
    assert!(first.contains("\"status\":\"success\""), "{}", &first[..first.len().min(300)]);
    let repeats = if steps > 1 { 3 } else { 20 };
    let (began, cpu) = (Instant::now(), cpu_seconds(server.child.id()));
    for _ in 0..repeats {
        std::hint::black_box(ask());
    }
    let theirs = (cpu_seconds(server.child.id()) - cpu) / f64::from(repeats);
    let wall = began.elapsed().as_secs_f64() / f64::from(repeats);
    println!("  Prometheus 3 {:9.3} ms CPU {:9.3} ms wall: {:.1} x the CPU", theirs * 1e3, wall * 1e3, theirs / ours);
}

fn samples(routes: usize, step_ms: i64, count: i64, with_text: bool) -> (Memory, String) {
    let (mut store, mut text) = (Memory::new(), String::new());
    let name: Arc<str> = "http_request_duration_seconds_bucket".into();
    let intern = |text: &str| -> Arc<str> { text.into() };
    let names = ["endpoint", "le"].map(intern);
    let bounds = BOUNDS.map(intern);
    for route in 0..routes {
        let endpoint = format!("/v1/items/{route}");
        let value: Arc<str> = endpoint.as_str().into();
        for (index, bound) in BOUNDS.iter().enumerate() {
            let pairs = [(&names[0], &value), (&names[1], &bounds[index])];
            let pairs = pairs.map(|(name, value)| Label { name: Arc::clone(name), value: Arc::clone(value) });
            let labels = Labels::new(Some(Arc::clone(&name)), pairs);
            let rate = (1 + route % 10) as f64 * (index + 1) as f64;
            for at in 0..count {
                let (time, value) = (START_MS + at * step_ms, (at as f64 * rate).floor());
                store.push(&labels, time, value);
                if with_text {
                    let seconds = time / 1000;
                    let _ = writeln!(text, "{name}{{endpoint=\"{endpoint}\",le=\"{bound}\"}} {value} {seconds}");
                }
            }
        }
    }
    text.push_str("# EOF\n");
    (store, text)
}

/// Seconds of processor time that a process has used.
fn cpu_seconds(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum();
    ticks / 100.0
}
