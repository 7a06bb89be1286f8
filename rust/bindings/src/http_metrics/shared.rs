//! The HTTP families of one registry, whoever records into them.

use super::active::Active;
use super::application::Applications;
use super::definition::definition;
use super::held::Held;
use ferrometer_core::cell::GaugeCell;
use ferrometer_core::clock::now;
use ferrometer_core::error::Error;
use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::histogram::Layout;
use ferrometer_core::mode::Mode;
use ferrometer_core::registry::Registry;
use ferrometer_server::requests::START;
use std::cell::{Cell, OnceCell, RefCell};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The upper bounds, in seconds, that `prometheus_client` has made everybody expect.
pub const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Websockets live for hours.
const SOCKET_BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

/// The families, and which requests are being measured now. One per registry, so that two middlewares around one
/// another know of each other.
///
/// Everything that is not a family is only touched with the GIL held.
pub struct Shared {
    pub requests: Arc<Family>,
    pub duration: Arc<Family>,
    pub first_byte: Arc<Family>,
    pub request_bytes: Arc<Family>,
    pub response_bytes: Arc<Family>,
    pub in_flight: Held<GaugeCell>,
    pub requests_in_flight: Arc<Family>,
    pub exceptions: Arc<Family>,
    pub disconnects: Arc<Family>,
    pub cancelled: Arc<Family>,
    pub socket_connections: Arc<Family>,
    pub socket_active: Held<GaugeCell>,
    pub socket_messages: Arc<Family>,
    pub socket_duration: Arc<Family>,
    /// How long applications go on after their response is complete; made when the first one does.
    background: OnceCell<Arc<Family>>,
    pub active: Active,
    /// Where the instruments that record here keep what they know of removals; see [`Instrument::heed`](super::Instrument).
    pub heeded: RefCell<Vec<NonNull<Cell<u64>>>>,
    /// How many middlewares record here.
    pub middlewares: Cell<usize>,
    /// When this process was instrumented; the application's start is the least of all processes'.
    pub start: Arc<Family>,
    /// Who records here.
    pub applications: Applications,
    registry: Weak<Registry>,
    /// Prefixes whose views are in the registry, which then owns this.
    namespaces: Mutex<Vec<String>>,
}

// SAFETY: families and gauges are `Sync` by themselves; `middlewares`, `active`, `heeded`, `background`, `applications`
// and `totals` are only set with the GIL held, `totals` once, and dropping them touches nothing.
unsafe impl Send for Shared {}
// SAFETY: what is not `Sync` by itself is only touched with the GIL held.
unsafe impl Sync for Shared {}

/// Which registry has which `Shared`.
static ALL: Mutex<Vec<(Weak<Registry>, Weak<Shared>)>> = Mutex::new(Vec::new());

