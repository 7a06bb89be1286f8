//! Queries that someone sends to see what happens: each is refused, or answered within its limits, and nothing panics.

use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrometer_promql::memory::Memory;
use ferrometer_promql::parse::{parse, selector};
use ferrometer_promql::{instant, range, ErrorKind, Label, Labels, Limits, QueryError};
use proptest::prelude::*;

fn store() -> Memory {
    let mut store = Memory::new();
    for job in 0..20 {
        let pair = Label { name: "job".into(), value: format!("{job}").into() };
        let labels = Labels::new(Some("up".into()), [pair]);
        for index in 0..100 {
            store.push(&labels, index * 15_000, (index * job % 7) as f64);
        }
    }
    store
}

fn refused(query: &str) -> QueryError {
    let began = Instant::now();
    let error = instant(&store(), query, 1_000_000, &Limits::default()).expect_err("it should be refused");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?} for {} bytes", began.elapsed(), query.len());
    error
}

#[test]
fn what_is_too_long_is_refused_before_it_is_parsed() {
    for query in [
        "x".repeat(1_000_000),
        "x+".repeat(500_000),
        "(".repeat(100_000),
        "-".repeat(100_000),
        format!("up{{a=\"{}\"}}", "b".repeat(1 << 20)),
    ] {
        let error = refused(&query);
        assert_eq!(error.kind, ErrorKind::BadData);
        assert!(error.message.contains("bytes, at most"), "{error}");
    }
}

#[test]
fn tokens_and_depth_are_bounded() {
    let sum = format!("up{}", "+up".repeat(300));
    assert!(refused(&sum).message.contains("more than 500 tokens"));
    let sum = format!("up{}", "+up".repeat(240));
    instant(&store(), &sum, 1_000_000, &Limits::default()).expect("a long sum");
    let power = format!("1{}", "^1".repeat(200));
    assert!(refused(&power).message.contains("64 deep"));
    for (open, close) in [("(", ")"), ("-", ""), ("abs(", ")"), ("sum(", ")")] {
        let deep = |depth: usize| format!("{}up{}", open.repeat(depth), close.repeat(depth));
        assert!(refused(&deep(100)).message.contains("64 deep"));
        instant(&store(), &deep(50), 1_000_000, &Limits::default()).expect("fifty levels");
    }
}

#[test]
fn regular_expressions_that_explode_are_refused() {
    for pattern in ["(x{1000}){1000}", "((a{100}){100}){100}", "(?:a{1,1000}){1,1000}"] {
        let error = refused(&format!("up{{job=~\"{pattern}\"}}"));
        assert!(error.message.contains("too large") || error.message.contains("size limit"), "{error}");
    }
    // A string that becomes an expression while it is evaluated.
    let error = refused("label_replace(up, \"a\", \"\", \"job\", \"(y{1000}){1000}\")");
    assert_eq!(error.kind, ErrorKind::Execution);
    assert!(error.message.contains("invalid regular expression in label_replace()"), "{error}");
    // What takes exponential time elsewhere is linear here.
    let query =
        format!("up{{job=~\"(a|a)*b\"}} or label_replace(up, \"x\", \"{}\", \"job\", \"(.*)*\")", "a".repeat(1000));
    instant(&store(), &query, 1_000_000, &Limits::default()).expect("an answer");
}

#[test]
fn steps_and_times_are_bounded() {
    let (store, limits) = (store(), Limits::default());
    let error = range(&store, "up", 0, 1_000_000_000, 1, &limits).expect_err("10^9 steps");
    let words =
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
    assert_eq!((error.kind, &*error.message), (ErrorKind::BadData, words));
    for (start, end, step) in [(0, 10, 0), (0, 10, -1), (10, 0, 1)] {
        assert_eq!(range(&store, "up", start, end, step, &limits).expect_err("no range").kind, ErrorKind::BadData);
    }
    for time in [i64::MIN, i64::MAX, 1 << 60] {
        assert_eq!(instant(&store, "up", time, &limits).expect_err("no time").kind, ErrorKind::BadData);
    }
    instant(&store, "up offset 290y or up @ -9000000000 or rate(up[290y])", -86_400_000, &limits).expect("before 1970");
    let subquery = refused("sum_over_time(up[290y:1ms])");
    assert!(subquery.message.contains("too long"), "{subquery}");
}

#[test]
fn samples_bytes_and_seconds_are_bounded() {
    let store = store();
    let query = "sum_over_time(up[20m])";
    let few = Limits { samples: 100, ..Limits::default() };
    let error = instant(&store, query, 1_000_000, &few).expect_err("too many samples");
    assert_eq!(error.kind, ErrorKind::Execution);
    assert!(error.message.contains("too many samples"), "{error}");
    let small = Limits { bytes: 10_000, ..Limits::default() };
    let error = range(&store, "up * 2", 0, 1_000_000, 1000, &small).expect_err("too many bytes");
    assert!(error.message.contains("10000 bytes"), "{error}");
    let short = Limits { seconds: 0.0, ..Limits::default() };
    let error = instant(&store, query, 1_000_000, &short).expect_err("no time");
    assert_eq!(error.kind, ErrorKind::Timeout);
    let gone = Limits { cancel: Some(Arc::new(AtomicBool::new(true))), ..Limits::default() };
    assert_eq!(instant(&store, query, 1_000_000, &gone).expect_err("canceled").kind, ErrorKind::Canceled);
}

