//! A day of traffic on a simulated clock: how many bytes it takes, and how long a look and a query take.
//!
//! `cargo run --release -p ferrometer-history --example day -- [REQUESTS_PER_SECOND] [HOURS] [BUDGET_MIB] [SECONDS]`
//!
//! With a look every 60 SECONDS a whole day is quick; the levels below a minute are then left out of the sum.
//!
//! 1 000 routes whose popularity is Zipf's, log-normal latencies (sigma 0.5), and all families that the middleware
//! records: a counter by status, a histogram of 15 buckets with its bins, two counters of bytes, a gauge.

#![expect(clippy::cast_sign_loss, clippy::too_many_lines, reason = "random numbers from 0 on; a script")]

use ferrometer_history::level::Plan;
use ferrometer_history::recorder::Recorder;
use ferrometer_history::store::Store;
use ferrometer_history::track::Shape;
use ferrometer_promql::{instant, range, Limits};
use std::sync::Arc;
use std::time::Instant;

const START: i64 = 1_700_000_000_000;
const ROUTES: usize = 1000;
const BOUNDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, f64::INFINITY];

struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (self.next().max(1e-300), self.next());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.next(), 0);
        while product > limit {
            product *= self.next();
            count += 1;
        }
        count
    }
}

struct Route {
    text: String,
    with_status: String,
    rate: f64,
    median: f64,
    count: u64,
    sum: f64,
    buckets: [u64; 15],
    bins: std::collections::BTreeMap<u32, u64>,
    received: u64,
    sent: u64,
}

fn routes(total: f64) -> Vec<Route> {
    let harmonic: f64 = (1..=ROUTES).map(|rank| 1.0 / rank as f64).sum();
    let route = |rank: usize| Route {
        text: format!("endpoint=\"/api/v1/resource-{rank}/{{id}}\",method=\"GET\""),
        with_status: format!("endpoint=\"/api/v1/resource-{rank}/{{id}}\",method=\"GET\",status=\"200\""),
        rate: total / harmonic / rank as f64,
        median: 0.005 * 10f64.powf((rank * 7919 % 1000) as f64 / 500.0),
        count: 0,
        sum: 0.0,
        buckets: [0; 15],
        bins: std::collections::BTreeMap::new(),
        received: 0,
        sent: 0,
    };
    (1..=ROUTES).map(route).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<f64>().expect("a number"));
    let rate = arguments.next().unwrap_or(1000.0);
    let hours = arguments.next().unwrap_or(24.0);
    let budget = arguments.next().unwrap_or(1024.0);
    let every = arguments.next().unwrap_or(1.0) as i64;
    let store = Store::new(Plan { budget: (budget * f64::from(1 << 20)) as usize, ..Plan::default() });
    let mut recorder = Recorder::new(&store.plan, 0);
    let (mut random, mut routes) = (Random(88_172_645_463_325_252), routes(rate * every as f64));
    let classic = Shape::Classic(BOUNDS.to_vec().into());
    let names: Vec<Arc<str>> = ["requests_total", "seconds", "received_total", "sent_total", "in_flight"]
        .map(|name| format!("http_{name}").into())
        .into();
    let seconds = (hours * 3600.0) as i64 / every;
    let mut looking = 0.0;
    for second in 0..seconds {
        let mut in_flight = 0.0;
        let mut changed = vec![false; ROUTES];
        for (route, changed) in routes.iter_mut().zip(&mut changed) {
            let requests = random.poisson(route.rate);
            *changed = requests > 0;
            for _ in 0..requests {
                let value = route.median * (0.5 * random.normal()).exp();
                in_flight += value;
                route.sum += value;
                let bucket = BOUNDS.iter().position(|bound| value <= *bound).unwrap_or(14);
                route.buckets[bucket] += 1;
                let index = (value.log2() * 128.0).ceil() as i32 + ferrometer_history::bins::OFFSET;
                *route.bins.entry(index.cast_unsigned()).or_insert(0) += 1;
                route.received += 200 + (random.next() * 800.0) as u64;
                route.sent += 500 + (random.next() * 4000.0) as u64;
            }
            route.count += requests;
        }
        let begun = Instant::now();
        recorder.begin(START + second * every * 1000);
        for route in &routes {
            recorder.scalar(&Shape::Counter, &names[0], &route.with_status, route.count as f64);
        }
        for (route, changed) in routes.iter().zip(&changed) {
            recorder.classic(&names[1], &route.text, &classic, &route.buckets, route.sum);
            let bins: Option<Vec<(u32, u64)>> =
                changed.then(|| route.bins.iter().map(|(&place, &count)| (place, count)).collect());
            recorder.bins(&names[1], &route.text, bins.as_ref());
        }
        for route in &routes {
            recorder.scalar(&Shape::Counter, &names[2], &route.text, route.received as f64);
        }
        for route in &routes {
            recorder.scalar(&Shape::Counter, &names[3], &route.text, route.sent as f64);
        }
        recorder.scalar(&Shape::Gauge, &names[4], "", f64::round(in_flight));
        store.add(&recorder.finish());
        looking += begun.elapsed().as_secs_f64();
    }
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
