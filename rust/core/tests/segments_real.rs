//! The view of this very process's segment says what the process says of itself, also while it records.
//! One test, for a process shares once.
#![cfg(all(target_os = "linux", not(loom)))]

use ferrometer_core::exemplar::Exemplar;
use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::histogram::{Buckets, Layout};
use ferrometer_core::mode::Mode;
use ferrometer_core::reading::Reading;
use ferrometer_core::registry::Registry;
use ferrometer_core::segment::mirror::share;
use ferrometer_core::segment::record::Tombstone;
use ferrometer_core::segment::view::View;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;

#[path = "segments/file.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod file;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn definition(name: &str, kind: Kind, labels: &[&str]) -> Definition {
    Definition {
        name: name.into(),
        help: "help".into(),
        unit: String::new(),
        kind,
        labels: labels.iter().map(|&label| label.into()).collect(),
        max_series: 3000,
    }
}

/// All that can be read of a family, as text.
fn read(family: &dyn Reading) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    family.for_each(&mut |series| {
        let value = match family.definition().kind {
            Kind::Counter => format!("{:?}", series.counter()),
            Kind::Gauge(_) | Kind::StateSet(_) => format!("{:?}", series.gauge()),
            Kind::Info => format!("{:?}", series.info()),
            Kind::Histogram(_) | Kind::Summary(..) => {
                let (mut buckets, snapshot) = (Buckets::default(), series.snapshot());
                series.buckets(&mut buckets);
                let (tail, range) = (snapshot.tail, (snapshot.min, snapshot.max));
                format!("{buckets:?} {:?} {tail:?} {range:?} {:?}", snapshot.buckets, snapshot.bins)
            }
        };
        let text = String::from_utf8(series.text().to_vec()).unwrap();
        let (created, exemplars) = (series.created(), series.exemplars());
        all.insert(text, format!("{value} since {created:?} {exemplars:?}"));
    });
    all
}

fn same(view: &mut View, families: &[Arc<Family>], when: &str) {
    view.refresh();
    assert_eq!(view.unreadable(), [], "{when}");
    for family in families {
        let definition = family.definition();
        let merged = view.find(family.scope(), definition, family.ordinal()).expect(&definition.name);
        assert_eq!(read(&merged), read(&**family), "{when}: {}", definition.name);
        assert_eq!(merged.faults(), Reading::faults(&**family), "{when}: {}", definition.name);
    }
}

fn record(families: &[Arc<Family>], round: u64) {
    for family in families {
        let values: Vec<String> =
            (0..family.labels().names().len()).map(|l| format!("{}", round % 7 + l as u64)).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let series = family.series(&values).unwrap();
        let value = (round % 100) as f64 / 8.0;
        match family.definition().kind {
            Kind::Counter => {
                series.counter().add(value);
                let labels = [("trace_id".to_owned(), round.to_string())];
                family.exemplars().set(&series, 0, Exemplar::now(&labels, value));
            }
            Kind::Gauge(_) => series.gauge().set_at(value, round as f64),
            Kind::StateSet(_) => series.gauge().set_at((round % 2) as f64, round as f64),
            Kind::Info => series.info().set(format!("build=\"{round}\"")),
            Kind::Histogram(_) | Kind::Summary(..) => {
                for value in [value, 0.0, -value, 1e-200 * value, 1e300] {
                    series.histogram().record(value);
                }
                series.histogram().record_many(0.25, 60_000);
            }
        }
    }
}

