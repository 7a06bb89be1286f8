//! `BreakerCall`: one call through a breaker.

use super::handle::Handle;
use super::ready::Ready;
use crate::gil::GilCell;
use crate::thread_exit::protect;
use ferrometer_core::clock::{ticks, Clock};
use ferrometer_state::breaker::circuit::{Machine, Outcome, Permit};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use std::sync::Arc;

#[derive(Clone, Copy)]
struct Begun {
    permit: Permit,
    /// Ticks at its begin; only where slow calls matter.
    start: u64,
}

/// One call through a breaker: a context, for `with` and `async with`. What is dropped without an end says nothing.
#[pyclass(frozen, freelist = 64, module = "ferrometer._core")]
pub struct BreakerCall {
    breaker: Arc<Handle>,
    begun: GilCell<Option<Begun>>,
    /// Whether a `with` block has it.
    entered: GilCell<bool>,
}

impl BreakerCall {
    pub fn new(breaker: Arc<Handle>) -> Self {
        BreakerCall { breaker, begun: GilCell::new(None), entered: GilCell::new(false) }
    }

    #[inline]
    pub fn begin(&self, py: Python<'_>) -> PyResult<()> {
        protect();
        let breaker = &*self.breaker;
        // SAFETY: the GIL is held. Without memory for a table, calls go through and are not counted.
        let Some(circuit) = (unsafe { breaker.circuit() }) else { return Ok(()) };
        match circuit.begin(&Machine) {
            Ok((permit, change)) => {
                let start = if breaker.config.has_slow() { ticks() } else { 0 };
                // SAFETY: the GIL is held; storing a value runs no Python.
                unsafe { self.begun.with(|begun| *begun = Some(Begun { permit, start })) };
                if let Some(change) = change {
                    breaker.tell(py, change);
                }
                Ok(())
            }
            Err(wait) => {
                let seconds = wait.map(|wait| wait as f64 / 1000.0);
                Err(PyErr::from_value(breaker.refuse.bind(py).call1((seconds,))?))
            }
        }
    }

    /// Begins it, unless `Breaker.begin` did.
    #[inline]
    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        // SAFETY: the GIL is held; nothing in here runs Python.
        let (entered, begun) = unsafe {
            (self.entered.with(|entered| std::mem::replace(entered, true)), self.begun.with(|begun| begun.is_some()))
        };
        if entered {
            return Err(PyRuntimeError::new_err("this call has begun already; make one object for each call"));
        }
        if begun {
            return Ok(());
        }
        self.begin(py)
    }

    #[inline]
    pub fn end(&self, py: Python<'_>, outcome: Outcome) {
        // SAFETY: the GIL is held; taking a value runs no Python.
        let Some(Begun { permit, start }) = (unsafe { self.begun.with(Option::take) }) else { return };
        let breaker = &*self.breaker;
        // SAFETY: the GIL is held, and the circuit lies in memory that is never unmapped.
        let Some(circuit) = (unsafe { breaker.circuit() }) else { return };
        let config = &breaker.config;
        let slow = config.has_slow() && Clock::get().seconds(start, ticks()) >= config.slow_seconds;
        if let Some(change) = circuit.end(permit, outcome, slow, &Machine) {
            breaker.tell(py, change);
        }
    }

    #[cold]
    fn end_by(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let judged = match self.breaker.judge.bind(py).call1((error,)) {
            Ok(judged) => judged,
            Err(trouble) => {
                // The lease goes back, whatever a user's judge does.
                self.end(py, Outcome::Nothing);
                return Err(trouble);
            }
        };
        let outcome = if judged.is_none() {
            Outcome::Nothing
        } else if judged.is_instance_of::<PyBool>() {
            Outcome::Success
        } else {
            failure(judged.extract()?)
        };
        self.end(py, outcome);
        Ok(())
    }
}

fn failure(retry_after: f64) -> Outcome {
    Outcome::Failure((retry_after > 0.0).then_some((retry_after * 1000.0) as u64))
}

#[pymethods]
impl BreakerCall {
    fn __enter__(slf: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        slf.enter(slf.py())?;
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        if kind.is_none() {
            self.end(py, Outcome::Success);
        } else {
            self.end_by(py, error)?;
        }
        Ok(false)
    }

    fn __aenter__(slf: Bound<'_, Self>) -> PyResult<Ready> {
        slf.get().enter(slf.py())?;
        Ok(Ready::new(slf.into_any().unbind()))
    }

    fn __aexit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<Ready> {
        self.__exit__(py, kind, error, traceback)?;
        Ok(Ready::new(py.None()))
    }

    /// Ends it as the provider's failure, which may have said after how many seconds to come back.
    #[pyo3(signature = (retry_after=0.0))]
    fn failure(&self, py: Python<'_>, retry_after: f64) {
        protect();
        self.end(py, failure(retry_after));
    }

    /// Ends it without a word about the provider.
    fn cancel(&self, py: Python<'_>) {
        protect();
        self.end(py, Outcome::Nothing);
    }

    /// Whether it is a trial of a half-open breaker.
    #[getter]
    fn is_trial(&self) -> bool {
        // SAFETY: the GIL is held, and the value is copied.
        unsafe { self.begun.with(|begun| begun.is_some_and(|begun| begun.permit.is_trial())) }
    }
}

impl Drop for BreakerCall {
    fn drop(&mut self) {
        // SAFETY: the GIL is held where Python objects are dropped; the end of a call that says nothing tells nobody.
        unsafe {
            if let (Some(begun), Some(circuit)) = (self.begun.with(Option::take), self.breaker.circuit()) {
                circuit.end(begun.permit, Outcome::Nothing, false, &Machine);
            }
        }
    }
}