impl Shared {
    /// The one of this registry, made when it has none.
    ///
    /// # Errors
    /// When one of the names belongs to another metric, or to a histogram with other buckets.
    pub fn of(registry: &Arc<Registry>, buckets: &[f64]) -> Result<Arc<Self>, Error> {
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(registry, shared)| registry.strong_count() > 0 && shared.strong_count() > 0);
        let known = all.iter().find(|(other, _)| std::ptr::eq(other.as_ptr(), Arc::as_ptr(registry)));
        if let Some(known) = known.and_then(|(_, shared)| shared.upgrade()) {
            // The families exist; what is left to check is that the buckets are the same.
            registry.family(duration(buckets)?)?;
            return Ok(known);
        }
        let shared = Arc::new(Self::new(registry, buckets)?);
        all.push((Arc::downgrade(registry), Arc::downgrade(&shared)));
        Ok(shared)
    }

    fn new(registry: &Arc<Registry>, buckets: &[f64]) -> Result<Self, Error> {
        let family = |name, help, kind, labels: &[&str]| registry.family(definition(name, help, "", kind, labels));
        let in_flight =
            family("http_requests_in_flight", "HTTP requests being served now.", Kind::Gauge(Mode::LiveSum), &[])?;
        let socket_active =
            family("websocket_connections_active", "Open websockets.", Kind::Gauge(Mode::LiveSum), &[])?;
        let start = family(
            START,
            "When the application was first instrumented, in seconds since 1970.",
            Kind::Gauge(Mode::Min),
            &[],
        )?;
        start.series(&[])?.gauge().set_at(now(), now());
        let route = ["method", "endpoint"];
        Ok(Self {
            requests: family(
                "http_requests",
                "HTTP requests served, by the status the client was sent.",
                Kind::Counter,
                &["method", "endpoint", "status"],
            )?,
            duration: registry.family(duration(buckets)?)?,
            first_byte: registry.family(definition(
                "http_response_first_byte_seconds",
                "Time to the first chunk of a streamed response.",
                "seconds",
                Kind::Histogram(Layout::new(buckets)?),
                &route,
            ))?,
            request_bytes: family(
                "http_request_body_bytes",
                "Request bodies as announced by Content-Length.",
                Kind::Counter,
                &route,
            )?,
            response_bytes: family("http_response_body_bytes", "Response bodies sent.", Kind::Counter, &route)?,
            in_flight: Held::gauge(&in_flight, &[])?,
            requests_in_flight: in_flight,
            exceptions: family(
                "http_exceptions",
                "Exceptions that left the application. The status is 500 unless a response had been completed before.",
                Kind::Counter,
                &["method", "endpoint", "exception"],
            )?,
            disconnects: family(
                "http_client_disconnects",
                "Requests whose client went away before the response was complete.",
                Kind::Counter,
                &route,
            )?,
            cancelled: family(
                "http_requests_cancelled",
                "Requests cancelled before the response was complete, not because of the client.",
                Kind::Counter,
                &route,
            )?,
            socket_connections: family(
                "websocket_connections",
                "Websockets by what happened: accepted, rejected, and after acceptance closed, error or cancelled.",
                Kind::Counter,
                &["endpoint", "outcome"],
            )?,
            socket_active: Held::gauge(&socket_active, &[])?,
            socket_messages: family(
                "websocket_messages",
                "Websocket messages received and sent.",
                Kind::Counter,
                &["endpoint", "direction"],
            )?,
            socket_duration: registry.family(definition(
                "websocket_duration_seconds",
                "How long websockets stayed open after their acceptance.",
                "seconds",
                Kind::Histogram(Layout::new(&SOCKET_BUCKETS)?),
                &["endpoint"],
            ))?,
            background: OnceCell::new(),
            active: Active::new(),
            heeded: RefCell::default(),
            middlewares: Cell::new(0),
            start,
            applications: Applications::default(),
            registry: Arc::downgrade(registry),
            namespaces: Mutex::default(),
        })
    }

    /// The family of the time from the end of a response to the end of its application.
    pub fn background(&self) -> Result<&Family, Error> {
        if self.background.get().is_none() {
            let definition = definition(
                "http_background_duration_seconds",
                "Time that an application went on after its response was complete, in background tasks for one.",
                "seconds",
                Kind::Histogram(Layout::new(&SOCKET_BUCKETS)?),
                &["method", "endpoint"],
            );
            let family = match self.registry.upgrade() {
                Some(registry) => registry.family(definition)?,
                None => Family::new(definition, ""),
            };
            let _ = self.background.set(family);
        }
        Ok(self.background.get().expect("set above"))
    }

    /// The families whose series are held by address.
    fn held(&self) -> [&Arc<Family>; 7] {
        [
            &self.requests,
            &self.duration,
            &self.first_byte,
            &self.request_bytes,
            &self.response_bytes,
            &self.socket_messages,
            &self.socket_duration,
        ]
    }

    /// How often these have lost series.
    pub fn removals(&self) -> u64 {
        self.held().into_iter().map(|family| family.removals()).sum()
    }

    /// Notes that the views of a namespace are registered; `false` when they were before.
    pub fn add_namespace(&self, namespace: &str) -> bool {
        let mut all = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = !all.iter().any(|known| known == namespace);
        if fresh {
            all.push(namespace.into());
        }
        fresh
    }

    /// Takes such a note back.
    pub fn remove_namespace(&self, namespace: &str) {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known != namespace);
    }

    /// Counts a fault of the middleware itself. It has stepped aside; the request goes on unmeasured.
    #[cold]
    #[inline(never)]
    pub fn fault(&self, reason: &str) {
        let definition = definition(
            "ferrometer_middleware_errors",
            "Times the middleware stepped aside because of a fault of its own or a malformed scope.",
            "",
            Kind::Counter,
            &["reason"],
        );
        let Some(registry) = self.registry.upgrade() else { return };
        // When even this name is taken by the user there is nowhere left to say so.
        let family = registry.family(definition);
        if let Ok(series) = family.and_then(|family| family.series(&[reason])) {
            series.counter().inc();
        }
    }
}

/// A family has lost series in this process: who holds cells of it looks them up again.
pub fn series_removed(family: &Family) {
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    for shared in all.iter().filter_map(|(_, shared)| shared.upgrade()) {
        if shared.held().into_iter().any(|held| std::ptr::eq(&raw const **held, family)) {
            for heeded in shared.heeded.borrow().iter() {
                // SAFETY: an instrument takes its address out of the list before it dies; the GIL is held.
                unsafe { heeded.as_ref() }.set(u64::MAX);
            }
        }
    }
}

fn duration(buckets: &[f64]) -> Result<Definition, Error> {
    Ok(definition(
        "http_request_duration_seconds",
        "Time from the request's start to the end of its response.",
        "seconds",
        Kind::Histogram(Layout::new(buckets)?),
        &["method", "endpoint"],
    ))
}
