//! What a view makes of several processes: names, definitions, the living and the dead.

use crate::file::{Folder, Place, Process};
use crate::model::{shown, shown_of};
use ferrometer_core::family::{Definition, Kind};
use ferrometer_core::histogram::Layout;
use ferrometer_core::mode::Mode;
use ferrometer_core::reading::Reading;
use ferrometer_core::segment::fold::fold;
use ferrometer_core::segment::record::{Detail, FamilyRecord, Tombstone};
use ferrometer_core::segment::view::View;
use std::time::{Duration, Instant};

pub fn family(id: u32, scope: &str, name: &str, labels: &[&str], detail: Detail) -> FamilyRecord {
    FamilyRecord {
        id,
        block: 0,
        generation: 0,
        max_series: 10,
        ordinal: 0,
        scope: scope.into(),
        name: name.into(),
        help: "help".into(),
        unit: String::new(),
        labels: labels.iter().map(|&label| label.into()).collect(),
        detail,
    }
}

pub fn counter(process: &mut Process, id: u32, text: &str, whole: u64) -> Place {
    let place = process.series(32, 0, 1.0);
    process.counter(place, whole, 0.0);
    process.tell_of(id, place, 0, text.as_bytes());
    place
}

pub fn gauge(process: &mut Process, id: u32, text: &str, value: f64, set: f64) -> Place {
    let place = process.series(32, 0, 1.0);
    process.gauge(place, value, set);
    process.tell_of(id, place, 0, text.as_bytes());
    place
}

pub fn open(folder: &Folder) -> View {
    let mut view = View::open(&folder.0).unwrap();
    view.refresh();
    view
}

/// The names and texts that are shown, and the gauges' values.
pub fn gauges(view: &View) -> Vec<(String, f64)> {
    shown(view).into_iter().map(|((name, text), shown)| (format!("{name}{{{text}}}"), shown.gauge)).collect()
}

fn counters(view: &View) -> Vec<(String, u64)> {
    shown(view).into_iter().map(|((name, text), shown)| (format!("{name}{{{text}}}"), shown.counter.0)).collect()
}

fn same(left: &[(String, f64)], right: &[(&str, f64)]) {
    let right: Vec<(String, f64)> = right.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(left, right);
}

#[test]
fn one_number_of_two_processes_is_told_apart_for_good() {
    let folder = Folder::new();
    let all = || family(1, "default", "g", &["z"], Detail::Gauge(Mode::All));
    let mut first = Process::start(&folder.0, 7, 1.0);
    first.family(all());
    gauge(&mut first, 1, "z=\"a\"", 10.0, 5.0);
    let mut second = Process::start(&folder.0, 7, 2.0);
    second.family(all());
    gauge(&mut second, 1, "z=\"a\"", 20.0, 6.0);
    let other = format!("g{{pid=\"7-{:08x}\",z=\"a\"}}", u32::from_be_bytes(*second.uuid.first_chunk().unwrap()));
    let expected = [("g{pid=\"7\",z=\"a\"}", 10.0), (other.as_str(), 20.0)];
    let mut view = open(&folder);
    same(&gauges(&view), &expected);
    let labels = view.families("default").next().unwrap().definition().labels.clone();
    assert_eq!(labels, ["z", "pid"]);
    // Whoever dies, and whoever looks, they keep their names.
    first.die();
    view.refresh();
    same(&gauges(&view), &expected);
    fold(&folder.0).unwrap();
    view.refresh();
    same(&gauges(&view), &expected);
    same(&gauges(&open(&folder)), &expected);
    second.die();
    fold(&folder.0).unwrap();
    same(&gauges(&open(&folder)), &expected);
    assert_eq!(folder.files(), ["graveyard.seg"]);
}

#[test]
fn a_label_of_their_own_called_pid_tells_processes_apart() {
    let folder = Folder::new();
    for (pid, mode) in [(7, Mode::All), (8, Mode::All)] {
        let mut process = Process::start(&folder.0, pid, pid as f64);
        process.family(family(1, "default", "g", &["pid"], Detail::Gauge(mode)));
        gauge(&mut process, 1, &format!("pid=\"{pid}\""), 1.0, 5.0);
        gauge(&mut process, 1, "pid=\"x\"", pid as f64, 20.0 - pid as f64);
        std::mem::forget(process);
    }
    let view = open(&folder);
    same(&gauges(&view), &[("g{pid=\"7\"}", 1.0), ("g{pid=\"8\"}", 1.0), ("g{pid=\"x\"}", 7.0)]);
}

