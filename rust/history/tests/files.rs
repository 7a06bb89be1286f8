//! The files of a history: what one process wrote, read by others and by its successor, and what happens to them.

#![expect(clippy::cast_sign_loss, reason = "random numbers from 0 on")]

use ferrometer_core::family::{Definition, Kind};
use ferrometer_core::histogram::Layout;
use ferrometer_core::mode::Mode;
use ferrometer_core::registry::{Registry, Visited};
use ferrometer_core::scrape::Scrape;
use ferrometer_history::files::Files;
use ferrometer_history::follower::Follower;
use ferrometer_history::level::Plan;
use ferrometer_history::store::Store;
use ferrometer_history::writer::Writer;
use ferrometer_promql::{instant, Limits, Samples, Storage};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const START: i64 = 1_700_000_000_000;

struct Application {
    registry: Registry,
    seed: u64,
}

impl Application {
    fn new() -> Self {
        Application { registry: Registry::new(), seed: 1 }
    }

    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 40) as f64 / f64::from(1 << 24)
    }

    fn definition(name: &str, kind: Kind) -> Definition {
        Definition {
            name: name.into(),
            help: "What it is".into(),
            unit: String::new(),
            kind,
            labels: vec!["route".into()],
            max_series: 1000,
        }
    }

    /// What happens in a second.
    fn work(&mut self) {
        let layout = Layout::new(&[0.01, 0.05, 0.1, 0.5, f64::INFINITY]).unwrap();
        let requests = self.registry.family(Self::definition("requests", Kind::Counter)).unwrap();
        let seconds = self.registry.family(Self::definition("seconds", Kind::Histogram(layout))).unwrap();
        let busy = self.registry.family(Self::definition("busy", Kind::Gauge(Mode::default()))).unwrap();
        for route in 0..10 {
            let labels = [&*format!("/r{route}")];
            for _ in 0..(self.random() * 30.0 / f64::from(route + 1)) as u32 {
                requests.series(&labels).unwrap().counter().inc();
                let value = (self.random() * 4.0 - 6.0).exp();
                seconds.series(&labels).unwrap().histogram().record(value);
            }
            let value = (self.random() * 10.0).floor();
            busy.series(&labels).unwrap().gauge().set(value);
        }
    }
}

fn look(writer: &mut Writer, application: &Application, time_ms: i64) {
    writer.look(time_ms, &mut |each: &mut dyn FnMut(Visited)| {
        application.registry.visit(&Scrape::begin(), &|_| false, each);
    });
}

/// All samples of all series, in words.
fn told(store: &Store) -> BTreeMap<String, Samples> {
    let selection = store.select(&[], i64::MIN, i64::MAX).unwrap();
    let mut all = BTreeMap::new();
    for series in 0..selection.count() {
        let mut samples = Samples::default();
        selection.read(series, i64::MIN, i64::MAX, &mut samples).unwrap();
        let again = all.insert(format!("{:?}", selection.labels(series)), samples);
        assert!(again.is_none(), "each series once");
    }
    all
}

fn followed(directory: &Path) -> Store {
    let store = Store::new(Plan::default());
    Follower::new(Files::of(directory)).refresh(&store);
    store
}

fn written(directory: &Path, application: &mut Application, from: i64, seconds: i64) -> (Arc<Store>, Writer) {
    let store = Arc::new(Store::new(Plan::default()));
    let files = Files::of(directory);
    files.make().unwrap();
    Follower::new(files.clone()).refresh(&store);
    let mut writer = Writer::new(store.clone(), Some(files));
    for second in 0..seconds {
        application.work();
        look(&mut writer, application, from + second * 1000);
    }
    (store, writer)
}

