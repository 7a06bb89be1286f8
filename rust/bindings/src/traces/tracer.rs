//! What is decided once for all spans of the process, and what they share: ids and memory. All with the GIL held.

use crate::gil::GilCell;
use ferrometer_core::clock::Clock;
use ferrometer_logs::redact::mark::Marker;
use ferrometer_ring::fork;
use ferrometer_traces::ids::{Generator, SpanId, TraceId};
use ferrometer_traces::limits::Limits;
use ferrometer_traces::sampler::Sampler;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;

/// How the attributes of a request are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conventions {
    /// The stable names of OpenTelemetry.
    pub stable: bool,
    /// `http.method` and the other names that those replaced.
    pub old: bool,
}

/// What all spans have in common.
pub struct Tracer {
    /// Which are recorded.
    pub sampler: Sampler,
    /// How much they hold.
    pub limits: Limits,
    /// Takes secrets out.
    pub marker: Marker,
    /// How requests are described.
    pub conventions: Conventions,
}

static ON: AtomicBool = AtomicBool::new(false);
static TRACER: GilCell<Option<Arc<Tracer>>> = GilCell::new(None);

/// Where ids come from, and in which generation of forks: a child must not repeat its parent's.
static IDS: GilCell<Option<(u64, Generator)>> = GilCell::new(None);

/// Memory that is not in use.
static BUFFERS: GilCell<Vec<Vec<u8>>> = GilCell::new(Vec::new());
const KEPT: usize = 64;
/// Longer ones are given back to the system.
const LONGEST_KEPT: usize = 8192;

/// Whether there are traces at all.
#[inline(always)]
pub fn is_on() -> bool {
    ON.load(Relaxed)
}

/// Whether spans are recorded at all.
#[pyfunction]
pub fn has_traces() -> bool {
    is_on()
}

/// What is configured; nothing where traces are off.
#[inline]
pub fn tracer(_py: Python<'_>) -> Option<Arc<Tracer>> {
    if !is_on() {
        return None;
    }
    // SAFETY: the GIL is held, and cloning runs no Python.
    unsafe { TRACER.with(|tracer| tracer.clone()) }
}

fn generator<R>(work: impl FnOnce(&mut Generator) -> R) -> R {
    // SAFETY: the GIL is held; making ids runs no Python.
    unsafe {
        IDS.with(|ids| match ids {
            Some((generation, generator)) if *generation == fork::generation() => work(generator),
            other => work(&mut other.insert((fork::generation(), Generator::seeded())).1),
        })
    }
}

/// Ids of a new trace and its first span.
#[inline]
pub fn new_trace(_py: Python<'_>) -> (TraceId, SpanId) {
    generator(|generator| (generator.trace_id(), generator.span_id()))
}

/// The id of another span.
#[inline]
pub fn new_span(_py: Python<'_>) -> SpanId {
    generator(Generator::span_id)
}

/// An empty buffer.
#[inline]
pub fn buffer(_py: Python<'_>) -> Vec<u8> {
    // SAFETY: the GIL is held; vectors of bytes run no Python.
    unsafe { BUFFERS.with(Vec::pop) }.unwrap_or_default()
}

/// Keeps a buffer for later.
#[inline]
pub fn give_back(_py: Python<'_>, mut buffer: Vec<u8>) {
    if (1..=LONGEST_KEPT).contains(&buffer.capacity()) {
        buffer.clear();
        // SAFETY: the GIL is held; vectors of bytes run no Python.
        unsafe {
            BUFFERS.with(|all| {
                if all.len() < KEPT {
                    all.push(buffer);
                }
            });
        }
    }
}

/// Has spans recorded from now on. `limits`: attributes, characters of a text, events, links, attributes of an event and of
/// a link. `conventions`: `stable`, `seed` or `both`. Raises `ValueError` for an unknown sampler.
#[pyfunction]
pub fn configure_traces(
    sampler: &str,
    ratio: f64,
    limits: (u32, usize, u32, u32, u32, u32),
    hash_key: &[u8],
    conventions: &str,
) -> PyResult<()> {
    fork::install();
    // Its first use takes half a millisecond, which would be missing in the first span.
    Clock::get();
    let sampler = Sampler::named(sampler, ratio).ok_or_else(|| {
        PyValueError::new_err(format!(
            "sampler must be always_on, always_off or traceidratio, or one of these behind parentbased_, not {sampler:?}"
        ))
    })?;
    let (attributes, text, events, links, event_attributes, link_attributes) = limits;
    let limits = Limits { attributes, text, events, links, event_attributes, link_attributes };
    let conventions = match conventions {
        "stable" => Conventions { stable: true, old: false },
        "seed" => Conventions { stable: false, old: true },
        "both" => Conventions { stable: true, old: true },
        other => {
            let text = format!("conventions must be 'stable', 'seed' or 'both', not {other:?}");
            return Err(PyValueError::new_err(text));
        }
    };
    let tracer = Arc::new(Tracer { sampler, limits, marker: Marker::new(hash_key), conventions });
    // SAFETY: the GIL is held; a tracer holds no Python object.
    unsafe { TRACER.with(|current| *current = Some(tracer)) };
    ON.store(true, Relaxed);
    Ok(())
}

/// Has no spans recorded from now on; those that are open still are.
#[pyfunction]
pub fn stop_traces() {
    ON.store(false, Relaxed);
}
