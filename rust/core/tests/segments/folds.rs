//! What becomes of the dead.

use crate::file::{Folder, Place, Process};
use crate::model::shown;
use crate::views::{counter, family, gauge, gauges, open};
use ferrometer_core::mode::Mode;
use ferrometer_core::segment::fold::{fold, fold_by_steps, Folded, Step};
use ferrometer_core::segment::inspect::{inspect, State};
use ferrometer_core::segment::record::Detail;
use ferrometer_core::segment::view::View;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

fn total(view: &View) -> u64 {
    shown(view).values().map(|shown| shown.counter.0).sum()
}

fn worker(folder: &Folder, pid: u64) -> Process {
    let mut process = Process::start(&folder.0, pid, pid as f64);
    process.family(family(1, "default", "c", &[], Detail::Counter));
    counter(&mut process, 1, "", 1);
    process
}

#[test]
fn a_thousand_dead_cost_what_none_costs() {
    let folder = Folder::new();
    let _living = worker(&folder, 1);
    let mut view = open(&folder);
    let mut size = 0;
    for pid in 2..=1000 {
        worker(&folder, pid).die();
        view.refresh();
        assert_eq!(fold(&folder.0).unwrap(), Folded::Done(1));
        view.refresh();
        assert_eq!(total(&view), pid);
        let length = fs::metadata(folder.0.join("graveyard.seg")).unwrap().len();
        // It names the latest 256.
        assert!(pid < 300 || length == size, "{pid}: {size} became {length}");
        size = length;
    }
    assert_eq!(folder.files().len(), 2);
    assert_eq!(total(&open(&folder)), 1000);
    assert_eq!(fold(&folder.0).unwrap(), Folded::Nothing);
}

#[test]
fn more_dead_than_the_graveyard_names_are_folded_once() {
    let folder = Folder::new();
    for pid in 1..=300 {
        worker(&folder, pid).die();
    }
    // Killed before their files were gone: all of them are named.
    let mut unlinked = 0;
    let killed = fold_by_steps(&folder.0, &mut |step| {
        unlinked += usize::from(step == Step::Unlinked);
        unlinked < 2
    });
    assert!(killed.is_err());
    assert_eq!(folder.files().len(), 1 + 298);
    assert_eq!(total(&open(&folder)), 300);
    worker(&folder, 301).die();
    assert_eq!(fold(&folder.0).unwrap(), Folded::Done(1));
    assert_eq!((folder.files().len(), total(&open(&folder))), (1, 301));
}

/// Whoever looks while others die and are folded sees all that was counted before, and nothing twice.
#[test]
fn totals_beside_deaths_and_folds_never_go_backwards() {
    const EACH: u64 = 10;
    let folder = Folder::new();
    let (before, after, looks) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let look = || {
            let mut view = open(&folder);
            while !done.load(SeqCst) {
                let (least, looks) = (after.load(SeqCst), looks.fetch_add(1, SeqCst));
                if looks.is_multiple_of(7) {
                    view = View::open(&folder.0).unwrap();
                }
                view.refresh();
                let seen = total(&view);
                let most = before.load(SeqCst);
                assert!((least..=most).contains(&seen), "{seen} is not between {least} and {most}");
                if looks.is_multiple_of(3) && view.is_fold_due() {
                    fold(&folder.0).unwrap();
                }
            }
        };
        let readers = [scope.spawn(look), scope.spawn(look)];
        let is_watched = || !readers.iter().any(std::thread::ScopedJoinHandle::is_finished);
        let mut workers: Vec<(Process, Place)> = Vec::new();
        for pid in 0..400u64 {
            // Nobody dies unseen.
            while looks.load(SeqCst) < pid && is_watched() {
                std::thread::yield_now();
            }
            if workers.len() == 4 {
                workers.remove((pid % 4) as usize).0.die();
            }
            let mut process = Process::start(&folder.0, pid, pid as f64);
            process.family(family(1, "default", "c", &[], Detail::Counter));
            let place = counter(&mut process, 1, "", 0);
            for count in 1..=EACH {
                before.fetch_add(1, SeqCst);
                process.counter(place, count, 0.0);
                after.fetch_add(1, SeqCst);
            }
            workers.push((process, place));
        }
        done.store(true, SeqCst);
    });
    fold(&folder.0).unwrap();
    assert_eq!(total(&open(&folder)), 400 * EACH);
}

#[test]
fn of_gauges_told_apart_the_last_thirty_two_dead_are_kept() {
    let folder = Folder::new();
    for pid in 100..140 {
        let mut process = Process::start(&folder.0, pid, pid as f64);
        process.family(family(1, "default", "g", &[], Detail::Gauge(Mode::All)));
        gauge(&mut process, 1, "", pid as f64, 1.0);
        process.die();
        if pid % 3 == 0 {
            fold(&folder.0).unwrap();
        }
    }
    fold(&folder.0).unwrap();
    let kept: Vec<f64> = gauges(&open(&folder)).into_iter().map(|(_, value)| value).collect();
    assert_eq!(kept, (108..140).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn files_that_nobody_finished_are_removed_when_they_are_old() {
    let folder = Folder::new();
    let make = |name: &str, age: u64| {
        let file = fs::File::create(folder.0.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    };
    make(".tmp-old", 100);
    make(".tmp-new", 1);
    make("other-old", 100);
    fold(&folder.0).unwrap();
    assert_eq!(folder.files(), [".tmp-new", "other-old"]);
}

#[test]
fn inspection_tells_of_every_file() {
    let folder = Folder::new();
    let mut living = worker(&folder, 1);
    let gone = counter(&mut living, 1, "", 2);
    living.remove(gone.at);
    worker(&folder, 2).die();
    fold(&folder.0).unwrap();
    worker(&folder, 3).die();
    fs::write(folder.0.join("ffffffffffffffffffffffffffffffff.seg"), b"").unwrap();
    fs::write(folder.0.join(".tmp-1"), b"half").unwrap();
    let all = inspect(&folder.0).unwrap();
    let find = |state: State| all.iter().filter(|info| info.state == state).collect::<Vec<_>>();
    assert_eq!(all.len(), 5);
    let [live] = find(State::Live)[..] else { panic!("{all:?}") };
    assert_eq!((live.header.as_ref().unwrap().pid, live.families, live.series, live.removed), (1, 1, 1, 1));
    let [dead] = find(State::Dead)[..] else { panic!("{all:?}") };
    assert_eq!((dead.header.as_ref().unwrap().pid, dead.series), (3, 1));
    let [graveyard] = find(State::Graveyard)[..] else { panic!("{all:?}") };
    assert_eq!((graveyard.file.as_str(), graveyard.folded, graveyard.series), ("graveyard.seg", 1, 1));
    assert_eq!(find(State::Unfinished)[0].bytes, 4);
    assert_eq!(find(State::Unreadable)[0].damage.unwrap().reason(), "empty");
}
