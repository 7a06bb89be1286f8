//! The naive twin: what several processes' series say together, from lists of all that ever happened.

use ferrometer_core::exemplar::Exemplar;
use ferrometer_core::histogram::{Buckets, Histogram, Layout, Snapshot};
use ferrometer_core::labels::Labels;
use ferrometer_core::mode::Mode;
use ferrometer_core::reading::Reading;
use ferrometer_core::segment::record::Detail;
use ferrometer_core::segment::view::View;
use std::collections::BTreeMap;

/// A series of one process.
#[derive(Clone, Debug)]
pub struct ModelSeries {
    pub stamp: u64,
    pub created: f64,
    pub whole: u64,
    pub fraction: f64,
    /// A gauge's value, or a state.
    pub value: f64,
    pub set: f64,
    pub info: Option<String>,
    /// What a histogram recorded, held events included.
    pub values: Vec<f64>,
    pub exemplar: Option<(usize, Exemplar)>,
}

/// A process.
#[derive(Clone, Debug)]
pub struct ModelProcess {
    pub pid: u64,
    pub alive: bool,
    /// By family, then by label values.
    pub families: BTreeMap<usize, BTreeMap<Vec<String>, ModelSeries>>,
}

/// A definition that processes may have.
#[derive(Clone, Debug)]
pub struct ModelFamily {
    pub name: String,
    pub labels: Vec<String>,
    pub detail: Detail,
}

/// What is shown of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub created: f64,
    pub counter: (u64, f64),
    pub gauge: f64,
    pub info: Option<String>,
    pub counts: Vec<u64>,
    pub sum: f64,
    pub range: (f64, f64),
    pub tail: (u64, u64, u64),
    pub bins: Vec<(u64, Vec<u64>)>,
    pub exemplars: Vec<Option<Exemplar>>,
}

fn empty() -> Shown {
    Shown {
        created: 0.0,
        counter: (0, 0.0),
        gauge: 0.0,
        info: None,
        counts: Vec::new(),
        sum: 0.0,
        range: (0.0, 0.0),
        tail: (0, 0, 0),
        bins: Vec::new(),
        exemplars: Vec::new(),
    }
}

fn show(shown: &mut Shown, buckets: Buckets, snapshot: &Snapshot) {
    assert_eq!(buckets, snapshot.buckets);
    shown.sum = buckets.sum;
    shown.counts = buckets.counts;
    shown.range = (snapshot.min, snapshot.max);
    shown.tail = (snapshot.tail.below, snapshot.tail.zero, snapshot.tail.above);
    shown.bins = snapshot.bins.iter().map(|(&exponent, bins)| (exponent, bins.to_vec())).collect();
}

/// What the view shows in the default registry, by name and label text.
pub fn shown(view: &View) -> BTreeMap<(String, String), Shown> {
    let mut all = BTreeMap::new();
    for family in view.families("default") {
        all.extend(shown_of(&family));
    }
    all
}

/// What is shown of a family.
pub fn shown_of(family: &dyn Reading) -> BTreeMap<(String, String), Shown> {
    let mut all = BTreeMap::new();
    let definition = family.definition();
    family.for_each(&mut |series| {
        let mut shown = empty();
        shown.created = series.created();
        match definition.kind.name() {
            "counter" => shown.counter = series.counter(),
            "gauge" | "stateset" => shown.gauge = series.gauge(),
            "info" => shown.info = series.info(),
            _ => {
                let mut buckets = Buckets { counts: vec![99; 3], sum: 99.0 };
                series.buckets(&mut buckets);
                show(&mut shown, buckets, &series.snapshot());
            }
        }
        shown.exemplars = series.exemplars();
        let text = String::from_utf8(series.text().to_vec()).unwrap();
        let names: Vec<&str> = definition.labels.iter().map(String::as_str).collect();
        let mut again = Vec::new();
        let values = family.labels().values(series.text());
        Labels::new(&names).render(&values.iter().map(String::as_str).collect::<Vec<_>>(), &mut again);
        assert_eq!(again, series.text());
        assert!(all.insert((definition.name.clone(), text), shown).is_none(), "a series is shown twice");
    });
    all
}

