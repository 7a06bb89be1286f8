//! What the victims do.

use super::board::{Board, SERIES};
use super::process::{Process, Random};
use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::histogram::Layout;
use ferrometer_core::registry::Registry;
use ferrometer_core::segment::fold::fold;
use ferrometer_core::segment::mirror::share;
use ferrometer_core::segment::writer::leave;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq)]
pub enum Program {
    /// Shares, and counts a little.
    Start,
    /// Makes so many series, so wide, that the file grows several times.
    Grow,
    /// Removes a series, and makes it again.
    Remove,
    /// Forks while it shares; the child counts, too.
    Fork,
    /// Folds who died before.
    Fold,
    /// Records, sampled and not, between two stops.
    Record,
    /// All of it, for ever.
    Everything,
}

impl Program {
    pub fn name(self) -> &'static str {
        match self {
            Program::Start => "start",
            Program::Grow => "grow",
            Program::Remove => "remove",
            Program::Fork => "fork",
            Program::Fold => "fold",
            Program::Record => "record",
            Program::Everything => "everything",
        }
    }
}

struct Worker<'a> {
    board: &'a Board,
    counters: Arc<Family>,
    histograms: Arc<Family>,
    sampled: Arc<Family>,
    removed: Arc<Family>,
    fillers: Arc<Family>,
}

impl<'a> Worker<'a> {
    fn new(board: &'a Board) -> Self {
        let registry = Registry::with_scope("default");
        let family = |name: &str, kind| {
            let definition = Definition {
                name: name.into(),
                help: String::new(),
                unit: String::new(),
                kind,
                labels: vec!["n".into()],
                max_series: 1_000_000,
            };
            registry.family(definition).unwrap()
        };
        let layout = Layout::new(&[0.1, 1.0, 10.0, 1e3]).unwrap();
        Worker {
            board,
            counters: family("counter", Kind::Counter),
            histograms: family("histogram", Kind::Histogram(layout.clone())),
            sampled: family("sampled", Kind::Histogram(layout)),
            removed: family("removed", Kind::Counter),
            fillers: family("filler", Kind::Counter),
        }
    }

    fn count(&self, n: usize) {
        let series = self.counters.series(&[&n.to_string()]).unwrap();
        self.board.counters[n].around(|| series.counter().inc());
    }

    fn observe(&self, n: usize, value: f64) {
        let series = self.histograms.series(&[&n.to_string()]).unwrap();
        self.board.histograms[n].around(|| assert!(series.histogram().record(value)));
    }

    fn hold(&self) {
        let series = self.sampled.series(&["0"]).unwrap();
        self.board.sampled.around(|| series.histogram().hold());
    }

    fn sample(&self, value: f64) {
        let series = self.sampled.series(&["0"]).unwrap();
        self.board.sampled.around(|| assert!(series.histogram().record_sample(value)));
    }

    fn count_removed(&self) {
        let series = self.removed.series(&["0"]).unwrap();
        self.board.removed.around(|| series.counter().inc());
    }

    fn remove(&self) {
        let before = self.board.removed.intended.load(SeqCst);
        self.board.before_begun.store(before, SeqCst);
        self.removed.remove(&["0"]).unwrap();
        self.board.before_done.store(self.board.removed.acknowledged.load(SeqCst), SeqCst);
    }
}

/// Runs a program. Everything that it counts, it tells the board of before and after.
pub fn run(program: Program, directory: &Path, board: &Board, seed: u64) {
    if program == Program::Fold {
        fold(directory).unwrap();
        return;
    }
    let worker = Worker::new(board);
    // Some of it is there before the file is, and safe when that is.
    let (counter, histogram) = (&board.counters[0], &board.histograms[0]);
    counter.around(|| {
        worker.counters.series(&["0"]).unwrap().counter().inc();
        histogram.around(|| {
            worker.histograms.series(&["0"]).unwrap().histogram().record(0.5);
            share(directory).unwrap();
        });
    });
    worker.count(0);
    worker.count(1);
    worker.observe(1, 0.05);
    match program {
        Program::Grow => {
            for n in 0..4000 {
                let filler = worker.fillers.series(&[&format!("{n} {}", "x".repeat(100))]).unwrap();
                filler.counter().inc();
                if n % 500 == 0 {
                    worker.count(n % SERIES);
                    worker.observe(n % SERIES, f64::from(n as u32) + 1e-12);
                }
            }
        }
        Program::Remove => {
            for _ in 0..3 {
                worker.count_removed();
                worker.count_removed();
                worker.remove();
                worker.count_removed();
            }
        }
        Program::Fork => {
            let child = Process::start(|| {
                worker.count(2);
                worker.observe(2, 3.0);
                leave();
            });
            worker.count(3);
            child.wait();
            worker.count(4);
        }
        Program::Record => {
            worker.sample(0.5);
            worker.hold();
            worker.hold();
            let sampled = worker.sampled.series(&["0"]).unwrap();
            let counter = worker.counters.series(&["1"]).unwrap();
            let histogram = worker.histograms.series(&["1"]).unwrap();
            // What is between two stops is what the parent goes through, one instruction at a time.
            stop();
            board.sampled.around(|| assert!(sampled.histogram().record_sample(2.0)));
            board.counters[1].around(|| counter.counter().inc());
            board.histograms[1].around(|| assert!(histogram.histogram().record(0.05)));
            board.histograms[1].around(|| assert!(histogram.histogram().record(300.0)));
            stop();
        }
        Program::Everything => everything(&worker, directory, &mut Random::new(seed)),
        Program::Start | Program::Fold => {}
    }
    leave();
}

/// Stops this process, until the one that traces it lets it go on.
fn stop() {
    // SAFETY: the default of this signal.
    unsafe { libc::raise(libc::SIGSTOP) };
}

fn everything(worker: &Worker, directory: &Path, random: &mut Random) {
    for round in 0u32.. {
        let n = random.below(SERIES as u64) as usize;
        match random.below(64) {
            0 => drop(fold(directory).unwrap()),
            1..=3 => {
                let filler = worker.fillers.series(&[&format!("{round}-{n}")]).unwrap();
                filler.counter().inc();
            }
            4..=5 => worker.fillers.clear(),
            6..=30 => worker.count(n),
            // Now and then far from the others, so that octaves are added and widened.
            31 => {
                let series = worker.histograms.series(&[&n.to_string()]).unwrap();
                for _ in 0..40 {
                    worker.board.histograms[n].around(|| assert!(series.histogram().record(1e-30)));
                }
            }
            _ => worker.observe(n, random.below(1000) as f64 * 0.37),
        }
    }
}
