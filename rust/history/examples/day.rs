//! A day of traffic on a simulated clock: how many bytes it takes, and how long a look and a query take.
//!
//! `cargo run --release -p ferrometer-history --example day -- [REQUESTS_PER_SECOND] [HOURS] [BUDGET_MIB] [SECONDS]`
//!
//! With a look every 60 SECONDS a whole day is quick; the levels below a minute are then left out of the sum.

#![expect(clippy::cast_sign_loss, reason = "a budget from 0 on")]

mod traffic;

use ferrometer_history::level::Plan;
use ferrometer_history::store::Store;
use ferrometer_promql::{instant, range, Limits};
use std::time::Instant;
use traffic::{Traffic, START};

const ROUTES: usize = 1000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<f64>().expect("a number"));
    let rate = arguments.next().unwrap_or(1000.0);
    let hours = arguments.next().unwrap_or(24.0);
    let budget = arguments.next().unwrap_or(1024.0);
    let every = arguments.next().unwrap_or(1.0) as i64;
    let store = Store::new(Plan { budget: (budget * f64::from(1 << 20)) as usize, ..Plan::default() });
    let mut traffic = Traffic::new(&store, ROUTES, rate);
    let seconds = (hours * 3600.0) as i64 / every;
    for second in 0..seconds {
        traffic.look(&store, START + second * every * 1000, every as f64);
    }
    let looking = traffic.looking;
    let memory = store.lock();
    println!("{ROUTES} routes, {rate} requests/s, {hours} h");
    let mut total = 0;
    for (level, blocks) in store.plan.levels.iter().zip(&memory.levels) {
        if level.step_ms < every * 1000 {
            continue;
        }
        total += blocks.bytes();
        let reach = (blocks.last_ms().saturating_sub(blocks.first_ms())) as f64 / 3.6e6;
        println!(
            "  every {:>3} s: {:>6.2} MiB, {:>5.2} h, {} blocks dropped for the budget",
            level.step_ms / 1000,
            blocks.bytes() as f64 / f64::from(1 << 20),
            if blocks.bytes() > 0 { reach } else { 0.0 },
            blocks.dropped
        );
    }
    println!("  together   {:>6.2} MiB", total as f64 / f64::from(1 << 20));
    println!(
        "  a look     {:>6.3} ms on average, {:.3} % of a core",
        looking / seconds as f64 * 1e3,
        looking / seconds as f64 * 1e2
    );
    drop(memory);
    let end = START + (seconds - 1) * every * 1000;
    let queries = [
        "histogram_quantile(0.99, sum by (le, endpoint) (rate(http_seconds_bucket[5m])))",
        "histogram_quantile(0.99, sum by (endpoint) (rate(http_seconds[5m])))",
        "sum(rate(http_requests_total[5m]))",
    ];
    let limits = Limits { seconds: 300.0, samples: 1 << 40, bytes: 4 << 30, ..Limits::default() };
    for query in queries {
        let mut times = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            if let Err(error) = instant(&store, query, end, &limits) {
                println!("  {query}: {error}");
            }
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!("  instant {:>8.2} ms  {query}", times[2]);
    }
    for query in [queries[0], queries[2]] {
        let begun = Instant::now();
        let step = (seconds * every * 1000 / 300).max(1000);
        if let Err(error) = range(&store, query, START + 300_000, end, step, &limits) {
            println!("  {query}: {error}");
        }
        println!("  300 steps over it {:>8.2} ms  {query}", begun.elapsed().as_secs_f64() * 1e3);
    }
}
