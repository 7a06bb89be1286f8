//! Expressions drawn at random.

use crate::dataset::Random;

const COUNTERS: &[&str] = &[
    "http_requests_total",
    "http_requests_total{status=~\"5..\"}",
    "http_requests_total{job=\"api\",status!=\"404\"}",
    "http_request_duration_seconds_count",
    "http_request_duration_seconds_bucket",
    "jobs_processed_total",
    "{__name__=~\"job.*_(sum|count)\"}",
];
const GAUGES: &[&str] = &[
    "temperature_celsius",
    "humidity_ratio",
    "up",
    "build_info",
    "special",
    "go_memstats_alloc_bytes",
    "temperature_celsius{room!~\"attic|hall\"}",
    "nothing_is_called_so",
];
const RANGES: &[&str] = &["15s", "30s", "45s", "1m", "97s", "5m", "20m"];
const LABELS: &[&str] = &["job", "instance", "endpoint", "status", "le", "room", "kind", "__name__", "absent"];
const OVER_TIME: &[&str] = &[
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "first_over_time",
    "present_over_time",
    "changes",
    "resets",
    "deriv",
    "delta",
    "idelta",
    "irate",
    "rate",
    "increase",
    "absent_over_time",
];
const ELEMENTWISE: &[&str] =
    &["abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "rad", "deg", "absent", "round"];
/// Of selectors alone, and nothing of them: near a pole, and of large numbers, the last bit grows.
const SENSITIVE: &[&str] =
    &["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "timestamp"];
const AGGREGATORS: &[&str] = &["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"];
const ARITHMETIC: &[&str] = &["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

pub struct Draw<'r>(pub &'r mut Random, pub bool);

/// Their last bit depends on the machine's library or on the order of a sum.
const INEXACT: &[&str] = &[
    "exp",
    "ln",
    "log2",
    "log10",
    "^",
    "atan2",
    "stddev",
    "stdvar",
    "avg",
    "sum",
    "stddev_over_time",
    "stdvar_over_time",
    "avg_over_time",
    "sum_over_time",
    "deriv",
    "rad",
    "deg",
];

impl Draw<'_> {
    /// An expression whose value has a type that a range query takes.
    pub fn expression(&mut self, depth: usize) -> String {
        if self.0.chance(8) {
            return self.scalar(depth);
        }
        // Of equal values any may be among the first, and any may come first: only what is not nested is compared.
        if self.0.chance(6) {
            let name = self.0.pick(&["topk", "bottomk"][..]);
            return format!("{name}{} ({}, {})", self.grouping(), self.0.below(4), self.vector(depth - 1));
        }
        if self.0.chance(6) {
            let names = if self.0.chance(30) { COUNTERS } else { GAUGES };
            return format!("{}({})", self.0.pick(SENSITIVE), self.0.pick(names));
        }
        if self.0.chance(4) {
            return format!("{}({})", self.0.pick(&["sort", "sort_desc"][..]), self.vector(depth - 1));
        }
        self.vector(depth)
    }

    /// One of these, and none that is inexact where that would show: a remainder, a rounding and a label make much of
    /// the last bit.
    fn choose(&mut self, names: &[&'static str]) -> &'static str {
        loop {
            let name = self.0.pick(names);
            if !(self.1 && INEXACT.contains(&name)) {
                return name;
            }
        }
    }

    /// Draws with exact operations only.
    fn exactly(&mut self, depth: usize) -> String {
        let before = std::mem::replace(&mut self.1, true);
        let drawn = self.vector(depth);
        self.1 = before;
        drawn
    }

    fn shift(&mut self) -> String {
        let offset = match self.0.below(12) {
            0 => " offset 1m",
            1 => " offset -45s",
            2 => " offset 7m",
            _ => "",
        };
        let at = match self.0.below(20) {
            0 => " @ end()",
            1 => " @ start()",
            2 => " @ 1700001800.5",
            _ => "",
        };
        format!("{at}{offset}")
    }

    fn selector(&mut self) -> String {
        let names = if self.0.chance(50) { COUNTERS } else { GAUGES };
        self.0.pick(names).to_owned()
    }

    fn matrix(&mut self, depth: usize) -> String {
        if depth > 0 && self.0.chance(25) {
            let inner = self.vector(depth - 1);
            let range = self.0.pick(&["2m", "5m", "10m"][..]);
            let step = self.0.pick(&["", "30s", "1m", "47s"][..]);
            return format!("({inner})[{range}:{step}]{}", self.shift());
        }
        let range = self.0.pick(RANGES);
        format!("{}[{range}]{}", self.selector(), self.shift())
    }

    fn grouping(&mut self) -> String {
        let labels: Vec<&str> = (0..self.0.below(3)).map(|_| self.0.pick(LABELS)).collect();
        match self.0.below(3) {
            0 => String::new(),
            1 => format!(" by ({})", labels.join(", ")),
            _ => format!(" without ({})", labels.join(", ")),
        }
    }

    fn scalar(&mut self, depth: usize) -> String {
        match self.0.below(if depth > 0 { 8 } else { 5 }) {
            0 => "time()".to_owned(),
            1 => "pi()".to_owned(),
            2 => "1e3".to_owned(),
            3 => "-0.5".to_owned(),
            4 => format!("{}", self.0.below(100)),
            5 => format!("scalar({})", self.vector(depth - 1)),
            6 => format!("({} {} {})", self.scalar(depth - 1), self.choose(ARITHMETIC), self.scalar(depth - 1)),
            _ => format!("({} {} bool {})", self.scalar(depth - 1), self.0.pick(COMPARISONS), self.scalar(depth - 1)),
        }
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return if self.0.chance(50) {
                format!("{}{}", self.selector(), self.shift())
            } else {
                format!("{}({})", self.choose(OVER_TIME), self.matrix(0))
            };
        }
        match self.0.below(16) {
            0 | 1 => format!("{}({})", self.choose(OVER_TIME), self.matrix(depth - 1)),
            2 | 3 => {
                let name = self.choose(ELEMENTWISE);
                let steps = matches!(name, "ceil" | "floor" | "sgn" | "round");
                format!("{name}({})", if steps { self.exactly(depth - 1) } else { self.vector(depth - 1) })
            }
            4 | 5 => format!("{}{} ({})", self.choose(AGGREGATORS), self.grouping(), self.vector(depth - 1)),
            6 => {
                let (q, grouping, inner) = (self.quantile(), self.grouping(), self.vector(depth - 1));
                format!("quantile{grouping} ({q}, {inner})")
            }
            7 => format!("quantile_over_time({}, {})", self.quantile(), self.matrix(depth - 1)),
            // Of a subquery pinned by `@` Prometheus gives nothing, which is a fault of its own.
            8 => {
                let (selector, range) = (self.selector(), self.0.pick(RANGES));
                format!("predict_linear({selector}[{range}]{}, {})", self.shift(), self.scalar(0))
            }
            9 => self.histogram(depth),
            10 => {
                let form = self.0.below(3);
                let inner = if form == 2 { self.exactly(depth - 1) } else { self.vector(depth - 1) };
                let label = self.0.pick(LABELS);
                match form {
                    0 => format!("label_replace({inner}, \"new\", \"$1-x\", \"{label}\", \"(.*)[a0].*\")"),
                    1 => format!("label_join({inner}, \"new\", \"/\", \"{label}\", \"job\")"),
                    _ => format!("count_values(\"value\", {inner})"),
                }
            }
            11 => {
                let (low, high) = (self.scalar(0), self.scalar(0));
                match self.0.below(4) {
                    0 => format!("clamp({}, {low}, {high})", self.vector(depth - 1)),
                    1 => format!("clamp_min({}, {low})", self.vector(depth - 1)),
                    2 => format!("clamp_max({}, {high})", self.vector(depth - 1)),
                    _ => format!("round({}, {high})", self.exactly(depth - 1)),
                }
            }
            12 => format!("-{}", self.vector(depth - 1)),
            13 => {
                let (operator, bool_word) = self.operator();
                let (vector, scalar) = (self.operand(operator, depth - 1), self.scalar(0));
                if self.0.chance(50) {
                    format!("({vector} {operator}{bool_word} {scalar})")
                } else {
                    format!("({scalar} {operator}{bool_word} {vector})")
                }
            }
            14 => {
                let set = self.0.pick(&["and", "or", "unless"][..]);
                format!("({} {set}{} {})", self.vector(depth - 1), self.matching(false), self.vector(depth - 1))
            }
            _ => {
                let (operator, bool_word) = self.operator();
                let matching = self.matching(true);
                let (left, right) = (self.operand(operator, depth - 1), self.operand(operator, depth - 1));
                format!("({left} {operator}{bool_word}{matching} {right})")
            }
        }
    }

    fn operand(&mut self, operator: &str, depth: usize) -> String {
        if operator == "%" || COMPARISONS.contains(&operator) {
            return self.exactly(depth);
        }
        self.vector(depth)
    }

    fn operator(&mut self) -> (&'static str, &'static str) {
        if self.0.chance(60) {
            (self.choose(ARITHMETIC), "")
        } else {
            (self.0.pick(COMPARISONS), if self.0.chance(40) { " bool" } else { "" })
        }
    }

    fn matching(&mut self, groups: bool) -> String {
        let first = self.0.pick(LABELS);
        let labels = if self.0.chance(50) { first.to_owned() } else { format!("{first}, {}", self.0.pick(LABELS)) };
        let (word, group) = match self.0.below(6) {
            0 | 1 => return String::new(),
            2 | 3 => ("on", groups && self.0.chance(50)),
            _ => ("ignoring", groups && self.0.chance(50)),
        };
        if !group {
            return format!(" {word} ({labels})");
        }
        let side = self.0.pick(&["group_left", "group_right"][..]);
        format!(" {word} ({labels}) {side} (version)")
    }

    fn quantile(&mut self) -> &'static str {
        self.0.pick(&["0", "0.5", "0.9", "0.99", "1", "1.5", "-1", "NaN"][..])
    }

    fn histogram(&mut self, depth: usize) -> String {
        let range = self.0.pick(RANGES);
        let name = self.0.pick(&["http_request_duration_seconds", "omtx_hub_job_duration_seconds"][..]);
        let buckets = match self.0.below(4) {
            0 => "odd_bucket".to_owned(),
            1 => self.vector(depth - 1),
            2 => format!("rate({name}_bucket[{range}])"),
            _ => format!("sum by (le) (rate({name}_bucket[{range}]))"),
        };
        if self.0.chance(70) {
            format!("histogram_quantile({}, {buckets})", self.quantile())
        } else {
            format!("histogram_fraction({}, 0.3, {buckets})", self.0.pick(&["0", "-Inf", "0.01", "2"][..]))
        }
    }
}