#[test]
fn live_modes_forget_the_dead() {
    let folder = Folder::new();
    let mut processes = Vec::new();
    for pid in [7, 8] {
        let mut process = Process::start(&folder.0, pid, pid as f64);
        for (id, mode) in (1..).zip([Mode::LiveAll, Mode::LiveSum, Mode::Sum, Mode::LiveMostRecent]) {
            process.family(family(id, "default", mode.name(), &[], Detail::Gauge(mode)));
            gauge(&mut process, id, "", pid as f64, 100.0 - pid as f64);
        }
        processes.push(process);
    }
    let mut view = open(&folder);
    let (first, second) = (("liveall{pid=\"7\"}", 7.0), ("liveall{pid=\"8\"}", 8.0));
    same(&gauges(&view), &[first, second, ("livemostrecent{}", 7.0), ("livesum{}", 15.0), ("sum{}", 15.0)]);
    assert_eq!((view.living(), view.dead(), view.is_fold_due()), (2, 0, false));
    processes.remove(0).die();
    view.refresh();
    assert_eq!((view.living(), view.dead(), view.is_fold_due()), (1, 1, true));
    let one = [second, ("livemostrecent{}", 8.0), ("livesum{}", 8.0), ("sum{}", 15.0)];
    same(&gauges(&view), &one);
    fold(&folder.0).unwrap();
    same(&gauges(&open(&folder)), &one);
    processes.remove(0).die();
    view.refresh();
    same(&gauges(&view), &[("sum{}", 15.0)]);
    fold(&folder.0).unwrap();
    view.refresh();
    same(&gauges(&view), &[("sum{}", 15.0)]);
}

#[test]
fn of_two_definitions_that_of_the_youngest_living_is_shown() {
    let folder = Folder::new();
    let define = |pid: u64, labels: &[&str], text: &str| {
        let mut process = Process::start(&folder.0, pid, pid as f64);
        process.family(family(1, "default", "c", labels, Detail::Counter));
        counter(&mut process, 1, text, pid);
        process
    };
    let old = define(1, &["a"], "a=\"x\"");
    let mut view = open(&folder);
    let fresh = define(2, &["b"], "b=\"x\"");
    let again = define(3, &["a"], "a=\"x\"");
    view.refresh();
    for view in [&view, &open(&folder)] {
        assert_eq!(counters(view), [("c{a=\"x\"}".to_owned(), 4)]);
        assert_eq!(view.conflicts(), ["counter c(b)"]);
    }
    again.die();
    view.refresh();
    for view in [&view, &open(&folder)] {
        assert_eq!(counters(view), [("c{b=\"x\"}".to_owned(), 2)]);
        assert_eq!(view.conflicts(), ["counter c(a)"]);
    }
    // What the living define otherwise is kept for when it is shown again.
    fold(&folder.0).unwrap();
    view.refresh();
    assert_eq!(counters(&view), [("c{b=\"x\"}".to_owned(), 2)]);
    fresh.die();
    view.refresh();
    assert_eq!(counters(&view), [("c{a=\"x\"}".to_owned(), 4)]);
    old.die();
    fold(&folder.0).unwrap();
    assert_eq!(counters(&open(&folder)), [("c{b=\"x\"}".to_owned(), 2)]);
}

#[test]
fn families_of_other_registries_are_those_of_the_same_turn() {
    let folder = Folder::new();
    let mut processes = Vec::new();
    for pid in [1, 2] {
        let mut process = Process::start(&folder.0, pid, pid as f64);
        for (id, ordinal) in [(1, 0), (2, 1)] {
            process.family(FamilyRecord { ordinal, ..family(id, "", "c", &[], Detail::Counter) });
            counter(&mut process, id, "", 10u64.pow(ordinal) * pid);
        }
        process.family(FamilyRecord { ordinal: 1, ..family(3, "", "c", &[], Detail::Histogram(vec![f64::INFINITY])) });
        processes.push(process);
    }
    let view = open(&folder);
    let definition = |kind| Definition {
        name: "c".into(),
        help: String::new(),
        unit: String::new(),
        kind,
        labels: Vec::new(),
        max_series: 1,
    };
    let value = |ordinal| {
        let family = view.find("", &definition(Kind::Counter), ordinal).unwrap();
        shown_of(&family).into_values().map(|shown| shown.counter.0).collect::<Vec<_>>()
    };
    assert_eq!((value(0), value(1)), (vec![3], vec![30]));
    assert!(view.find("", &definition(Kind::Counter), 2).is_none() && view.conflicts().is_empty());
    assert!(view.find("default", &definition(Kind::Counter), 0).is_none());
    let histogram = Kind::Histogram(Layout::new(&[]).unwrap());
    assert!(view.find("", &definition(histogram.clone()), 1).is_some());
    assert!(view.find("", &definition(histogram), 0).is_none());
    assert!(view.find("", &definition(Kind::Gauge(Mode::All)), 0).is_none());
    assert_eq!(view.families("").count(), 3);
    assert_eq!(view.families("default").count(), 0);
}

