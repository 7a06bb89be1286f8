//! `History`: the store of the last day, its thread, and the API over it.

use crate::registry::Registry;
use crate::responder::NativeRoute;
use crate::thread_exit::protect;
use ferrometer_core::labels::Labels;
use ferrometer_core::registry::{Computed, Sample, Source, Value};
use ferrometer_core::scrape::Scrape;
use ferrometer_history::api::{Api, ApiLimits, Asked};
use ferrometer_history::history::{now_ms, History as Core, SelfMetrics};
use ferrometer_history::level::Plan;
use ferrometer_server::{accept, Asked as ServerAsked, Peer, Route};
use hyper::header::{HeaderValue, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use hyper::{Method, Response, StatusCode};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The histories of this process, in the order in which they were started; those that were stopped come first.
static STARTED: Mutex<Vec<(Weak<Core>, Arc<Api>)>> = Mutex::new(Vec::new());

fn started() -> MutexGuard<'static, Vec<(Weak<Core>, Arc<Api>)>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one that was started last: whose self-metrics the registries show, and which a port of its own asks.
fn latest() -> Option<(Arc<Core>, Arc<Api>)> {
    // In the child of a fork there are the parent's, whose locks may be held for ever.
    let alive =
        |(core, api): &(Weak<Core>, Arc<Api>)| Some((core.upgrade().filter(|core| core.is_here())?, api.clone()));
    started().iter().rev().find_map(alive)
}

struct Latest;

impl Source for Latest {
    fn collect(&self, scrape: &Scrape, out: &mut Vec<Computed>) {
        let core = latest().map(|(core, _)| Arc::downgrade(&core));
        SelfMetrics(core.unwrap_or_default()).collect(scrape, out);
    }

    fn names(&self) -> Vec<String> {
        SelfMetrics(Weak::new()).names()
    }
}

/// A metric's name, its labels and a value.
type Recorded = (String, Vec<(String, String)>, f64);

/// What is remembered of a registry, or of the processes that share a directory.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct History {
    plan: Plan,
    directory: Option<PathBuf>,
    /// Another one in the child of a fork. The lock is held for a glance, with the GIL.
    core: Mutex<Arc<Core>>,
    api: Arc<Api>,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned values")]
impl History {
    /// Nothing is recorded before `start`. `keep` are the seconds that the four levels reach back.
    #[new]
    #[pyo3(signature = (directory=None, *, keep=None, budget=None, marks=None, seconds=None, samples=None,
        result_bytes=None, per_client=None, at_once=None, job=""))]
    #[expect(clippy::too_many_arguments, reason = "keywords, of which ferrometer.history.feature gives all")]
    fn new(
        directory: Option<PathBuf>,
        keep: Option<[f64; 4]>,
        budget: Option<usize>,
        marks: Option<Vec<String>>,
        seconds: Option<f64>,
        samples: Option<u64>,
        result_bytes: Option<usize>,
        per_client: Option<usize>,
        at_once: Option<usize>,
        job: &str,
    ) -> PyResult<Self> {
        let mut plan = Plan::default();
        if let Some(keep) = keep {
            if keep.iter().any(|seconds| !(1.0..=1e10).contains(seconds)) {
                return Err(PyValueError::new_err(format!("each level keeps 1 second at least, not {keep:?}")));
            }
            plan = Plan::new(keep.map(|seconds| (seconds * 1000.0) as i64), plan.budget);
        }
        plan.budget = budget.unwrap_or(plan.budget);
        plan.marks = marks.unwrap_or(plan.marks);
        let known = ApiLimits::default();
        let limits = ApiLimits {
            seconds: seconds.unwrap_or(known.seconds),
            samples: samples.unwrap_or(known.samples),
            bytes: result_bytes.unwrap_or(known.bytes),
            per_client: per_client.unwrap_or(known.per_client),
            at_once: at_once.unwrap_or(known.at_once),
        };
        let core = Mutex::new(Arc::new(Core::new(plan.clone(), directory.as_deref())));
        Ok(History { plan, directory, core, api: Arc::new(Api::new(limits, job)) })
    }

    /// Begins to record this registry, as soon as no other process of the directory does.
    fn start(&self, py: Python<'_>, registry: &Bound<'_, Registry>) -> PyResult<()> {
        let core = self.core();
        let own = Arc::downgrade(&core);
        let mut all = started();
        all.retain(|(other, _)| other.strong_count() > 0 && !other.ptr_eq(&own));
        all.push((own, self.api.clone()));
        drop(all);
        let registry = registry.get().core.clone();
        // Refused where an earlier history's self-metrics are there: they are about the latest one.
        let _ = registry.register_source(Arc::new(Latest), "ferrometer's history about itself");
        protect();
        let directory = self.directory.clone();
        py.detach(|| core.start(&registry)).map_err(|error| refused(&error, directory))
    }

    /// Ends the thread and waits for it; another process goes on. Nothing when it was not started.
    fn stop(&self, py: Python<'_>) {
        let core = self.core();
        let own = Arc::downgrade(&core);
        // One that still runs is asked before one that does not.
        started().sort_by_key(|(other, _)| !other.ptr_eq(&own));
        protect();
        py.detach(|| core.stop());
    }

    /// In the child of a fork: the parent's thread and files are not here.
    fn after_fork(&self) {
        let fresh = Arc::new(Core::new(self.plan.clone(), self.directory.as_deref()));
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        // Its locks may be held by threads that are not here.
        std::mem::forget(std::mem::replace(&mut *core, fresh));
    }

    /// The API as answers of a port: `/api/v1/`, and `/`, which some clients ask first.
    fn routes(&self) -> Vec<NativeRoute> {
        let source = Asks::One(self.core(), self.api.clone());
        routes_of(&source)
    }

    /// The same for the history of this process that was started last, whenever that is.
    #[staticmethod]
    fn latest_routes() -> Vec<NativeRoute> {
        routes_of(&Asks::Latest)
    }

    /// Records these, too, with each look, until others take their place: a metric's name, its labels and a value each.
    fn record(&self, samples: Vec<Recorded>) {
        let mut families: Vec<Computed> = Vec::new();
        for (name, labels, value) in samples {
            let (names, values): (Vec<&str>, Vec<&str>) =
                labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).unzip();
            let mut text = Vec::new();
            Labels::new(&names).render(&values, &mut text);
            let labels = String::from_utf8_lossy(&text).into_owned();
            let sample = Sample { suffix: String::new(), labels, value: Value::Float(value) };
            match families.iter_mut().find(|family| family.name == name) {
                Some(family) => family.samples.push(sample),
                None => families.push(Computed {
                    name,
                    help: "A rule's result".into(),
                    kind: "gauge".into(),
                    samples: vec![sample],
                }),
            }
        }
        self.core().record(families);
    }

    /// Replaces a text that all processes of the directory read: `alerts` and `rules` are answers of the API.
    fn put_document(&self, name: &str, text: &str) -> PyResult<()> {
        Ok(self.core().documents().put(name, text)?)
    }

    /// A text as it was put last, by whichever process.
    fn document(&self, name: &str) -> Option<String> {
        self.core().documents().get(name)
    }

    /// Whether this process records.
    #[getter]
    fn writes(&self) -> bool {
        self.core().is_writer()
    }

    /// Answers a request to the API: status, media type and body. `path` is what follows `/api/v1/`.
    #[pyo3(signature = (method, path, parameters, client=""))]
    fn respond<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        path: &str,
        parameters: Vec<(String, String)>,
        client: &str,
    ) -> (u16, &'static str, Bound<'py, PyBytes>) {
        let (core, api) = (self.core(), self.api.clone());
        protect();
        let reply = py.detach(|| {
            let asked = Asked { method, path, parameters: &parameters, client, now_ms: now_ms() };
            api.respond(&core, &asked)
        });
        (reply.status, reply.media_type, PyBytes::new(py, reply.body.as_bytes()))
    }
}

