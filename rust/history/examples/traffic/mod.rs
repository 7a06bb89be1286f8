//! Traffic on a simulated clock: routes whose popularity is Zipf's, log-normal latencies (sigma 0.5), and all families
//! that the middleware records: a counter by status, a histogram of 15 buckets with its bins, two counters of bytes, a
//! gauge.

#![expect(clippy::cast_sign_loss, reason = "random numbers from 0 on")]
#![allow(dead_code, reason = "each example uses a part of it")]

use ferrometer_history::recorder::Recorder;
use ferrometer_history::store::Store;
use ferrometer_history::track::Shape;
use std::sync::Arc;
use std::time::Instant;

pub const START: i64 = 1_700_000_000_000;
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

fn routes(count: usize, total: f64) -> Vec<Route> {
    let harmonic: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
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
    (1..=count).map(route).collect()
}

/// An application under load.
pub struct Traffic {
    random: Random,
    routes: Vec<Route>,
    recorder: Recorder,
    classic: Shape,
    names: Vec<Arc<str>>,
    /// Seconds that all looks took together.
    pub looking: f64,
}

impl Traffic {
    /// So many routes with so many requests a second together.
    pub fn new(store: &Store, routes_count: usize, requests_per_second: f64) -> Self {
        Traffic {
            random: Random(88_172_645_463_325_252),
            routes: routes(routes_count, requests_per_second),
            recorder: Recorder::new(&store.plan, 0),
            classic: Shape::Classic(BOUNDS.to_vec().into()),
            names: ["requests_total", "seconds", "received_total", "sent_total", "in_flight"]
                .map(|name| format!("http_{name}").into())
                .into(),
            looking: 0.0,
        }
    }

    /// What happened in so many seconds, and the look after them.
    pub fn look(&mut self, store: &Store, time_ms: i64, seconds: f64) {
        let Traffic { random, routes, recorder, classic, names, .. } = self;
        let mut in_flight = 0.0;
        let mut changed = vec![false; routes.len()];
        for (route, changed) in routes.iter_mut().zip(&mut changed) {
            let requests = random.poisson(route.rate * seconds);
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
        recorder.begin(time_ms);
        for route in &*routes {
            recorder.scalar(&Shape::Counter, &names[0], &route.with_status, route.count as f64);
        }
        for (route, changed) in routes.iter().zip(&changed) {
            recorder.classic(&names[1], &route.text, classic, &route.buckets, route.sum);
            let bins: Option<Vec<(u32, u64)>> =
                changed.then(|| route.bins.iter().map(|(&place, &count)| (place, count)).collect());
            recorder.bins(&names[1], &route.text, bins.as_ref());
        }
        for route in &*routes {
            recorder.scalar(&Shape::Counter, &names[2], &route.text, route.received as f64);
        }
        for route in &*routes {
            recorder.scalar(&Shape::Counter, &names[3], &route.text, route.sent as f64);
        }
        recorder.scalar(&Shape::Gauge, &names[4], "", f64::round(in_flight));
        store.add(&recorder.finish());
        self.looking += begun.elapsed().as_secs_f64();
    }
}