#[test]
fn a_process_reads_of_itself_what_it_wrote() {
    let root = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
    let folder = Folder(root.join(format!("ferrometer-real-{}", std::process::id())));
    let registry = Registry::with_scope("default");
    let kinds = [
        ("c", Kind::Counter),
        ("g", Kind::Gauge(Mode::Sum)),
        ("h", Kind::Histogram(Layout::new(&[0.5, 1.0, 10.0]).unwrap())),
        ("s", Kind::Summary(Layout::new(&[]).unwrap(), vec![0.5].into())),
        ("i", Kind::Info),
        ("e", Kind::StateSet(vec!["on".to_owned(), "off".to_owned()].into())),
    ];
    let mut families: Vec<Arc<Family>> = Vec::new();
    for (name, kind) in kinds.clone() {
        families.push(registry.family(definition(name, kind.clone(), &["z", "a"])).unwrap());
        families.push(registry.family(definition(&format!("{name}1"), kind, &[])).unwrap());
    }
    let other = Registry::new();
    families.push(other.family(definition("c", Kind::Counter, &["z", "a"])).unwrap());
    (0..20).for_each(|round| record(&families, round));
    share(&folder.0).unwrap();
    let mut view = View::open(&folder.0).unwrap();
    same(&mut view, &families, "recorded before");
    for (name, kind) in kinds {
        families.push(registry.family(definition(&format!("{name}2"), kind, &["q"])).unwrap());
    }
    for round in 20..60 {
        record(&families, round);
        same(&mut view, &families, "recorded after");
    }
    for family in &families {
        if family.labels().names().len() == 2 {
            family.remove(&["1", "2"]).unwrap();
        } else {
            family.clear();
        }
    }
    same(&mut view, &families, "removed");
    record(&families, 61);
    same(&mut view, &families, "made again");
    same(&mut View::open(&folder.0).unwrap(), &families, "a fresh look");
    let lasting = registry.family(definition("lasting", Kind::Counter, &["n"])).unwrap();
    let fleeting = Kind::Histogram(Layout::new(&[1.0]).unwrap());
    let fleeting = registry.family(definition("fleeting", fleeting, &["n"])).unwrap();
    beside_a_writer(&mut view, &lasting, &fleeting);
    same(&mut view, &[lasting, fleeting.clone()], "afterwards");
    let removed = registry.family(definition("removed", Kind::Counter, &[])).unwrap();
    removed_by_another(&folder.0, &mut view, &removed, &fleeting);
}

/// Beside a writer that makes and removes, so that its log is written anew again and again.
fn beside_a_writer(view: &mut View, lasting: &Family, fleeting: &Family) {
    let all: Vec<_> = (0..500).map(|n| lasting.series(&[&n.to_string()]).unwrap()).collect();
    let (done, least) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..60_000u64 {
                for series in &all {
                    series.counter().inc();
                }
                least.store(round + 1, SeqCst);
                let series = fleeting.series(&[&(round % 50).to_string()]).unwrap();
                series.histogram().record_many(0.5, 70_000);
                if round % 2 == 0 {
                    fleeting.remove(&[&(round % 50).to_string()]).unwrap();
                }
            }
            done.store(true, SeqCst);
        });
        while !done.load(SeqCst) {
            let known = least.load(SeqCst);
            view.refresh();
            let mut seen = 0;
            view.find("default", lasting.definition(), lasting.ordinal()).expect("lasting").for_each(&mut |series| {
                seen += 1;
                assert!(series.counter().0 >= known, "{} is less than {known}", series.counter().0);
            });
            assert_eq!(seen, 500, "a series that is there is not shown");
            if let Some(family) = view.find("default", fleeting.definition(), fleeting.ordinal()) {
                family.for_each(&mut |series| {
                    let mut buckets = Buckets::default();
                    series.buckets(&mut buckets);
                    assert!(buckets.counts[1] == 0 && buckets.counts[0] % 70_000 == 0, "{buckets:?}");
                    series.snapshot().quantile(0.5);
                });
            }
            assert_eq!(view.unreadable(), []);
        }
    });
}

/// Another process removes what this one still has; and this one writes its log anew before it acts upon it.
fn removed_by_another(directory: &Path, view: &mut View, removed: &Family, fleeting: &Family) {
    removed.series(&[]).unwrap().counter().inc();
    let mut another = file::Process::start(directory, 1, 1.0);
    let control = std::fs::OpenOptions::new().read(true).write(true).open(directory.join("control")).unwrap();
    let mut epoch = [0; 8];
    control.read_exact_at(&mut epoch, 64).unwrap();
    let stamp = u64::from_le_bytes(epoch) + 1;
    control.write_all_at(&stamp.to_le_bytes(), 64).unwrap();
    another.bury(Tombstone { stamp, scope: "default".into(), name: "removed".into(), text: None });
    let is_hidden = |view: &mut View| {
        view.refresh();
        let family = view.find("default", removed.definition(), removed.ordinal()).expect("the definition stays");
        read(&family).is_empty()
    };
    assert!(is_hidden(view));
    for _ in 0..100 {
        (0..100).for_each(|n| drop(fleeting.series(&[&format!("{n}")]).unwrap()));
        fleeting.clear();
    }
    assert!(is_hidden(view) && is_hidden(&mut View::open(directory).unwrap()));
}
