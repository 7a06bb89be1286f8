//! Folds that are really killed. In a program of its own: a child has the locks of all files that are open in
//! its parent, and would keep the dead of other tests alive.
#![cfg(all(target_os = "linux", not(loom)))]

#[path = "segments/file.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod file;

use ferrometer_core::reading::Reading;
use ferrometer_core::segment::fold::{fold, fold_by_steps, Step};
use ferrometer_core::segment::record::{Detail, FamilyRecord};
use ferrometer_core::segment::view::View;
use file::{Folder, Process};

fn worker(folder: &Folder, pid: u64) -> Process {
    let mut process = Process::start(&folder.0, pid, pid as f64);
    process.family(FamilyRecord {
        id: 1,
        block: 0,
        generation: 0,
        max_series: 10,
        ordinal: 0,
        scope: "default".into(),
        name: "c".into(),
        help: String::new(),
        unit: String::new(),
        labels: Vec::new(),
        detail: Detail::Counter,
    });
    let place = process.series(32, 0, 1.0);
    process.counter(place, 1, 0.0);
    process.tell_of(1, place, 0, b"");
    process
}

fn open(folder: &Folder) -> View {
    let mut view = View::open(&folder.0).unwrap();
    view.refresh();
    view
}

fn total(view: &View) -> u64 {
    let mut total = 0;
    for family in view.families("default") {
        family.for_each(&mut |series| total += series.counter().0);
    }
    total
}

#[test]
fn a_fold_killed_at_any_step_counts_everything_once() {
    for step in [Step::Locked, Step::Half, Step::Written, Step::Renamed, Step::Unlinked] {
        let folder = Folder::new();
        let _living = worker(&folder, 1);
        let mut view = open(&folder);
        for round in 1..4u64 {
            worker(&folder, 10 * round).die();
            worker(&folder, 10 * round + 1).die();
            // SAFETY: the child does nothing but the fold, and leaves without cleaning up.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let _ = fold_by_steps(&folder.0, &mut |now| {
                    if now == step {
                        // SAFETY: a signal to ourselves.
                        unsafe { libc::raise(libc::SIGKILL) };
                    }
                    true
                });
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: waits for our own child.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert!(libc::WIFSIGNALED(status), "it was not killed at {step:?}");
            view.refresh();
            assert_eq!((total(&view), total(&open(&folder))), (1 + 2 * round, 1 + 2 * round), "{step:?}");
        }
        fold(&folder.0).unwrap();
        view.refresh();
        assert_eq!((total(&view), total(&open(&folder))), (7, 7));
        let left = folder.files().into_iter().filter(|name| !name.starts_with(".tmp-")).count();
        assert_eq!(left, 2, "{step:?}");
    }
}
