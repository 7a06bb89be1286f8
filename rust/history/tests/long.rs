//! The level of marked series on a simulated clock: 35 days by five minutes, over deploys, kills and clocks.

#![expect(clippy::float_cmp, reason = "numbers that are whole")]

use ferrometer_core::registry::{Computed, Sample, Value, Visited};
use ferrometer_history::files::Files;
use ferrometer_history::follower::Follower;
use ferrometer_history::level::{Plan, LONG};
use ferrometer_history::store::Store;
use ferrometer_history::writer::Writer;
use ferrometer_promql::{instant, Answer, Limits, SampleValue};
use std::path::Path;
use std::sync::Arc;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// A whole day, so that steps of five minutes and the looks of this test agree.
const START: i64 = 1_700_006_400_000 - 1_700_006_400_000 % DAY;

/// What the rules made at a time: a marked gauge by hour of day, a marked counter, and one that nobody marked.
fn results(time_ms: i64) -> Vec<Computed> {
    let family = |name: &str, kind: &str, suffix: &str, value: f64| Computed {
        name: name.into(),
        help: "A rule's".into(),
        kind: kind.into(),
        samples: vec![Sample { suffix: suffix.into(), labels: "slo=\"api\"".into(), value: Value::Float(value) }],
    };
    vec![
        family("slo:ratio:rate5m", "gauge", "", hour_of(time_ms)),
        family("slo:good", "counter", "_total", ((time_ms - START) / MINUTE) as f64),
        family("job:unmarked", "gauge", "", 1.0),
    ]
}

fn hour_of(time_ms: i64) -> f64 {
    (time_ms.rem_euclid(DAY) / (60 * MINUTE)) as f64
}

fn process(directory: &Path) -> (Arc<Store>, Writer) {
    let store = Arc::new(Store::new(Plan::default()));
    let files = Files::of(directory);
    files.make().expect("a folder of its own");
    Follower::new(files.clone()).refresh(&store);
    let writer = Writer::new(store.clone(), Some(files));
    (store, writer)
}

fn look(writer: &mut Writer, time_ms: i64) {
    let results = results(time_ms);
    writer.look(time_ms, &mut |each: &mut dyn FnMut(Visited)| {
        for family in &results {
            each(Visited::Computed(family));
        }
    });
}

fn only(store: &Store, query: &str, time_ms: i64) -> f64 {
    let limits = Limits { bytes: 1 << 30, ..Limits::default() };
    let Answer { value, .. } = instant(store, query, time_ms, &limits).expect("an answer");
    match value {
        ferrometer_promql::Value::Vector(samples) if samples.len() == 1 => match samples[0].value {
            SampleValue::Float(value) => value,
            SampleValue::Histogram(_) => panic!("no histogram"),
        },
        ferrometer_promql::Value::Vector(samples) if samples.is_empty() => f64::NAN,
        other => panic!("one sample, not {other:?}"),
    }
}

#[test]
fn marked_series_are_there_for_35_days_over_restarts_and_kills() {
    let directory = tempfile::tempdir().expect("a folder");
    let mut now = START;
    let mut deploys = 0;
    // 40 days: a look every five minutes, a new process after some days, every other one killed in its tracks.
    let end = START + 40 * DAY;
    while now < end {
        let (store, mut writer) = process(directory.path());
        let until = (now + 3 * DAY + 7 * 5 * MINUTE).min(end);
        while now < until {
            look(&mut writer, now);
            now += 5 * MINUTE;
        }
        assert!(store.lock().damage.is_empty());
        deploys += 1;
        if deploys % 2 == 0 {
            std::mem::forget(writer); // killed: it writes nothing at its end
        }
    }
    assert!(deploys > 10, "{deploys} processes");
    let last = now - 5 * MINUTE;
    let (store, _writer) = process(directory.path());
    assert!(store.lock().damage.is_empty());

    // 35 days of samples, one every five minutes, none twice and none missing.
    let samples = 35.0 * 288.0;
    assert_eq!(only(&store, "count_over_time(slo:ratio:rate5m[35d])", last), samples);
    // A mean over all hours of the day is that of whole days; a baseline by hour of day finds what was then.
    assert_eq!(only(&store, "avg_over_time(slo:ratio:rate5m[35d])", last), 11.5);
    for days in [1, 7, 28, 34] {
        let query = format!("slo:ratio:rate5m offset {days}d");
        assert_eq!(only(&store, &query, last - 40 * MINUTE), hour_of(last - 40 * MINUTE), "{query}");
    }
    assert_eq!(only(&store, "max_over_time(slo:ratio:rate5m[30d])", last), 23.0);
    // A budget of 30 days: a restart of the process is no reset of a counter that went on.
    let minutes = only(&store, "increase(slo:good_total[30d])", last);
    assert!((minutes - 30.0 * 1440.0).abs() < 1e-6, "{minutes}");

    // What nobody marked is there for a day.
    let unmarked = only(&store, "count_over_time(job:unmarked[35d])", last);
    assert!((288.0..288.0 * 1.3).contains(&unmarked), "{unmarked} samples");
    let memory = store.lock();
    let long = &memory.levels[LONG];
    assert!(long.first_ms() <= last - 35 * DAY + 5 * MINUTE && long.first_ms() > last - 38 * DAY);
    assert!(long.bytes() < 3 * 80_000, "{} bytes of three series", long.bytes());
}