#[test]
fn the_order_is_that_of_the_first_process_and_faults_add_up() {
    let folder = Folder::new();
    let mut first = Process::start(&folder.0, 1, 1.0);
    let mut second = Process::start(&folder.0, 2, 2.0);
    for (process, names) in [(&mut first, ["b", "a"]), (&mut second, ["c", "a"])] {
        for (id, name) in (1..).zip(names) {
            let block = process.family(family(id, "default", name, &["l"], Detail::Counter));
            process.put(block + 8, &3u64.to_le_bytes());
            process.put(block + 16, &4u64.to_le_bytes());
        }
    }
    counter(&mut second, 2, "l=\"z\"", 1);
    counter(&mut first, 2, "l=\"y\"", 1);
    counter(&mut second, 2, "l=\"y\"", 1);
    let view = open(&folder);
    let names: Vec<String> = view.families("default").map(|family| family.definition().name.clone()).collect();
    assert_eq!(names, ["b", "a", "c"]);
    let faults: Vec<(u64, u64)> = view.families("default").map(|family| family.faults()).collect();
    assert_eq!(faults, [(3, 4), (6, 8), (3, 4)]);
    let mut texts = Vec::new();
    view.families("default").nth(1).unwrap().for_each(&mut |series| texts.push(series.text().to_vec()));
    assert_eq!(texts, [b"l=\"y\"", b"l=\"z\""]);
}

#[test]
fn a_writer_in_the_middle_of_a_change_is_not_waited_for_long() {
    let folder = Folder::new();
    let bounds = [1.0, f64::INFINITY];
    let mut process = Process::start(&folder.0, 1, 1.0);
    process.family(family(1, "default", "h", &["l"], Detail::Histogram(bounds.to_vec())));
    for label in 0..50 {
        let place = process.series(352, 2, 1.0);
        process.histogram(place, &bounds, &[0.5, 2.0, 3.0], 0, 2);
        process.leave_odd(place);
        process.tell_of(1, place, 0, format!("l=\"{label}\"").as_bytes());
    }
    let mut view = open(&folder);
    let start = Instant::now();
    assert!(shown(&view).values().all(|shown| shown.counts == [1, 2]));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    process.die();
    view.refresh();
    let start = Instant::now();
    assert_eq!(shown(&view).len(), 50);
    assert!(start.elapsed() < Duration::from_millis(500), "the dead finish nothing: {:?}", start.elapsed());
}

/// Removals are numbered from one again when the directory was emptied.
#[test]
fn an_emptied_directory_begins_anew() {
    let folder = Folder::new();
    folder.set_epoch(9);
    let mut process = Process::start(&folder.0, 1, 1.0);
    process.family(family(1, "default", "c", &[], Detail::Counter));
    counter(&mut process, 1, "", 5);
    process.bury(Tombstone { stamp: 9, scope: "default".into(), name: "c".into(), text: None });
    let mut view = open(&folder);
    assert_eq!(counters(&view), []);
    drop(process);
    for file in std::fs::read_dir(&folder.0).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    // Without this, the system may give the new file the old one's number.
    std::fs::write(folder.0.join("other"), b"").unwrap();
    folder.set_epoch(0);
    let mut process = Process::start(&folder.0, 1, 2.0);
    process.family(family(1, "default", "c", &[], Detail::Counter));
    counter(&mut process, 1, "", 6);
    view.refresh();
    assert_eq!(counters(&view), [("c{}".to_owned(), 6)]);
}
