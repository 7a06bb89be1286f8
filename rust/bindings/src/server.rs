//! `MetricsServer`: a thread that serves a registry on a port of its own and never takes the GIL.

use crate::registry::Registry;
use crate::responder::{access_of, Access, NativeRoute};
#[cfg(target_os = "linux")]
use crate::state::{breaker_metrics, breaker_metrics::prefix, distinct, job_metrics, providers};
use crate::thread_exit::protect;
use ferrometer_core::registry::Registry as Core;
#[cfg(target_os = "linux")]
use ferrometer_server::Directory;
use ferrometer_server::{Exposition, Local, Options, Route, Server};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Seconds after which a running job counts as stuck, unless the settings say otherwise.
pub const STUCK_SECONDS: f64 = 7200.0;

/// The registries that the thread reads.
type Kept = [Arc<Core>; 2];

/// Serves from its making until it is stopped, or forgotten.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct MetricsServer {
    address: SocketAddr,
    /// Nothing once it is stopped. The lock is held for a glance, with the GIL.
    server: Mutex<Option<Server>>,
    /// Dropped after the thread, so that families end where the GIL is held.
    _kept: Option<Kept>,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
impl MetricsServer {
    #[new]
    #[pyo3(signature = (registry, host, port, *, access=None, figures=None, prefix="", native=false,
                        routes=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords, of which ferrometer.endpoints.own_port gives all")]
    fn new(
        py: Python<'_>,
        registry: &Bound<'_, Registry>,
        host: String,
        port: u16,
        access: Option<&Bound<'_, Access>>,
        figures: Option<&Bound<'_, Registry>>,
        prefix: &str,
        native: bool,
        routes: Option<Vec<Bound<'_, NativeRoute>>>,
    ) -> PyResult<Self> {
        let (access, routes) = (access_of(access), routes_of(routes));
        let figures = figures.unwrap_or(registry).get().core.clone();
        let registry = registry.get().core.clone();
        let kept = [registry.clone(), figures.clone()];
        let source = Local { registry, figures: (figures, prefix.to_owned()) };
        Self::start(py, Options { host, port, access, native, routes }, Arc::new(source), Some(kept))
    }

    /// Serves what the processes that record into a directory have recorded; `namespace` is what the names of
    /// the service's own families begin with.
    #[cfg(target_os = "linux")]
    #[staticmethod]
    #[pyo3(signature = (directory, host, port, *, access=None, namespace=None, native=false, routes=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords, of which ferrometer.endpoints.own_port gives all")]
    fn of_directory(
        py: Python<'_>,
        directory: PathBuf,
        host: String,
        port: u16,
        access: Option<&Bound<'_, Access>>,
        namespace: Option<&str>,
        native: bool,
        routes: Option<Vec<Bound<'_, NativeRoute>>>,
    ) -> PyResult<Self> {
        let (access, routes) = (access_of(access), routes_of(routes));
        let prefix = prefix(namespace.unwrap_or_default());
        let source = Directory::new(&directory, namespace)?
            .with(breaker_metrics::of_directory(None, &directory))
            .with(breaker_metrics::of_directory(Some(&prefix), &directory))
            .with(distinct::of_directory(&prefix, &directory))
            .with(job_metrics::of_directory(&prefix, &directory, STUCK_SECONDS))
            .with(providers::of_directory(None, &directory))
            .with(providers::of_directory(Some(&prefix), &directory));
        Self::start(py, Options { host, port, access, native, routes }, Arc::new(source), None)
    }

    /// The port it listens on.
    #[getter]
    fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address it listens on.
    #[getter]
    fn host(&self) -> String {
        self.address.ip().to_string()
    }

    /// Whether it serves: not once it is stopped, nor in a forked child.
    #[getter]
    fn running(&self) -> bool {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(Server::is_running)
    }

    /// Ends the thread and waits for it, half a second at the most and the length of a scrape. Nothing when
    /// it is stopped already.
    fn stop(&self, py: Python<'_>) {
        protect();
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(server));
    }
}

impl MetricsServer {
    fn start(py: Python<'_>, options: Options, source: Arc<dyn Exposition>, kept: Option<Kept>) -> PyResult<Self> {
        protect();
        let (host, port) = (options.host.clone(), options.port);
        let server = py.detach(|| Server::start(options, source)).map_err(|error| refused(&error, &host, port))?;
        Ok(MetricsServer { address: server.address(), server: Mutex::new(Some(server)), _kept: kept })
    }
}

fn routes_of(routes: Option<Vec<Bound<'_, NativeRoute>>>) -> Vec<Arc<dyn Route>> {
    routes.unwrap_or_default().iter().map(|route| route.get().route.clone()).collect()
}

/// What Python raises when it cannot listen: an `OSError` of the error's own kind.
fn refused(error: &io::Error, host: &str, port: u16) -> PyErr {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "the port is taken: stop what listens there, or choose another port (0: any)",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
        _ => "",
    };
    let colon = if hint.is_empty() { "" } else { ": " };
    let text = format!("cannot serve metrics on {host}, port {port}: {error}{colon}{hint}");
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}
