//! Real forks beside threads that scrape and that drop the last reference to removed series: the child
//! must find every lock free and every reader gone.
#![cfg(all(unix, not(loom), not(miri)))]

use ferrometer_core::encode::text::{encode, Format};
use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::fork;
use ferrometer_core::histogram::Layout;
use ferrometer_core::registry::Registry;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod posix {
    use std::ffi::c_int;
    extern "C" {
        pub fn fork() -> c_int;
        pub fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
        pub fn kill(pid: c_int, signal: c_int) -> c_int;
        pub fn _exit(status: c_int) -> !;
    }
    pub const WNOHANG: c_int = 1;
    pub const SIGKILL: c_int = 9;
}

fn families(registry: &Registry) -> Vec<Arc<Family>> {
    let layout = Layout::new(&[0.1, 1.0]).unwrap();
    let kinds = [Kind::Counter, Kind::Summary(layout.clone(), [0.5, 0.99].into()), Kind::Histogram(layout), Kind::Info];
    let family = |(n, kind): (usize, Kind)| {
        let definition = Definition {
            name: format!("family_{n}"),
            help: String::new(),
            unit: String::new(),
            kind,
            labels: vec!["label".into()],
            max_series: 1_000_000,
        };
        registry.family(definition).unwrap()
    };
    kinds.into_iter().enumerate().map(family).collect()
}

/// What a process does: makes, records, removes. Only ever one thread at a time, as under the GIL.
fn write(families: &[Arc<Family>], round: usize) {
    let [counters, summaries, histograms, infos] = families else { unreachable!() };
    for n in 0..20 {
        let value = [&*format!("{round}.{n}")];
        counters.series(&value).unwrap().counter().inc();
        let summary = summaries.series(&value).unwrap();
        (0..10).for_each(|exponent| assert!(summary.histogram().record_many(1e-20 * 10f64.powi(exponent * 4), 40_000)));
        histograms.series(&value).unwrap().histogram().record(0.5);
        infos.series(&value).unwrap().info().set("a=\"b\"".into());
        let old = [&*format!("{}.{n}", round.wrapping_sub(1))];
        for family in families {
            family.remove(&old).unwrap();
        }
    }
}

fn scrape(registry: &Registry) -> Vec<u8> {
    let mut out = Vec::new();
    fork::beside(|| encode(registry, Format::Prometheus, &|_| false, &mut out));
    out
}

#[test]
fn a_child_can_do_everything() {
    fork::install();
    fork::install();
    let registry = Registry::new();
    let families = families(&registry);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    scrape(&registry);
                }
            });
        }
        let failed = (0..200).find_map(|round| {
            write(&families, round);
            let mut status = 0;
            // SAFETY: the child calls what is under test, and then `_exit`.
            let pid = unsafe { posix::fork() };
            if pid == 0 {
                let work = std::panic::AssertUnwindSafe(|| {
                    write(&families, round + 1);
                    let text = String::from_utf8(scrape(&registry)).unwrap();
                    assert!(text.contains("family_3_info{"));
                });
                let fine = std::panic::catch_unwind(work).is_ok();
                // SAFETY: ends the child without running the test harness's exit handlers.
                unsafe { posix::_exit(i32::from(!fine)) };
            }
            let started = Instant::now();
            // SAFETY: waits for the child above.
            while unsafe { posix::waitpid(pid, &raw mut status, posix::WNOHANG) } == 0 {
                if started.elapsed() > Duration::from_secs(20) {
                    // SAFETY: ends that child, and collects it.
                    unsafe {
                        posix::kill(pid, posix::SIGKILL);
                        posix::waitpid(pid, &raw mut status, 0);
                    }
                    return Some(format!("the child of round {round} hangs"));
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            (status != 0).then(|| format!("the child of round {round} ended with status {status}"))
        });
        done.store(true, Relaxed);
        assert_eq!(failed, None);
    });
}
