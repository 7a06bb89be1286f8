//! What a look at many processes costs. Run with `cargo test --release --test segments speed -- --ignored --nocapture`.

use crate::file::{Folder, Process};
use ferrometer_core::histogram::Buckets;
use ferrometer_core::reading::Reading;
use ferrometer_core::segment::fold::fold;
use ferrometer_core::segment::record::{Detail, FamilyRecord};
use ferrometer_core::segment::view::View;
use std::time::{Duration, Instant};

const PROCESSES: usize = 32;
const SERIES: usize = 1000;
const BOUNDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, f64::INFINITY];

fn process(folder: &Folder, number: usize) -> Process {
    let mut process = Process::start(&folder.0, 1000 + number as u64, number as f64);
    process.family(FamilyRecord {
        id: 1,
        block: 0,
        generation: 0,
        max_series: 10_000,
        ordinal: 0,
        scope: "default".into(),
        name: "http_request_duration_seconds".into(),
        help: "help".into(),
        unit: String::new(),
        labels: vec!["method".into(), "endpoint".into()],
        detail: Detail::Histogram(BOUNDS.to_vec()),
    });
    for series in 0..SERIES {
        let place = process.series(352, BOUNDS.len(), 1.0);
        process.histogram(place, &BOUNDS, &[0.03, 0.04, 0.2], 0, 2);
        process.tell_of(1, place, 0, format!("endpoint=\"/route/{series}\",method=\"GET\"").as_bytes());
    }
    process
}

fn read(view: &View) -> u64 {
    let (mut total, mut buckets) = (0, Buckets::default());
    for family in view.families("default") {
        family.for_each(&mut |series| {
            series.buckets(&mut buckets);
            total += buckets.counts.iter().sum::<u64>();
        });
    }
    total
}

/// The processor's time that this thread has had: what others take from it is no cost of ours.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

fn best(mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let start = used();
        run();
        used().saturating_sub(start)
    };
    (0..20).map(once).min().unwrap()
}

#[test]
#[ignore = "measures"]
fn a_look_at_many_processes() {
    let folder = Folder::new();
    let processes: Vec<Process> = (0..PROCESSES).map(|number| process(&folder, number)).collect();
    let all = (PROCESSES * SERIES * 3) as u64;
    let mut views = Vec::new();
    let first = best(|| {
        let mut view = View::open(&folder.0).unwrap();
        view.refresh();
        assert_eq!(read(&view), all);
        views = vec![view];
    });
    let view = &mut views[0];
    let warm = best(|| {
        view.refresh();
        assert_eq!(read(view), all);
    });
    let refresh = best(|| view.refresh());
    let snapshots = best(|| {
        for family in view.families("default") {
            family.for_each(&mut |series| assert_eq!(series.snapshot().count(), 96));
        }
    });
    let each = warm / (PROCESSES * SERIES) as u32;
    println!(
        "first {first:?}, warm {warm:?} ({each:?} a source), of which refresh {refresh:?}; snapshots {snapshots:?}"
    );
    let mut processes = processes.into_iter();
    let mut fold_one = || {
        processes.next().unwrap().die();
        let start = Instant::now();
        fold(&folder.0).unwrap();
        let folding = start.elapsed();
        let start = Instant::now();
        view.refresh();
        (folding, start.elapsed())
    };
    println!("one death: fold and refresh {:?}, another {:?}", fold_one(), fold_one());
    processes.for_each(Process::die);
    let start = Instant::now();
    fold(&folder.0).unwrap();
    let folding = start.elapsed();
    view.refresh();
    let after = best(|| {
        view.refresh();
        assert_eq!(read(view), all);
    });
    println!("fold {folding:?}, then {after:?}; files {:?}", folder.files().len());
    assert!(warm < Duration::from_millis(5) && first < Duration::from_millis(30), "slower than it has to be");
}
