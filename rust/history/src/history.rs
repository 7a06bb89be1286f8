//! A history in a process: the store, and the thread that writes or waits to.

use crate::documents::Documents;
use crate::files::Files;
use crate::follower::Follower;
use crate::level::Plan;
use crate::store::{Blocks, Store};
use crate::writer::Writer;
use ferrometer_core::clock::Clock;
use ferrometer_core::fork::beside;
use ferrometer_core::registry::{Computed, Registry, Sample, Source, Value, Visited};
use ferrometer_core::scrape::Scrape;
use ferrometer_core::segment::owned_file::lock;
use ferrometer_ring::fork::{close_in_child, keep_in_child};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A look that comes no later than this after a whole second has that second's time.
const PUNCTUAL_MS: i64 = 100;
/// Between two looks.
const STEP_MS: i64 = 1000;
/// Files are looked at again after this long at the soonest.
const FRESH: Duration = Duration::from_millis(250);

/// A history.
pub struct History {
    store: Arc<Store>,
    /// Where there are files: what reads them.
    follower: Option<Follower>,
    refreshed: Mutex<Option<Instant>>,
    /// Whether this process writes; then its memory is newer than the files.
    writes: Arc<AtomicU64>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<(u32, JoinHandle<()>)>>,
    /// In which process it was made.
    process: u32,
    /// What is recorded beside the registry: results of rules.
    results: Arc<Mutex<Vec<Computed>>>,
    /// What the writer tells beside the samples, such as which alerts fire.
    documents: Documents,
}

impl History {
    /// A history in memory, or of a directory where there is one.
    pub fn new(plan: Plan, directory: Option<&Path>) -> Self {
        History {
            store: Arc::new(Store::new(plan)),
            follower: directory.map(|directory| Follower::new(Files::of(directory))),
            refreshed: Mutex::new(None),
            writes: Arc::default(),
            stop: Arc::default(),
            thread: Mutex::new(None),
            process: std::process::id(),
            results: Arc::default(),
            documents: Documents::new(directory),
        }
    }

    /// Records these, too, with each look from now on, until others take their place.
    pub fn record(&self, results: Vec<Computed>) {
        *self.results.lock().unwrap_or_else(PoisonError::into_inner) = results;
    }

