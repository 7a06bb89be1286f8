//! What real programs do to processes that share: close descriptors behind their backs, replace the program,
//! run out of addresses. Each test in processes of its own, for a process shares once.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

#[path = "torture/process.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod process;

use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::mode::Mode;
use ferrometer_core::reading::Reading;
use ferrometer_core::registry::Registry;
use ferrometer_core::scrape::Scrape;
use ferrometer_core::segment::fold::fold;
use ferrometer_core::segment::mirror::share;
use ferrometer_core::segment::view::View;
use process::Process;
use std::fs::{self, File, Permissions};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One test at a time: a child has the locks of all files that its parent has open, another test's fold too.
static ONE: Mutex<()> = Mutex::new(());

struct Folder(PathBuf, #[allow(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Folder {
    fn new(name: &str) -> Self {
        let root = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = Folder(root.join(format!("ferrometer-hostile-{name}-{}", std::process::id())), one);
        let _ = fs::remove_dir_all(&folder.0);
        folder
    }

    fn view(&self) -> View {
        let mut view = View::open(&self.0).unwrap();
        view.refresh();
        view
    }

    /// Every series of a counter.
    fn totals(&self, name: &str) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        for family in self.view().families("default").filter(|family| family.definition().name == name) {
            family.for_each(&mut |series| {
                all.push((String::from_utf8(series.text().to_vec()).unwrap(), series.counter().0));
            });
        }
        all.sort();
        all
    }

    fn wait_for(&self, what: &str, seen: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !seen(self) {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn family(registry: &Registry, name: &str, kind: Kind, labels: &[&str]) -> Arc<Family> {
    let definition = Definition {
        name: name.into(),
        help: "help".into(),
        unit: String::new(),
        kind,
        labels: labels.iter().map(|&label| label.into()).collect(),
        max_series: 1_000_000,
    };
    registry.family(definition).unwrap()
}

fn counter(registry: &Registry, name: &str) -> Arc<Family> {
    family(registry, name, Kind::Counter, &["n"])
}

/// As a daemon does: closes what it finds open, and opens files of its own, which get the numbers.
fn take_descriptors(path: &Path) -> Vec<RawFd> {
    let files = || fs::read_dir("/proc/self/fd").unwrap().map(|fd| fd.unwrap().file_name());
    let open: Vec<RawFd> = files().filter_map(|fd| fd.to_str()?.parse().ok()).filter(|&fd| fd > 2).collect();
    for &fd in &open {
        // SAFETY: closes a descriptor, which is what is under test.
        unsafe { libc::close(fd) };
    }
    let file = File::options().read(true).write(true).open(path).unwrap();
    let most = open.iter().copied().max().unwrap_or(0) + 8;
    let mut taken = vec![file.as_raw_fd()];
    while *taken.last().unwrap() < most {
        // SAFETY: duplicates an open descriptor.
        taken.push(unsafe { libc::dup(file.as_raw_fd()) });
    }
    std::mem::forget(file);
    taken
}

fn identity(fd: RawFd) -> Option<(u64, u64)> {
    fs::metadata(format!("/proc/self/fd/{fd}")).ok().map(|about| (about.dev(), about.ino()))
}

/// A daemon that closes all descriptors gives their numbers to files of its own, which are none of ours to write.
#[test]
fn descriptors_that_others_have_by_now_are_left_alone() {
    let folder = Folder::new("closed");
    let precious = folder.0.with_extension("precious");
    let before = vec![0xaa; 4 << 20];
    fs::write(&precious, &before).unwrap();
    Process::start(|| {
        let registry = Registry::with_scope("default");
        let counters = counter(&registry, "c");
        counters.series(&["before"]).unwrap().counter().inc();
        share(&folder.0).unwrap();
        let mut view = folder.view();
        let taken = take_descriptors(&precious);
        let theirs = identity(taken[0]);
        // Enough for many chunks.
        for n in 0..20_000 {
            counters.series(&[&n.to_string()]).unwrap().counter().add_int(3);
        }
        assert!(fs::read(&precious).unwrap() == before, "the application's own file was written to");
        view.refresh();
        assert_eq!(folder.totals("c").len(), 20_001, "what was recorded since the descriptors went is not seen");
        let seen = view.families("default").map(|family| {
            let mut seen = 0;
            family.for_each(&mut |_| seen += 1);
            seen
        });
        assert_eq!(seen.sum::<usize>(), 20_001, "an old view does not see it");
        Process::start(|| {
            counters.series(&["child"]).unwrap().counter().inc();
            let kept = taken.iter().filter(|&&fd| identity(fd) == theirs).count();
            assert_eq!(kept, taken.len(), "a child closed descriptors of the application");
        })
        .wait();
        drop(view);
        let kept = taken.iter().filter(|&&fd| identity(fd) == theirs).count();
        assert_eq!(kept, taken.len(), "descriptors of the application were closed");
    })
    .wait();
    let _ = fs::remove_file(&precious);
}

/// A removal by another process that this one has not heard of yet still counts when the log is written anew.
#[test]
fn a_log_written_anew_brings_nothing_back() {
    let folder = Folder::new("anew");
    Process::start(|| {
        let registry = Registry::with_scope("default");
        let counters = counter(&registry, "c");
        share(&folder.0).unwrap();
        counters.series(&["x"]).unwrap().counter().add_int(10);
        counters.series(&["y"]).unwrap().counter().add_int(1);
        Process::start(|| {
            counters.remove(&["x"]).unwrap();
        })
        .wait();
        let left = [("n=\"y\"".to_owned(), 1)];
        assert_eq!(folder.totals("c"), left);
        let fleeting = counter(&registry, "fleeting");
        for n in 0..4000 {
            fleeting.series(&[&n.to_string()]).unwrap();
            fleeting.forget(&[&n.to_string()]).unwrap();
        }
        assert_eq!(folder.totals("c"), left, "a series that was removed came back");
    })
    .wait();
}

/// A graveyard that cannot be read now may be read again later: its totals are nobody's to overwrite.
#[test]
fn a_graveyard_that_cannot_be_read_is_not_replaced() {
    let folder = Folder::new("graveyard");
    let work = || {
        let registry = Registry::with_scope("default");
        share(&folder.0).unwrap();
        counter(&registry, "c").series(&["x"]).unwrap().counter().inc();
        // What is dropped is removed.
        std::mem::forget(registry);
    };
    Process::start(work).wait();
    fold(&folder.0).unwrap();
    let graveyard = folder.0.join("graveyard.seg");
    assert!(graveyard.exists());
    Process::start(work).wait();
    fs::set_permissions(&graveyard, Permissions::from_mode(0o666)).unwrap();
    assert!(fold(&folder.0).is_err());
    fs::set_permissions(&graveyard, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(folder.totals("c"), [("n=\"x\"".to_owned(), 2)]);
    // Of another version: whoever wrote it will want it.
    let file = File::options().write(true).open(&graveyard).unwrap();
    file.write_all_at(&[2], 8).unwrap();
    assert!(fold(&folder.0).is_err());
    file.write_all_at(&[1], 8).unwrap();
    fold(&folder.0).unwrap();
    assert_eq!(folder.totals("c"), [("n=\"x\"".to_owned(), 2)]);
}

/// A process keeps its number and its start when it becomes another program.
#[test]
fn a_process_that_became_another_program_is_dead() {
    let folder = Folder::new("exec");
    let child = Process::start(|| {
        let registry = Registry::with_scope("default");
        share(&folder.0).unwrap();
        family(&registry, "g", Kind::Gauge(Mode::LiveSum), &[]).series(&[]).unwrap().gauge().set(1.0);
        let error = Command::new("sleep").arg("60").exec();
        panic!("no sleep: {error}");
    });
    folder
        .wait_for("it is not there", |folder| folder.0.is_dir() && folder.view().living() + folder.view().dead() == 1);
    folder.wait_for("another program is taken for the process that was", |folder| folder.view().living() == 0);
    child.kill();
}

/// Whoever never scrapes learns of removals, too: what it counts afterwards is seen.
#[test]
fn a_process_that_never_scrapes_learns_of_removals() {
    let folder = Folder::new("removals");
    Process::start(|| {
        let registry = Registry::with_scope("default");
        let counters = counter(&registry, "c");
        share(&folder.0).unwrap();
        counters.series(&["x"]).unwrap().counter().add_int(10);
        Process::start(|| {
            counters.remove(&["x"]).unwrap();
        })
        .wait();
        assert_eq!(folder.totals("c"), []);
        let end = Instant::now() + Duration::from_secs(10);
        while folder.totals("c").is_empty() {
            assert!(Instant::now() < end, "what is recorded after another process's removal is never seen");
            counters.series(&["x"]).unwrap().counter().inc();
            std::thread::sleep(Duration::from_millis(1));
        }
    })
    .wait();
}

/// Without room for a new log, the old one stays.
#[test]
fn a_log_that_cannot_be_written_anew_stays() {
    let folder = Folder::new("full");
    Process::start(|| {
        let registry = Registry::with_scope("default");
        let counters = counter(&registry, "c");
        share(&folder.0).unwrap();
        counters.series(&["x"]).unwrap().counter().add_int(10);
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: plain numbers, and a signal that is to be an error.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
        }
        let filler = counter(&registry, "filler");
        (0..5000).for_each(|n| drop(filler.series(&[&n.to_string()]).unwrap()));
        let fleeting = counter(&registry, "fleeting");
        for n in 0..10_000 {
            fleeting.series(&[&n.to_string()]).unwrap();
            fleeting.forget(&[&n.to_string()]).unwrap();
        }
        assert_eq!(folder.totals("c"), [("n=\"x\"".to_owned(), 10)], "it went with the old log");
    })
    .wait();
}

/// A family that is in two registries goes when it is in none any more.
#[test]
fn a_family_of_two_registries_stays_until_both_give_it_up() {
    let folder = Folder::new("registries");
    Process::start(|| {
        let (registry, other) = (Registry::with_scope("default"), Registry::new());
        let counters = counter(&registry, "c");
        share(&folder.0).unwrap();
        counters.series(&["x"]).unwrap().counter().inc();
        let seen = [("n=\"x\"".to_owned(), 1)];
        other.adopt(&counters).unwrap();
        assert_eq!(folder.totals("c"), seen);
        assert!(other.unregister(&counters));
        assert_eq!(folder.totals("c"), seen, "it went with the first registry");
        other.adopt(&counters).unwrap();
        assert!(registry.unregister(&counters));
        assert_eq!(folder.totals("c"), seen, "it went with the first registry");
        assert!(other.unregister(&counters));
        assert_eq!(folder.totals("c"), []);
        registry.adopt(&counters).unwrap();
        assert_eq!(folder.totals("c"), seen);
    })
    .wait();
}

/// What a child never touched says nothing: a fork for another program would make every smallest value zero for
/// ever, and every worker of a preloaded application would show zeros for what is set once, before the fork.
#[test]
fn gauges_that_a_child_never_touched_are_not_its_own() {
    let folder = Folder::new("untouched");
    Process::start(|| {
        let registry = Registry::with_scope("default");
        let gauges: Vec<Arc<Family>> = Mode::EVERY
            .into_iter()
            .map(|mode| family(&registry, &format!("g_{}", mode.name()), Kind::Gauge(mode), &[]))
            .collect();
        let states = ["off", "on"].map(str::to_owned);
        let state = family(&registry, "state", Kind::StateSet(states.into()), &[]);
        for gauge in &gauges {
            gauge.series(&[]).unwrap().gauge().set_at(5.0, 7.0);
        }
        state.series(&[]).unwrap().gauge().set_at(1.0, 7.0);
        share(&folder.0).unwrap();
        let shown = |folder: &Folder| {
            let mut shown = Vec::new();
            for family in folder.view().families("default") {
                family.for_each(&mut |series| shown.push((family.definition().name.clone(), series.gauge())));
            }
            shown.sort_by(|left, right| left.partial_cmp(right).unwrap());
            shown
        };
        let before = shown(&folder);
        assert_eq!(before.len(), 11);
        let expected = |name: &str| if name == "state" { 1.0 } else { 5.0 };
        assert_eq!(before, before.iter().map(|(name, _)| (name.clone(), expected(name))).collect::<Vec<_>>());
        Process::start(|| {
            assert_eq!(shown(&folder), before, "beside a child");
            // Zero is a value like any other, and a sum is that of all.
            for gauge in &gauges {
                let cell = gauge.series(&[]).unwrap();
                assert!(cell.gauge().get().is_sign_positive());
                cell.gauge().add(0.0);
            }
            let shown = shown(&folder);
            assert_eq!(shown.len(), 13, "{shown:?}");
            let value = |wanted: &str| shown.iter().find(|(name, _)| name == wanted).unwrap().1;
            assert_eq!((value("g_min"), value("g_livemin"), value("g_all"), value("g_sum")), (0.0, 0.0, 0.0, 5.0));
            for gauge in &gauges {
                gauge.forget_all();
            }
        })
        .wait();
        fold(&folder.0).unwrap();
        Process::start(|| {}).wait();
        fold(&folder.0).unwrap();
        assert_eq!(shown(&folder), before, "after the death of children");
    })
    .wait();
}

/// A script that defines a name otherwise hides what others counted; when it has ended, that is there again.
#[test]
fn totals_outlive_a_fold_beside_another_definition() {
    let folder = Folder::new("definitions");
    let work = |labels: &'static [&'static str], then: fn(&Folder)| {
        let registry = Registry::with_scope("default");
        share(&folder.0).unwrap();
        let series = family(&registry, "c", Kind::Counter, labels).series(&["x"]).unwrap();
        series.counter().inc();
        then(&folder);
        std::mem::forget(registry);
    };
    Process::start(|| work(&["n"], |_| {})).wait();
    fold(&folder.0).unwrap();
    Process::start(|| work(&["n"], |_| {})).wait();
    Process::start(|| {
        work(&["m"], |folder| {
            fold(&folder.0).unwrap();
            assert_eq!(folder.totals("c"), [("m=\"x\"".to_owned(), 1)]);
        });
    })
    .wait();
    Process::start(|| {
        work(&["n"], |folder| {
            fold(&folder.0).unwrap();
            assert_eq!(folder.totals("c"), [("n=\"x\"".to_owned(), 3)]);
        });
    })
    .wait();
}

/// Servers that give up being root after a fork may not look at the directory any more. That is told.
#[test]
fn who_may_not_look_at_the_directory_any_more_says_so() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("only root can become somebody else");
        return;
    }
    let folder = Folder::new("user");
    Process::start(|| {
        let registry = Registry::with_scope("default");
        share(&folder.0).unwrap();
        counter(&registry, "c").series(&["x"]).unwrap().counter().inc();
        let told = || {
            let faults = registry.faults(&Scrape::begin());
            let unreadable = faults.iter().find(|family| family.name == "ferrometer_segments_unreadable");
            unreadable.map(|family| family.samples[0].labels.clone())
        };
        for looked_before in [false, true] {
            if looked_before {
                assert_eq!(told(), None);
            }
            Process::start(|| {
                // SAFETY: becomes somebody else.
                assert_eq!(unsafe { libc::setuid(65534) }, 0);
                assert!(told().is_some_and(|labels| labels.starts_with("reason=")), "{looked_before}: {:?}", told());
            })
            .wait();
        }
    })
    .wait();
}