/// What is to be shown of these processes, when `hidden` tells what was removed.
pub fn expected(
    families: &[ModelFamily],
    processes: &[ModelProcess],
    hidden: impl Fn(usize, &[String], u64) -> bool,
) -> BTreeMap<(String, String), Shown> {
    let mut all: BTreeMap<(usize, Vec<String>), Vec<&ModelSeries>> = BTreeMap::new();
    for process in processes {
        for (&family, series) in &process.families {
            for (values, series) in series {
                if hidden(family, values, series.stamp) {
                    continue;
                }
                let mut key = values.clone();
                if let Detail::Gauge(mode) = families[family].detail {
                    if mode.is_live() && !process.alive {
                        continue;
                    }
                    if mode.is_per_process() {
                        key.push(process.pid.to_string());
                    }
                }
                all.entry((family, key)).or_default().push(series);
            }
        }
    }
    let merged = all.into_iter().map(|((family, values), series)| {
        let family = &families[family];
        let mut names: Vec<&str> = family.labels.iter().map(String::as_str).collect();
        if values.len() > names.len() {
            names.push("pid");
        }
        let mut text = Vec::new();
        Labels::new(&names).render(&values.iter().map(String::as_str).collect::<Vec<_>>(), &mut text);
        ((family.name.clone(), String::from_utf8(text).unwrap()), merge(&family.detail, &series))
    });
    merged.collect()
}

fn merge(detail: &Detail, all: &[&ModelSeries]) -> Shown {
    let latest = all.iter().max_by(|left, right| left.set.total_cmp(&right.set)).unwrap();
    let values = || all.iter().map(|series| series.value);
    let mut shown = empty();
    shown.created = all.iter().map(|series| series.created).fold(f64::INFINITY, f64::min);
    match detail {
        Detail::Counter => {
            shown.counter = (all.iter().map(|s| s.whole).sum(), all.iter().map(|s| s.fraction).sum());
        }
        Detail::Gauge(Mode::Sum | Mode::LiveSum) => shown.gauge = values().sum(),
        Detail::Gauge(Mode::Min | Mode::LiveMin) => shown.gauge = values().fold(f64::INFINITY, f64::min),
        Detail::Gauge(Mode::Max | Mode::LiveMax) => shown.gauge = values().fold(f64::NEG_INFINITY, f64::max),
        Detail::Gauge(_) | Detail::StateSet(_) => shown.gauge = latest.value,
        Detail::Info => {
            let latest = all.iter().filter(|s| s.info.is_some()).max_by(|l, r| l.set.total_cmp(&r.set));
            shown.info = latest.and_then(|series| series.info.clone());
        }
        Detail::Histogram(_) | Detail::Summary(_) => {
            let bounds = if let Detail::Histogram(bounds) = detail { &bounds[..] } else { &[] };
            let histogram = Histogram::new(Layout::new(bounds).unwrap());
            for value in all.iter().flat_map(|series| &series.values) {
                assert!(histogram.record(*value));
            }
            let mut buckets = Buckets::default();
            histogram.read_buckets(&mut buckets);
            show(&mut shown, buckets, &histogram.snapshot());
        }
    }
    let slots = if let Detail::Histogram(bounds) = detail { bounds.len() } else { 1 };
    for (slot, exemplar) in all.iter().filter_map(|series| series.exemplar.as_ref()) {
        shown.exemplars.resize(slots, None);
        let known = shown.exemplars[*slot].as_ref().map_or(0.0, |known| known.timestamp);
        if exemplar.timestamp > known {
            shown.exemplars[*slot] = Some(exemplar.clone());
        }
    }
    shown
}

/// Compares, and shows no more than what differs.
pub fn compare(ours: &BTreeMap<(String, String), Shown>, expected: &BTreeMap<(String, String), Shown>, who: &str) {
    for key in ours.keys().chain(expected.keys()) {
        assert_eq!(ours.get(key), expected.get(key), "{who}: {key:?}");
    }
}
