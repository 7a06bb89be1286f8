//! The shippers of this process: at most one for each kind of records, started again in the child of a fork when it logs. Called with the GIL
//! held, which is what makes these calls one after the other.

use crate::config::Config;
use crate::lane::{whisper, Status};
use crate::shipper::Shipper;
use ferrometer_ring::fork::generation;
use ferrometer_ring::kind::KINDS;
use ferrometer_ring::own;
use ferrometer_ring::totals::{snapshot, Receiver, Snapshot};
use ferrometer_ring::Kind;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

struct Own {
    config: Config,
    generation: u64,
    shipper: Option<Arc<Shipper>>,
}

/// Held for a glance, and only with the GIL; so no fork finds it held.
static OWN: [Mutex<Option<Own>>; KINDS] = [const { Mutex::new(None) }; KINDS];

/// Opens the ring of this process, and starts its shipper. A second call changes the configuration.
///
/// # Errors
/// When the ring cannot be made, or the shipper cannot be started; what there was goes on.
///
/// # Safety
/// The GIL is held.
pub unsafe fn start(mut config: Config) -> io::Result<()> {
    // SAFETY: the caller's.
    match (unsafe { start_in(&config) }, &config.directory) {
        (Err(error), Some(directory)) if is_full(&error) => {
            let directory = directory.display();
            whisper(&format!(
                "ferrometer: {directory}: {error}; free some space there. This process keeps its {} in its memory\n",
                config.records.noun()
            ));
            config.directory = None;
            // SAFETY: the caller's.
            unsafe { start_in(&config) }
        }
        (started, _) => started,
    }
}

unsafe fn start_in(config: &Config) -> io::Result<()> {
    // What is wrong with it shows before anything is changed.
    config.open()?;
    // SAFETY: the caller's.
    unsafe { own::open(config.records, config.directory.as_deref(), config.queue_bytes)? };
    own::when_reopened(config.records, reopened_of(config.records));
    let previous = take(config.records);
    if let Some(shipper) = previous.and_then(|own| own.shipper.filter(|_| own.generation == generation())) {
        if let Ok(shipper) = Arc::try_unwrap(shipper) {
            // The lock is free when the threads are gone.
            shipper.stop(Duration::from_millis(500));
        }
    }
    let shipper = Shipper::start(config)?;
    set(Own { config: config.clone(), generation: generation(), shipper: Some(Arc::new(shipper)) });
    Ok(())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

fn take(kind: Kind) -> Option<Own> {
    let mut own = OWN[kind as usize].lock().unwrap_or_else(PoisonError::into_inner).take()?;
    if own.generation != generation() {
        // The parent's threads are not here: nothing of theirs is touched.
        std::mem::forget(own.shipper.take());
    }
    Some(own)
}

fn set(own: Own) {
    let kind = own.config.records;
    *OWN[kind as usize].lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
}

/// What is done in the child of a fork, at its first record of a kind.
fn reopened_of(kind: Kind) -> fn() {
    match kind {
        Kind::Lines => || reopened(Kind::Lines),
        Kind::Spans => || reopened(Kind::Spans),
        Kind::Metrics => || reopened(Kind::Metrics),
    }
}

fn reopened(kind: Kind) {
    let Some(mut own) = take(kind) else { return };
    if own.generation != generation() || own.shipper.is_none() {
        own.generation = generation();
        if own::shown(kind).is_some_and(|(_, path)| path.is_none()) {
            // There was no room for a file: this process ships its own lines itself.
            own.config.directory = None;
        }
        own.shipper = Shipper::start(&own.config).ok().map(Arc::new);
    }
    set(own);
}

/// The shipper, and what it was told; nothing in the child of a fork that has not logged yet.
pub fn current(kind: Kind) -> Option<(Arc<Shipper>, Config)> {
    let own = OWN[kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
    let own = own.as_ref().filter(|own| own.generation == generation())?;
    Some((own.shipper.clone()?, own.config.clone()))
}

/// Whether everything of a kind that this process recorded has left. Without the GIL.
pub fn flush(kind: Kind, shipper: &Shipper, time: Duration) -> bool {
    own::shown(kind).is_none_or(|(region, _)| shipper.flush(&region, time))
}

/// Gives up the lead, once: without the GIL.
pub fn stop(kind: Kind, time: Duration) {
    let Some(own) = take(kind) else { return };
    let (generation_then, config) = (own.generation, own.config.clone());
    if let Some(shipper) = own.shipper {
        if let Ok(shipper) = Arc::try_unwrap(shipper) {
            shipper.stop(time);
        }
    }
    set(Own { config, generation: generation_then, shipper: None });
}

/// What was logged and what became of it, and how the receivers of this process's shipper are doing.
pub struct Told {
    /// Of all processes where they share, else of this one.
    pub snapshot: Snapshot,
    /// By receiver.
    pub statuses: Vec<(String, Status)>,
    /// Whether it is this process that ships.
    pub leads: bool,
}

/// The same; nothing where nobody logs.
///
/// # Errors
/// When the directory cannot be read.
pub fn told(kind: Kind) -> io::Result<Option<Told>> {
    let (shipper, config) = {
        let own = OWN[kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = own.as_ref() else { return Ok(None) };
        // A parent's threads do nothing here.
        (own.shipper.clone().filter(|_| own.generation == generation()), own.config.clone())
    };
    let statuses = shipper.as_ref().map(|shipper| shipper.statuses()).unwrap_or_default();
    let leads = shipper.as_ref().is_some_and(|shipper| shipper.leads());
    if let Some(directory) = &config.directory {
        return Ok(snapshot(directory, kind)?.map(|snapshot| Told { snapshot, statuses, leads }));
    }
    let mut all = Snapshot { kind, namespace: config.namespace.clone(), ..Snapshot::default() };
    for sink in &config.sinks {
        let success = statuses.iter().find(|status| status.0 == sink.name).map_or(0.0, |status| status.1.success);
        all.receivers.push(Receiver { name: sink.name.clone(), success, ..Receiver::default() });
    }
    if let Some((region, _)) = own::shown(kind) {
        all.add(&region);
    }
    Ok(Some(Told { snapshot: all, statuses, leads }))
}