#[test]
fn followers_see_what_the_writer_sees() {
    let directory = tempfile::tempdir().unwrap();
    let mut application = Application::new();
    let files = Files::of(directory.path());
    files.make().unwrap();
    let store = Arc::new(Store::new(Plan::default()));
    let memory = Arc::new(Store::new(Plan::default()));
    let mut writer = Writer::new(store.clone(), Some(files.clone()));
    let mut alone = Writer::new(memory.clone(), None);
    let (follower, following) = (Follower::new(files), Store::new(Plan::default()));
    for second in 0..700 {
        application.work();
        look(&mut writer, &application, START + second * 1000);
        look(&mut alone, &application, START + second * 1000);
        if second % 97 == 5 {
            follower.refresh(&following);
            assert!(told(&following) == told(&store), "second {second}");
        }
    }
    follower.refresh(&following);
    let all = told(&store);
    assert!(told(&following) == all && told(&followed(directory.path())) == all && told(&memory) == all);
    assert_eq!(all.len(), 10 * (1 + 1 + 5 + 2 + 1));
    assert_eq!(following.lock().about["requests_total"].help, "What it is");
    assert!(following.lock().damage.is_empty());
}

#[test]
fn a_successor_goes_on_where_the_writer_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut application = Application::new();
    let (store, writer) = written(directory.path(), &mut application, START, 100);
    let before = told(&store);
    std::mem::forget(writer); // it writes nothing at its end
                              // A frame of which only a part was written.
    let tail = directory.path().join("history/0.tail");
    let mut bytes = fs::read(&tail).unwrap();
    bytes.extend_from_slice(&[200, 0, 0, 0, 1, 2, 3, 4, 5]);
    fs::write(&tail, bytes).unwrap();
    assert!(told(&followed(directory.path())) == before);
    let (store, _writer) = written(directory.path(), &mut application, START + 102_000, 100);
    let after = told(&store);
    assert!(told(&followed(directory.path())) == after);
    for (series, samples) in &before {
        let now = &after[series];
        // Of the first minutes nothing is missing; finer levels may have let go of some.
        let kept = samples.floats.iter().filter(|point| now.floats.contains(point)).count();
        assert_eq!(kept, samples.floats.len(), "{series}");
    }
}

#[test]
fn damaged_files_are_told_of_and_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut application = Application::new();
    let (_, writer) = written(directory.path(), &mut application, START, 400);
    drop(writer);
    let folder = directory.path().join("history");
    let blocks: Vec<_> = Files::of(directory.path()).blocks().unwrap();
    let of_seconds: Vec<_> = blocks.iter().filter(|(level, ..)| *level == 0).map(|(.., path)| path).collect();
    assert!(of_seconds.len() >= 4, "{blocks:?}");
    let change = |index: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(of_seconds[index]).unwrap();
        change(&mut bytes);
        fs::write(of_seconds[index], bytes).unwrap();
    };
    change(0, &|bytes| bytes[8] = 9);
    change(1, &|bytes| bytes.truncate(bytes.len() / 2));
    change(2, &|bytes| bytes[100] ^= 1);
    fs::write(folder.join("1.tail"), b"something else, longer than sixty-four bytes, which a header is at least")
        .unwrap();
    let store = followed(directory.path());
    let damage: Vec<_> = store.lock().damage.values().copied().collect();
    let all = ["another version of ferrometer wrote it", "it is damaged, or cut off", "it is no history file"];
    assert_eq!(damage.len(), 4);
    assert!(all.iter().all(|words| damage.contains(words)), "{damage:?}");
    assert!(told(&store).len() > 90);
}

/// A reader has the block already, and somebody cuts its file short: what is there is answered, and nobody dies.
#[test]
fn a_file_that_is_cut_short_while_it_is_known_kills_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (_, _writer) = written(directory.path(), &mut Application::new(), START, 200);
    let store = followed(directory.path());
    let whole = told(&store);
    for (.., path) in Files::of(directory.path()).blocks().unwrap() {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(70).unwrap();
    }
    let less = told(&store);
    assert!(!less.is_empty());
    let count = |all: &BTreeMap<String, Samples>| all.values().map(|samples| samples.floats.len()).sum::<usize>();
    assert!(count(&less) < count(&whole));
}

