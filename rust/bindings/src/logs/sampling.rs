//! Of a message that comes too often: the first so many a second, then one in so many.

use crate::gil::GilCell;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Errors are always logged.
const LEVELS: usize = 3;
const SLOTS: usize = 4096;

#[derive(Clone, Copy, Default)]
struct Slot {
    message: u64,
    second: u64,
    seen: u32,
    left_out: u32,
}

struct Sampling {
    /// By level: the first so many, then one in so many; zero for all.
    rates: [(u32, u32); LEVELS],
    slots: Vec<Slot>,
}

static SAMPLING: GilCell<Sampling> = GilCell::new(Sampling { rates: [(0, 0); LEVELS], slots: Vec::new() });

/// How many of its like have been left out since the last one, when this event is logged; `None` when it is left out
/// itself. Alike are events of one level and one message, before it is formatted.
///
/// # Safety
/// The GIL is held.
#[inline]
pub unsafe fn admit(level: u32, message: &Bound<'_, PyAny>, second: u64) -> Option<u32> {
    // SAFETY: the GIL is held.
    let (first, then) = unsafe { SAMPLING.peek() }.rates.get(level as usize).copied().unwrap_or_default();
    if then == 0 {
        return Some(0);
    }
    let Ok(message) = message.cast_exact::<PyString>() else { return Some(0) };
    let message = (message.hash().unwrap_or(0) as u64 ^ u64::from(level)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // SAFETY: the GIL is held; nothing here runs Python.
    unsafe {
        SAMPLING.with(|sampling| {
            let slot = &mut sampling.slots[(message >> 52) as usize % SLOTS];
            if slot.message != message {
                *slot = Slot { message, second, ..Slot::default() };
            }
            if slot.second != second {
                (slot.second, slot.seen) = (second, 0);
            }
            slot.seen = slot.seen.saturating_add(1);
            if slot.seen <= first || (slot.seen - first) % then == 0 {
                return Some(std::mem::take(&mut slot.left_out));
            }
            slot.left_out += 1;
            None
        })
    }
}

/// Sets the rates: by level (debug, info, warn) the first so many of a message a second, then one in so many; (0, 0)
/// logs all.
#[pyfunction]
pub fn sample_logs(rates: [(u32, u32); LEVELS]) -> PyResult<()> {
    if let Some((first, then)) = rates.iter().find(|(first, then)| *then == 0 && *first > 0) {
        return Err(PyValueError::new_err(format!("sampling needs one in at least 1, not ({first}, {then})")));
    }
    // SAFETY: the GIL is held; nothing here runs Python.
    unsafe {
        SAMPLING.with(|sampling| {
            sampling.rates = rates;
            sampling.slots.resize(SLOTS, Slot::default());
        });
    }
    Ok(())
}