    /// What the writer tells beside the samples.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// Begins to record a registry, as soon as no other process of the directory does.
    ///
    /// # Errors
    /// When the directory cannot have a history, or there is no thread.
    pub fn start(&self, registry: &Arc<Registry>) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.as_ref().is_some_and(|(process, _)| *process == std::process::id()) {
            return Ok(());
        }
        let files = self.follower.as_ref().map(Follower::files).cloned();
        let locked = match &files {
            None => None,
            Some(files) => {
                files.make()?;
                let file = files.open_lock()?;
                close_in_child(&file);
                Some(file)
            }
        };
        let body = Thread {
            store: self.store.clone(),
            registry: registry.clone(),
            files,
            lock: locked,
            stop: self.stop.clone(),
            writes: self.writes.clone(),
            results: self.results.clone(),
        };
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
        let started = Builder::new().name("ferrometer-history".into()).spawn(move || body.run())?;
        *thread = Some((std::process::id(), started));
        Ok(())
    }

    /// Ends the thread; another process goes on.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((process, thread)) = thread {
            if process == std::process::id() {
                *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                self.stop.1.notify_all();
                let _ = thread.join();
            } else {
                std::mem::forget(thread); // the parent's
            }
        }
    }

    /// Whether it was made in this process, and not in one that forked it.
    pub fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    /// Whether this process writes.
    pub fn is_writer(&self) -> bool {
        self.writes.load(Relaxed) > 0
    }

    /// The store, as new as the files are.
    pub fn store(&self) -> &Arc<Store> {
        if let Some(follower) = self.follower.as_ref().filter(|_| !self.is_writer()) {
            let mut refreshed = self.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
            if refreshed.is_none_or(|last| last.elapsed() > FRESH) {
                follower.refresh(&self.store);
                *refreshed = Some(Instant::now());
            }
        }
        &self.store
    }

    /// What it has to say about itself; nothing in the child of a fork, where its locks may be held for ever.
    pub fn about(&self) -> Vec<Computed> {
        if !self.is_here() {
            return Vec::new();
        }
        let memory = self.store().lock();
        let row = |labels: String, value: Value, suffix: &str| Sample { suffix: suffix.into(), labels, value };
        let family = |name: &str, help: &str, kind: &str, samples: Vec<Sample>| Computed {
            name: format!("ferrometer_history_{name}"),
            help: help.into(),
            kind: kind.into(),
            samples,
        };
        let levels = || self.store.plan.levels.iter().zip(&memory.levels);
        let by_level = |value: &dyn Fn(&Blocks) -> Value, suffix: &str| -> Vec<Sample> {
            let rows = levels()
                .map(|(level, blocks)| row(format!("step=\"{}s\"", level.step_ms / 1000), value(blocks), suffix));
            rows.collect()
        };
        let seconds = |blocks: &Blocks| {
            let span = blocks.last_ms().checked_sub(blocks.first_ms()).filter(|span| *span > 0);
            Value::Float(span.unwrap_or(0) as f64 / 1000.0)
        };
        let damaged = memory.damage.len() as u64;
        vec![
            family(
                "bytes",
                "Bytes that the history takes",
                "gauge",
                by_level(&|blocks| Value::Int(blocks.bytes() as u64), ""),
            ),
            family("seconds", "Seconds that the history reaches back", "gauge", by_level(&seconds, "")),
            family(
                "blocks_dropped",
                "Blocks that went before their time, because the budget was spent",
                "counter",
                by_level(&|blocks| Value::Int(blocks.dropped), "_total"),
            ),
            family(
                "write_errors",
                "Blocks and ticks that could not be written",
                "counter",
                vec![row(String::new(), Value::Int(memory.unwritten), "_total")],
            ),
            family(
                "files_unreadable",
                "Files of the history that are left out, being damaged or another version's",
                "gauge",
                vec![row(String::new(), Value::Int(damaged), "")],
            ),
        ]
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The self-metrics of a history, for a registry.
pub struct SelfMetrics(pub Weak<History>);

impl Source for SelfMetrics {
    fn collect(&self, _: &Scrape, out: &mut Vec<Computed>) {
        if let Some(history) = self.0.upgrade() {
            out.extend(history.about());
        }
    }

    fn names(&self) -> Vec<String> {
        let names = ["bytes", "seconds", "blocks_dropped", "write_errors", "files_unreadable"];
        let counters = ["blocks_dropped_total", "write_errors_total"];
        names.into_iter().chain(counters).map(|name| format!("ferrometer_history_{name}")).collect()
    }
}

struct Thread {
    store: Arc<Store>,
    registry: Arc<Registry>,
    files: Option<Files>,
    lock: Option<File>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    writes: Arc<AtomicU64>,
    results: Arc<Mutex<Vec<Computed>>>,
}

impl Thread {
    fn run(mut self) {
        give_way();
        let mut writer = None;
        loop {
            if writer.is_none() {
                writer = self.elect();
            }
            if let Some(writer) = &mut writer {
                self.look(writer);
            }
            if self.wait() {
                break;
            }
        }
        drop(writer);
        self.writes.store(0, Relaxed);
        if let Some(file) = self.lock.take() {
            keep_in_child(&file);
        }
    }

    /// The writer, when no other process is one.
    fn elect(&self) -> Option<Writer> {
        if let (Some(file), Some(files)) = (&self.lock, &self.files) {
            // A file system without locks has no election: one process must do, and it is this one for itself.
            if !lock(file).unwrap_or(false) {
                return None;
            }
            Follower::new(files.clone()).refresh(&self.store);
        }
        self.writes.store(1, Relaxed);
        Some(Writer::new(self.store.clone(), self.files.clone()))
    }

    fn look(&self, writer: &mut Writer) {
        Clock::get().calibrate();
        let time_ms = now_ms();
        let late = time_ms.rem_euclid(STEP_MS);
        let time_ms = if late <= PUNCTUAL_MS { time_ms - late } else { time_ms };
        let registry = &self.registry;
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner).clone();
        beside(|| {
            writer.look(time_ms, &mut |each: &mut dyn FnMut(Visited)| {
                registry.visit(&Scrape::begin(), &|_| false, each);
                for family in &results {
                    each(Visited::Computed(family));
                }
            })
        });
    }

    /// Waits for the next whole second. True at the end.
    fn wait(&self) -> bool {
        let left = STEP_MS - now_ms().rem_euclid(STEP_MS);
        let deadline = Instant::now() + Duration::from_millis(left.unsigned_abs());
        let mut stop = self.stop.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            stop = self.stop.1.wait_timeout(stop, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *stop
    }
}

/// Milliseconds since 1970, by the clock that can be put back.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Where the processor is short, requests come before looks: the thread asks for a tenth of a share.
fn give_way() {
    const NICE: libc::c_int = 10;
    // SAFETY: a plain call. On Linux it is about the calling thread alone; a refusal changes nothing.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}