#[test]
fn what_needs_a_feature_flag_is_refused_by_name() {
    let queries = [
        ("double_exponential_smoothing(up[5m], 0.5, 0.5)", "double_exponential_smoothing"),
        ("info(up)", "info"),
        ("limitk(1, up)", "limitk"),
        ("limit_ratio by (job) (0.1, up)", "limit_ratio"),
        ("up smoothed", "smoothed"),
        ("rate(up[5m] anchored)", "anchored"),
        ("up + fill(0) up", "fill"),
        ("up{a=\"b\" or c=\"d\"}", "or"),
        ("sort_by_label(up, \"job\")", "sort_by_label"),
        ("holt_winters(up[5m], 0.5, 0.5)", "holt_winters"),
    ];
    for (query, name) in queries {
        let error = refused(query);
        assert_eq!(error.kind, ErrorKind::BadData, "{query}");
        assert!(error.message.contains(name), "{query}: {error}");
    }
}

#[test]
fn mistakes_have_a_line_and_a_column() {
    assert_eq!(refused("up +\n  foo(1)").message, "2:3: parse error: unknown function with name \"foo\"");
    assert_eq!(refused("").message, "1:1: parse error: no expression found in input");
    assert!(refused("rate(up)").message.starts_with("1:6: parse error: expected type range vector in call"));
    assert!(selector("up{job=\"x\"}").is_ok());
    assert!(selector("up + 1").is_err());
    assert!(selector("up[5m]").is_err());
}

#[test]
fn a_long_label_and_many_series_are_answered() {
    let mut store = Memory::new();
    for index in 0..50_000 {
        let value = if index == 0 { "x".repeat(1 << 20) } else { index.to_string() };
        let pair = Label { name: "label".into(), value: value.into() };
        store.push(&Labels::new(Some("many".into()), [pair]), 0, 1.0);
    }
    let answer =
        instant(&store, "sum(many) + count(count by (label) (many))", 1000, &Limits::default()).expect("a sum");
    assert!(answer.to_json().contains("\"100000\""), "{}", answer.to_json());
}

/// Words and signs of the language in any order, and now and then what is none.
fn soup() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "up",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "[5m]",
        "[5m:1m]",
        "[5m:]",
        "by",
        "on",
        "group_left",
        "ignoring",
        "sum",
        "topk",
        "rate",
        "histogram_quantile",
        "label_replace",
        "offset",
        "@",
        "start()",
        "end()",
        "1",
        "-1",
        "0.5",
        "1e309",
        "0x",
        "NaN",
        "Inf",
        "5m",
        "\"a\"",
        "'b",
        "`c`",
        "job",
        "=",
        "!=",
        "=~",
        "!~",
        "==",
        "<=",
        "</",
        ">/",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "and",
        "or",
        "unless",
        "bool",
        ",",
        ":",
        "#",
        "\n",
        " ",
        "{job=\"1\"}",
        "quantile_over_time(0.5, up[1m])",
        "step()",
        "é",
        "\0",
    ]);
    prop::collection::vec(words, 0..30).prop_map(|words| words.join(" "))
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(3000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![soup(), any::<String>()]) {
        if parse(&text).is_ok() {
            let store = store();
            for result in [
                instant(&store, &text, 700_000, &Limits::default()),
                range(&store, &text, 0, 1_500_000, 100_000, &Limits::default()),
            ] {
                match result {
                    Ok(answer) => prop_assert!(answer.to_json().ends_with('}'), "no JSON"),
                    Err(error) => prop_assert!(!error.message.contains("fault of the engine"), "{text:?}: {error}"),
                }
            }
        }
    }

    #[test]
    fn pushdowns_change_nothing(
        values in prop::collection::vec((0_i64..40, -3.0..100.0_f64), 1..60),
        function in prop::sample::select(vec!["rate", "increase", "count_over_time", "max_over_time", "min_over_time"]),
        width in 1_i64..300,
        step in 1_i64..90,
    ) {
        let mut store = Memory::new();
        let labels = Labels::new(Some("x_total".into()), []);
        let mut time = 0;
        for (gap, value) in values {
            time += gap * 1000 + 1;
            store.push(&labels, time, value);
        }
        let query = format!("{function}(x_total[{width}s])");
        let answers = [false, true].map(|reads_all| {
            store.reads_all = reads_all;
            range(&store, &query, 0, time + 10_000, step * 1000, &Limits::default()).expect("an answer")
        });
        prop_assert_eq!(answers[0].to_json(), answers[1].to_json());
    }
}