/// Which history a route asks.
#[derive(Clone)]
enum Asks {
    One(Arc<Core>, Arc<Api>),
    Latest,
}

struct ApiRoute {
    asks: Asks,
    path: &'static str,
}

fn routes_of(asks: &Asks) -> Vec<NativeRoute> {
    let route = |path| NativeRoute { route: Arc::new(ApiRoute { asks: asks.clone(), path }) };
    [API, ROOT].map(route).into()
}

const API: &str = "/api/v1/";
const ROOT: &str = "/";

impl Route for ApiRoute {
    fn path(&self) -> &str {
        self.path
    }

    fn methods(&self) -> &[Method] {
        if self.path == API {
            &[Method::GET, Method::POST]
        } else {
            &[Method::GET]
        }
    }

    fn most_body(&self) -> usize {
        1 << 20
    }

    fn respond(&self, asked: &ServerAsked<'_>) -> Response<Vec<u8>> {
        let source = match &self.asks {
            Asks::One(core, api) => Some((core.clone(), api.clone())),
            Asks::Latest => latest(),
        };
        let Some((core, api)) = source.filter(|_| self.path == API || asked.path == ROOT) else {
            // As every unknown path of the port.
            return told(404, "text/plain; charset=utf-8", Vec::new());
        };
        if self.path == ROOT {
            return told(200, "text/plain; charset=utf-8", b"Prometheus's API is below api/v1/\n".to_vec());
        }
        let parameters = asked.parameters();
        let client = match asked.peer {
            Peer::Address(address) => address.to_string(),
            _ => String::new(),
        };
        let reply = api.respond(
            &core,
            &Asked {
                method: asked.method.as_str(),
                path: asked.path.strip_prefix(API).unwrap_or_default(),
                parameters: &parameters,
                client: &client,
                now_ms: now_ms(),
            },
        );
        let accepted = asked.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if reply.body.len() > 1024 && accept::gzip(accepted) {
            let mut response = told(reply.status, reply.media_type, reply.packed());
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            return response;
        }
        told(reply.status, reply.media_type, reply.body.into_bytes())
    }
}

fn told(status: u16, media_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

impl History {
    fn core(&self) -> Arc<Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn refused(error: &io::Error, directory: Option<PathBuf>) -> PyErr {
    let place = directory.map_or_else(|| "memory".to_owned(), |directory| directory.display().to_string());
    let text = format!("no history in {place}: {error}");
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}
