//! The series of one endpoint, found once and then held by address.
//!
//! Series that most endpoints never need (exceptions, disconnects, first bytes, request bodies) are made when they
//! are first needed, so that they cost neither memory nor lines of exposition before.

use super::held::Held;
use super::shared::Shared;
use crate::middleware::METHODS;
use ferrometer_core::cell::CounterCell;
use ferrometer_core::error::Error;
use ferrometer_core::family::Family;
use ferrometer_core::histogram::Histogram;
use std::cell::{OnceCell, UnsafeCell};
use std::rc::Rc;

/// A route template and its series.
pub struct Endpoint {
    name: Box<str>,
    methods: [OnceCell<Box<Measured>>; METHODS.len()],
    socket: OnceCell<Rc<SocketSeries>>,
}

impl Endpoint {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), methods: Default::default(), socket: OnceCell::new() }
    }

    /// The template.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The series for a method, by its index into [`METHODS`]; `None` before the first [`measured`](Self::measured).
    #[inline(always)]
    pub fn known(&self, method: usize) -> Option<&Measured> {
        self.methods.get(method)?.get().map(|measured| &**measured)
    }

    /// The series for a method, made when they are not there.
    #[cold]
    pub fn measured(&self, shared: &Shared, method: usize) -> Result<&Measured, Error> {
        let cell = &self.methods[method];
        if cell.get().is_none() {
            let fresh = Measured::new(shared, METHODS[method], &self.name)?;
            // Nothing above runs Python code or lets the GIL go, so nobody was here meanwhile.
            let _ = cell.set(Box::new(fresh));
        }
        Ok(cell.get().expect("set above"))
    }

    /// The websocket series, made when they are not there.
    pub fn socket(&self, shared: &Shared) -> Result<Rc<SocketSeries>, Error> {
        if self.socket.get().is_none() {
            let _ = self.socket.set(Rc::new(SocketSeries::new(shared, &self.name)?));
        }
        Ok(self.socket.get().expect("set above").clone())
    }
}

/// The series of one method on one endpoint.
pub struct Measured {
    method: &'static str,
    endpoint: Box<str>,
    /// Few endpoints answer with more than three different statuses, and mostly with the first.
    statuses: UnsafeCell<Vec<(u16, Held<CounterCell>)>>,
    pub duration: Held<Histogram>,
    pub response_bytes: Held<CounterCell>,
    request_bytes: OnceCell<Held<CounterCell>>,
    first_byte: OnceCell<Held<Histogram>>,
}

impl Measured {
    fn new(shared: &Shared, method: &'static str, endpoint: &str) -> Result<Self, Error> {
        let labels = [method, endpoint];
        Ok(Self {
            method,
            endpoint: endpoint.into(),
            statuses: UnsafeCell::default(),
            duration: Held::histogram(&shared.duration, &labels)?,
            response_bytes: Held::counter(&shared.response_bytes, &labels)?,
            request_bytes: OnceCell::new(),
            first_byte: OnceCell::new(),
        })
    }

    /// The counter of requests that ended with this status, if there was one before.
    #[inline(always)]
    pub fn status(&self, status: u16) -> Option<&CounterCell> {
        // SAFETY: the GIL is held, and nobody adds to the list while this is borrowed: the caller counts at once.
        let statuses = unsafe { &*self.statuses.get() };
        statuses.iter().find(|(known, _)| *known == status).map(|(_, cell)| &**cell)
    }

    /// Counts one request that ended with this status.
    #[cold]
    pub fn count(&self, shared: &Shared, status: u16) -> Result<(), Error> {
        if let Some(cell) = self.status(status) {
            cell.inc();
            return Ok(());
        }
        let text = if status < 200 { "OTHER".into() } else { status.to_string() };
        let cell = Held::counter(&shared.requests, &[self.method, &self.endpoint, &text])?;
        cell.inc();
        // SAFETY: the GIL is held, and nothing is borrowed: `Held::counter` takes a lock of the family and runs no
        // Python code.
        unsafe { (*self.statuses.get()).push((status, cell)) };
        Ok(())
    }

    /// The counter of request bytes, if there was one before.
    #[inline(always)]
    pub fn known_request_bytes(&self) -> Option<&CounterCell> {
        self.request_bytes.get().map(|cell| &**cell)
    }

    /// The counter of request bytes.
    #[inline]
    pub fn request_bytes(&self, shared: &Shared) -> Result<&CounterCell, Error> {
        if self.request_bytes.get().is_none() {
            let cell = Held::counter(&shared.request_bytes, &[self.method, &self.endpoint])?;
            let _ = self.request_bytes.set(cell);
        }
        Ok(self.request_bytes.get().expect("set above"))
    }

    /// The histogram of the time to the first byte.
    #[inline]
    pub fn first_byte(&self, shared: &Shared) -> Result<&Histogram, Error> {
        if self.first_byte.get().is_none() {
            let cell = Held::histogram(&shared.first_byte, &[self.method, &self.endpoint])?;
            let _ = self.first_byte.set(cell);
        }
        Ok(self.first_byte.get().expect("set above"))
    }

    /// Records how long the application went on after its response; `None` where nobody looked.
    #[cold]
    pub fn background(&self, family: &Family, seconds: Option<f64>) -> Result<(), Error> {
        let series = family.series(&[self.method, &self.endpoint])?;
        if let Some(seconds) = seconds {
            series.histogram().record_sample(seconds);
        } else {
            series.histogram().hold();
        }
        Ok(())
    }

    /// Counts what is rare enough to look its series up each time.
    #[cold]
    pub fn rare(&self, family: &Family, third: Option<&str>) -> Result<(), Error> {
        let (method, endpoint) = (self.method, &*self.endpoint);
        let series = match third {
            Some(third) => family.series(&[method, endpoint, third]),
            None => family.series(&[method, endpoint]),
        }?;
        series.counter().inc();
        Ok(())
    }
}

/// The websocket series of an endpoint; a connection holds them from its acceptance to its end.
pub struct SocketSeries {
    endpoint: Box<str>,
    pub received: Held<CounterCell>,
    pub sent: Held<CounterCell>,
    pub duration: Held<Histogram>,
}

impl SocketSeries {
    fn new(shared: &Shared, endpoint: &str) -> Result<Self, Error> {
        Ok(Self {
            endpoint: endpoint.into(),
            received: Held::counter(&shared.socket_messages, &[endpoint, "received"])?,
            sent: Held::counter(&shared.socket_messages, &[endpoint, "sent"])?,
            duration: Held::histogram(&shared.socket_duration, &[endpoint])?,
        })
    }

    /// Whether a family has lost one of the series since.
    pub fn is_removed(&self) -> bool {
        self.received.is_removed() || self.sent.is_removed() || self.duration.is_removed()
    }

    /// Counts an event in a connection's life.
    pub fn outcome(&self, shared: &Shared, outcome: &str) -> Result<(), Error> {
        shared.socket_connections.series(&[&self.endpoint, outcome])?.counter().inc();
        Ok(())
    }
}
