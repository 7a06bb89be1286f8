//! `Breaker`: the native half of `ferrometer.breaker.CircuitBreaker`.

use super::call::BreakerCall;
use super::handle::Handle;
use crate::thread_exit::protect;
use ferrometer_state::breaker::circuit::{force, reset, trials_under_way, Change};
use ferrometer_state::breaker::config::{Config, MAX_NAME, MAX_TRIALS};
use ferrometer_state::breaker::slot::Slot;
use ferrometer_state::breaker::word::State;
use ferrometer_state::time::now_ms;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// A circuit breaker whose state all workers share. `ferrometer.breaker.CircuitBreaker` is the class to use.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct Breaker(Arc<Handle>);

impl Breaker {
    /// What its calls refer to.
    #[inline]
    pub fn handle(&self) -> Arc<Handle> {
        self.0.clone()
    }

    /// Its words.
    fn slot(&self) -> Option<Slot<'_>> {
        // SAFETY: the GIL is held in every method of a Python object.
        unsafe { self.0.circuit() }.map(|circuit| circuit.slot)
    }

    fn change(&self, py: Python<'_>, change: impl FnOnce(Slot<'_>) -> Change) -> PyResult<()> {
        protect();
        let slot = self.slot().ok_or_else(|| PyRuntimeError::new_err("no memory for breakers"))?;
        if let Some(change) = change(slot) {
            self.0.tell(py, change);
        }
        Ok(())
    }
}

#[pymethods]
impl Breaker {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "settings, all of which ferrometer.breaker gives by name")]
    #[pyo3(signature = (name, group, *, consecutive, failure_rate, slow_rate, slow_seconds, window, minimum_calls,
                        open_seconds, longest_open, backoff, jitter, trials, trials_needed, trial, opens_last, judge,
                        changed, refuse))]
    fn new(
        name: String,
        group: String,
        consecutive: u32,
        failure_rate: f64,
        slow_rate: f64,
        slow_seconds: f64,
        window: f64,
        minimum_calls: u64,
        open_seconds: f64,
        longest_open: f64,
        backoff: f64,
        jitter: f64,
        trials: u32,
        trials_needed: u32,
        trial: f64,
        opens_last: bool,
        judge: Py<PyAny>,
        changed: Py<PyAny>,
        refuse: Py<PyAny>,
    ) -> PyResult<Self> {
        if name.is_empty() || name.len() > MAX_NAME {
            let length = name.len();
            return Err(PyValueError::new_err(format!("a name has 1 to {MAX_NAME} bytes, not {length}")));
        }
        if !(1..=MAX_TRIALS).contains(&trials) {
            return Err(PyValueError::new_err(format!("trials must be from 1 to {MAX_TRIALS}, not {trials}")));
        }
        let ms = |seconds: f64| (seconds * 1000.0) as u64;
        let config = Config {
            consecutive,
            failure_rate,
            slow_rate,
            slow_seconds,
            window_ms: ms(window).max(100),
            minimum_calls,
            open_ms: ms(open_seconds),
            longest_open_ms: ms(longest_open),
            backoff,
            jitter,
            trials,
            trials_needed,
            trial_ms: ms(trial).max(1),
            opens_last,
        };
        Ok(Breaker(Arc::new(Handle::new(name, group, config, [judge, changed, refuse]))))
    }

    /// A call that has not begun: `with` and `async with` begin and end it.
    fn call(&self) -> BreakerCall {
        BreakerCall::new(self.0.clone())
    }

    /// `closed`, `open` or `half_open`.
    #[getter]
    fn state(&self) -> &'static str {
        self.slot().map_or(State::Closed, |slot| slot.state().state()).name()
    }

    /// Whether its state was forced.
    #[getter]
    fn forced(&self) -> bool {
        self.slot().is_some_and(|slot| slot.state().is_forced())
    }

    /// Trials under way, of all workers.
    #[getter]
    fn trials(&self) -> usize {
        self.slot().map_or(0, |slot| trials_under_way(slot, now_ms()))
    }

    /// Calls refused, in all workers.
    #[getter]
    fn rejected(&self) -> u64 {
        self.slot().map_or(0, |slot| slot.rejected().load(Relaxed))
    }

    /// Makes it stay open until it is reset.
    fn force_open(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |slot| force(slot, State::Open))
    }

    /// Makes it stay closed until it is reset.
    fn force_closed(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |slot| force(slot, State::Closed))
    }

    /// Closes it, forced or not, and forgets its calls.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, reset)
    }
}