#[test]
fn a_small_budget_costs_the_finest_and_oldest_first() {
    let mut application = Application::new();
    let budget = 150_000;
    let store = Arc::new(Store::new(Plan { budget, ..Plan::default() }));
    let mut writer = Writer::new(store.clone(), None);
    for second in 0..3000 {
        application.work();
        look(&mut writer, &application, START + second * 1000);
    }
    let memory = store.lock();
    let open: usize = memory.levels.iter().map(|blocks| blocks.open.bytes).sum();
    assert!(memory.bytes() <= budget + open, "{} bytes", memory.bytes());
    assert!(memory.levels[0].dropped > 0);
    assert!(memory.levels[2].dropped == 0 && memory.levels[2].first_ms() == START);
}

#[test]
fn a_clock_that_jumps_makes_gaps_and_no_rates() {
    let directory = tempfile::tempdir().unwrap();
    let mut application = Application::new();
    let (store, mut writer) = written(directory.path(), &mut application, START, 100);
    let before = told(&store);
    // An hour ahead for a while, then right again.
    for second in 0..70 {
        application.work();
        look(&mut writer, &application, START + 3_600_000 + second * 1000);
    }
    // A second back is waited for.
    look(&mut writer, &application, START + 3_600_000 + 68_000);
    for second in 0..50 {
        application.work();
        look(&mut writer, &application, START + 100_000 + second * 1000);
    }
    let after = told(&store);
    assert!(told(&followed(directory.path())) == after);
    for (series, samples) in &after {
        assert!(samples.floats.windows(2).all(|two| two[0].time_ms < two[1].time_ms), "{series}");
        assert!(samples.floats.iter().all(|point| point.time_ms <= START + 149_000), "{series}");
        assert!(samples.histograms.iter().all(|point| point.time_ms <= START + 149_000), "{series}");
        if let Some(then) = before.get(series) {
            let minute = then.floats.iter().filter(|point| point.time_ms % 60_000 == 0);
            assert!(minute.clone().all(|point| samples.floats.contains(point)), "{series}");
        }
        // Counters never fall.
        if series.contains("_total") || series.contains("_bucket") {
            assert!(samples.floats.windows(2).all(|two| two[0].value <= two[1].value), "{series}");
        }
    }
}

#[test]
fn clocks_before_1970_and_in_far_years_harm_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut application = Application::new();
    let (store, mut writer) = written(directory.path(), &mut application, START, 30);
    // Far ahead, at the beginning, before it, at the ends of all times; and right again.
    let wrong = [253_402_300_800_000, 0, -86_400_000, i64::MAX / 4, i64::MIN / 4];
    for time_ms in wrong {
        for second in 0..15 {
            application.work();
            look(&mut writer, &application, time_ms + second * 1000);
        }
    }
    for second in 0..30 {
        application.work();
        look(&mut writer, &application, START + 60_000 + second * 1000);
    }
    let after = told(&store);
    assert!(told(&followed(directory.path())) == after);
    let right = |samples: &Samples| samples.floats.iter().filter(|point| point.time_ms >= START + 60_000).count();
    assert!(
        after.iter().any(|(series, samples)| series.contains("requests_total") && right(samples) >= 29),
        "{after:?}"
    );
    for (series, samples) in &after {
        assert!(samples.floats.windows(2).all(|two| two[0].time_ms < two[1].time_ms), "{series}");
        assert!(samples.floats.iter().all(|point| point.time_ms <= START + 89_000), "{series}");
    }
}

#[test]
fn a_label_of_a_megabyte_is_remembered_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut application = Application::new();
    let long = "ü\"\\\n".repeat(1 << 18);
    let jobs = application.registry.family(Application::definition("jobs", Kind::Counter)).unwrap();
    jobs.series(&[&*long]).unwrap().counter().inc();
    let (store, writer) = written(directory.path(), &mut application, START, 20);
    drop(writer);
    for store in [&*store, &followed(directory.path())] {
        let query = "sum(jobs_total) + count(count by (route) (jobs_total))";
        let answer = instant(store, query, START + 19_000, &Limits::default()).unwrap().to_json();
        assert!(answer.contains("\"2\""), "{answer}");
        let whole = instant(store, "jobs_total", START + 19_000, &Limits::default()).unwrap().to_json();
        let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
        assert!(whole["data"]["result"][0]["metric"]["route"] == *long, "another label");
    }
}
