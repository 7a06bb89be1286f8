//! The samples that both are asked about.

use std::fmt::Write;
use std::sync::Arc;

use ferrometer_promql::memory::Memory;
use ferrometer_promql::{Label, Labels};

/// The first sample's time; no multiple of a minute.
pub const START_MS: i64 = 1_700_000_007_250;
/// From one sample to the next.
pub const STEP_MS: i64 = 15_000;
/// How many.
pub const COUNT: i64 = 240;

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Samples in both forms.
pub struct Dataset {
    pub store: Memory,
    pub text: String,
    random: Random,
    drawn: Vec<(Labels, Vec<(i64, f64)>)>,
}

/// What a series does.
#[derive(Clone, Copy)]
enum Shape {
    Counter,
    Gauge,
    Constant(f64),
    /// Cumulative buckets: the total and the share of this one.
    Bucket(f64),
}

impl Dataset {
    pub fn new() -> Self {
        let mut set = Self { store: Memory::new(), text: String::new(), random: Random(7), drawn: Vec::new() };
        set.requests();
        set.histograms();
        set.gauges();
        // In Prometheus's order of series, so that sums are taken in the same order.
        set.drawn.sort_by(|left, right| left.0.cmp(&right.0));
        for (series, samples) in &set.drawn {
            for (time, value) in samples {
                set.store.push(series, *time, *value);
            }
        }
        set.text.push_str("# EOF\n");
        set
    }

    fn requests(&mut self) {
        for job in ["api", "web"] {
            for instance in ["a:80", "b:80"] {
                for endpoint in ["/", "/v1/chat", "/v1/{id}"] {
                    for status in ["200", "404", "500", "503"] {
                        let labels = [("job", job), ("instance", instance), ("endpoint", endpoint), ("status", status)];
                        self.add("http_requests_total", &labels, Shape::Counter);
                    }
                }
                self.add("up", &[("job", job), ("instance", instance)], Shape::Constant(1.0));
                let version = if instance == "a:80" { "1.0" } else { "1.1" };
                let info = [("job", job), ("instance", instance), ("version", version)];
                self.add("build_info", &info, Shape::Constant(1.0));
            }
        }
        for status in ["completed", "failed"] {
            self.add("jobs_processed_total", &[("status", status)], Shape::Counter);
            self.add("job_processing_duration_seconds_sum", &[("status", status)], Shape::Counter);
            self.add("job_processing_duration_seconds_count", &[("status", status)], Shape::Counter);
        }
    }

    fn histograms(&mut self) {
        for name in ["http_request_duration_seconds", "omtx_hub_job_duration_seconds"] {
            for endpoint in ["/", "/v1/chat"] {
                let seed = self.random.next();
                let bounds = ["0.005", "0.05", "0.25", "1.0", "5.0", "+Inf"];
                for (index, bound) in bounds.iter().enumerate() {
                    // Each bucket is drawn from the same numbers, so that they are cumulative.
                    self.random = Random(seed);
                    let share = ((index + 1) as f64 / bounds.len() as f64).powi(2);
                    let labels = [("endpoint", endpoint), ("le", *bound)];
                    self.add(&format!("{name}_bucket"), &labels, Shape::Bucket(share));
                }
                self.add(&format!("{name}_sum"), &[("endpoint", endpoint)], Shape::Counter);
                self.random = Random(seed);
                self.add(&format!("{name}_count"), &[("endpoint", endpoint)], Shape::Bucket(1.0));
            }
        }
        // Not monotonic, and one that lacks its last bucket.
        for (bound, value) in [("1.0", 10.0), ("2.0", 8.0), ("+Inf", 12.0)] {
            self.add("odd_bucket", &[("le", bound), ("kind", "shrinks")], Shape::Constant(value));
        }
        for (bound, value) in [("1.0", 10.0), ("2.0", 12.0)] {
            self.add("odd_bucket", &[("le", bound), ("kind", "ends")], Shape::Constant(value));
        }
    }

    fn gauges(&mut self) {
        for room in ["attic", "cellar", "hall", "kitchen"] {
            self.add("temperature_celsius", &[("room", room)], Shape::Gauge);
            self.add("humidity_ratio", &[("room", room)], Shape::Gauge);
        }
        self.add("go_memstats_alloc_bytes", &[], Shape::Gauge);
        self.add("go_memstats_sys_bytes", &[], Shape::Constant(400.0));
        for (kind, value) in [("nan", f64::NAN), ("inf", f64::INFINITY), ("minus", f64::NEG_INFINITY)] {
            self.add("special", &[("kind", kind)], Shape::Constant(value));
        }
        self.add("special", &[("kind", "huge")], Shape::Constant(1e300));
        self.add("special", &[("kind", "tiny")], Shape::Constant(-1e-300));
    }

    fn add(&mut self, name: &str, labels: &[(&str, &str)], shape: Shape) {
        let pairs = labels.iter().map(|(name, value)| Label { name: (*name).into(), value: (*value).into() });
        let series = Labels::new(Some(Arc::from(name)), pairs);
        let mut total = 0.0;
        let mut samples = Vec::new();
        let gap = self.random.below(400) as i64;
        for index in 0..COUNT {
            let (drawn, part) = (self.random.next(), self.random.next() % 1000);
            let jitter = if index % 3 == 0 { (drawn % 400) as i64 } else { 0 };
            let value = match shape {
                Shape::Constant(value) => value,
                Shape::Counter | Shape::Bucket(_) => {
                    total = if drawn % 97 == 0 { 0.0 } else { total + (part / 7) as f64 };
                    match shape {
                        Shape::Bucket(part) => (total * part).floor(),
                        _ => total,
                    }
                }
                Shape::Gauge if drawn % 61 == 0 => f64::NAN,
                Shape::Gauge => (part as f64 - 400.0) / 8.0,
            };
            // A gap longer than the lookback, in some.
            let missing = (gap..gap + 30).contains(&index) || drawn % 53 == 1;
            if missing && !matches!(shape, Shape::Bucket(_)) {
                continue;
            }
            let time = START_MS + index * STEP_MS + jitter;
            samples.push((time, value));
            let value = ferrometer_promql::number::sample(value);
            let _ = write!(self.text, "{name}{{");
            for (index, (name, value)) in labels.iter().enumerate() {
                let _ = write!(self.text, "{}{name}=\"{value}\"", if index > 0 { "," } else { "" });
            }
            let _ = writeln!(self.text, "}} {value} {}.{:03}", time / 1000, time % 1000);
        }
        self.drawn.push((series, samples));
    }
}
