//! The one shipper of a directory for a kind of records: elected by a lock, taken over at the death of whoever holds it. It finds the rings
//! of all processes, and removes those of the dead once every receiver has them.

use crate::config::Config;
use crate::lane::{Lane, Status};
use crate::rings::{Known, Rings, Source};
use crate::signal::Signal;
use ferrometer_ring::cursors::Cursor;
use ferrometer_ring::file::{list, Ring};
use ferrometer_ring::own;
use ferrometer_ring::region::Region;
use ferrometer_ring::totals::{hash, Totals};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a process that is not the shipper looks whether there is one.
const CANDIDATE: Duration = Duration::from_millis(200);
/// How often the shipper looks for rings of new processes, and of dead ones.
const LOOK: Duration = Duration::from_millis(100);
/// What a dead process left is given up so many seconds after its last record.
const EXPIRED: f64 = 86_400.0;

/// Runs from its making until it is stopped.
pub struct Shipper {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
    leads: Arc<AtomicBool>,
    statuses: Vec<(String, Arc<Mutex<Status>>)>,
}

impl Shipper {
    /// Starts the thread, which becomes the shipper of the directory once there is no other.
    ///
    /// # Errors
    /// When the configuration names a certificate that cannot be read, the directory cannot be written, or there can
    /// be no thread.
    pub fn start(config: &Config) -> io::Result<Self> {
        let sinks = config.open()?;
        let source = match config.directory.clone() {
            Some(directory) => Source::Directory(directory, config.records),
            None => Source::Private(config.records),
        };
        let totals = match &source {
            Source::Directory(directory, kind) => {
                let totals = Totals::open(directory, *kind)?;
                totals.set_namespace(&config.namespace);
                for (name, _) in &sinks {
                    if totals.receiver(name).is_none() {
                        let text = format!("no place for the sink {name:?}: the directory has known too many");
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                    }
                }
                Some(Arc::new(totals))
            }
            Source::Private(_) => None,
        };
        let signal = Arc::new(Signal::default());
        let leads = Arc::new(AtomicBool::new(false));
        let statuses: Vec<_> =
            sinks.iter().map(|(name, _)| (name.clone(), Arc::new(Mutex::new(Status::default())))).collect();
        let work = Work {
            source,
            totals,
            signal: signal.clone(),
            leads: leads.clone(),
            rings: Arc::new(Rings::default()),
            receivers: Arc::new(sinks.iter().map(|(name, _)| hash(name)).collect()),
            refused: HashMap::new(),
        };
        let lanes = sinks
            .into_iter()
            .zip(&statuses)
            .map(|((name, sink), (_, status))| Lane {
                records: config.records,
                succeeded: succeeded(work.totals.clone(), &name),
                name,
                sink,
                rings: work.rings.clone(),
                signal: signal.clone(),
                status: status.clone(),
                keys: config.keys.clone(),
                whispered: None,
                receivers: work.receivers.clone(),
            })
            .collect();
        let patience = Duration::from_secs_f64(config.patience.clamp(0.0, 3600.0));
        let thread = spawn("ferrometer-ship", move || work.run(lanes, patience))?;
        Ok(Shipper { signal, thread: Some(thread), leads, statuses })
    }

    /// Whether it is this process that ships.
    pub fn leads(&self) -> bool {
        self.leads.load(Acquire)
    }

    /// How its receivers are doing; nothing of interest while another process ships.
    pub fn statuses(&self) -> Vec<(String, Status)> {
        let all = self.statuses.iter();
        all.map(|(name, status)| (name.clone(), status.lock().unwrap_or_else(PoisonError::into_inner).clone()))
            .collect()
    }

    /// Waits until all receivers have settled what is in a ring now; `false` at the deadline. Nobody lingers or
    /// waits for a retry meanwhile.
    pub fn flush(&self, region: &Region, time: Duration) -> bool {
        let (end, head) = (Instant::now() + time, region.head());
        self.signal.hurry(time);
        loop {
            let is_done = self.statuses.iter().all(|(name, _)| {
                let slot = region.slots().find(|slot| slot.1 == hash(name));
                slot.is_some_and(|(slot, _)| region.cursor(slot).place.position >= head)
            });
            if is_done || head == 0 {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the threads; one that waits for a receiver longer than so long is left behind.
    pub fn stop(mut self, time: Duration) {
        let end = Instant::now() + time;
        self.signal.is_stopping.store(true, Release);
        self.signal.wake();
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            if Instant::now() >= end {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = thread.join();
    }
}

fn succeeded(totals: Option<Arc<Totals>>, name: &str) -> Box<dyn Fn(f64) + Send> {
    let slot = totals.as_ref().and_then(|totals| totals.receiver(name));
    Box::new(move |time| {
        if let (Some(totals), Some(slot)) = (&totals, slot) {
            totals.set_success(slot, time);
        }
    })
}

/// A thread that gets no signals: they are the interpreter's.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    // SAFETY: a set of plain numbers, which the calls fill in; the mask is put back before this returns.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        thread
    }
}

/// Works until the signal says that everything ends. A sink that panics is told of, and tried again.
fn run(mut lane: Lane) {
    while catch_unwind(AssertUnwindSafe(|| lane.run())).is_err() {
        lane.fail("a fault of its own");
        lane.signal.wait(Duration::from_secs(1));
    }
}

struct Work {
    source: Source,
    totals: Option<Arc<Totals>>,
    signal: Arc<Signal>,
    leads: Arc<AtomicBool>,
    rings: Arc<Rings>,
    receivers: Arc<Vec<u64>>,
    /// Files that are no rings, and when they were looked at.
    refused: HashMap<PathBuf, Instant>,
}

impl Work {
    fn run(mut self, lanes: Vec<Lane>, patience: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < patience && !self.signal.is_over() {
            self.signal.wait(CANDIDATE);
        }
        while !self.signal.is_over() {
            if self.totals.as_ref().is_none_or(|totals| totals.lead().unwrap_or(false)) {
                return self.lead(lanes);
            }
            self.signal.wait(CANDIDATE);
        }
    }

    fn lead(&mut self, lanes: Vec<Lane>) {
        self.look();
        let mut threads = Vec::new();
        for lane in lanes {
            let name = format!("ferrometer-{}", lane.name);
            // Without a thread its lines wait, and are counted.
            threads.extend(spawn(&name, move || run(lane)));
        }
        self.leads.store(true, Release);
        while !self.signal.is_over() {
            self.signal.wait(LOOK);
            self.look();
            if self.receivers.is_empty() {
                // Only who looks wants the lines, and sees what is released, too.
                self.rings.all().iter().for_each(|known| known.region.release(known.region.head()));
            }
            self.bury();
        }
        for thread in threads {
            let _ = thread.join();
        }
        self.look();
        self.bury();
        self.leads.store(false, Release);
    }

    /// Finds the rings that there are.
    fn look(&mut self) {
        let before = self.rings.all();
        let (directory, kind) = match &self.source {
            Source::Directory(directory, kind) => (directory, *kind),
            Source::Private(kind) => {
                if let Some((region, _)) = own::shown(*kind) {
                    if !before.iter().any(|known| Arc::ptr_eq(&known.region, &region)) {
                        self.rings.set(vec![Known::private(region)]);
                    }
                }
                return;
            }
        };
        let Ok(paths) = list(directory, kind) else { return };
        let known = |path: &PathBuf| before.iter().find(|known| known.ring.as_ref().is_some_and(|r| r.path == *path));
        if paths.len() == before.len() && paths.iter().all(|path| known(path).is_some()) {
            return;
        }
        self.refused.retain(|path, at| paths.contains(path) && at.elapsed() < Duration::from_secs(60));
        let (mut all, mut fresh) = (Vec::new(), Vec::new());
        for path in paths {
            if let Some(known) = known(&path) {
                all.push(known.clone());
            } else if !self.refused.contains_key(&path) {
                if let Ok(ring) = Ring::open(&path) {
                    all.push(Known::of(ring));
                } else {
                    fresh.push(path);
                }
            }
        }
        self.refused.extend(fresh.into_iter().map(|path| (path, Instant::now())));
        self.rings.set(all);
    }

    /// Removes the rings of the dead that every receiver has settled; first their counts go to the totals.
    fn bury(&mut self) {
        let Some(totals) = &self.totals else { return };
        let all = self.rings.all();
        let mut left: Vec<Arc<Known>> = Vec::new();
        for known in all.iter() {
            let Some(ring) = &known.ring else { continue };
            // Asked once it is dead: from then on nothing changes but cursors.
            if !known.is_dead.load(Acquire) {
                known.is_dead.store(!ring.is_alive(), Release);
                left.push(known.clone());
                continue;
            }
            let is_old = || crate::time::now_ns() as f64 / 1e9 - ring.written() > EXPIRED;
            if !known.is_expired.load(Acquire) && is_old() {
                ring.date();
                known.is_expired.store(is_old(), Release);
            }
            if !self.is_settled(known) {
                left.push(known.clone());
                continue;
            }
            totals.fold(ring);
            if fs::remove_file(&ring.path).is_err() && ring.path.exists() {
                left.push(known.clone());
            }
        }
        if left.len() != all.len() {
            self.rings.set(left);
        }
    }

    fn is_settled(&self, known: &Known) -> bool {
        let head = known.region.head();
        self.receivers.iter().all(|&name| {
            let slot = known.region.slots().find(|slot| slot.1 == name);
            slot.is_some_and(|(slot, _)| {
                let Cursor { place, .. } = known.region.cursor(slot);
                place.position >= head && known.region.missing_at_end(place) == 0 && known.reserve.is_empty(slot)
            })
        })
    }
}
