//! `Responder`: what the application's own endpoints answer, from the responder of the own port; `Access`: who may ask.

use crate::gil::released;
use crate::handover;
use crate::metric::state::Metric;
use crate::registry::{log_damage, Registry};
use ferrometer_core::family::Family;
use ferrometer_core::fork::beside;
use ferrometer_core::registry::Registry as Core;
use ferrometer_server::accept;
use ferrometer_server::access::Digest;
use ferrometer_server::requests::Requests;
use ferrometer_server::responder::{answer_of, finished, refusal, Known, Page, Target, Wanted};
use ferrometer_server::stats_json::now;
use ferrometer_server::{Additions, Asked, Exposition, Format, Local, Network, Peer, Route, Secrets};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, CONTENT_TYPE};
use hyper::{Method, Response, StatusCode};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Decides who may read: by SHA-256 digests of secrets, and by networks.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct Access {
    pub core: Arc<ferrometer_server::Access>,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
impl Access {
    #[new]
    #[pyo3(signature = (*, tokens=None, user=None, networks=None, unix=false))]
    fn new(
        tokens: Option<Vec<Digest>>,
        user: Option<(Digest, Digest)>,
        networks: Option<Vec<(String, u32)>>,
        unix: bool,
    ) -> PyResult<Self> {
        let network = |(address, prefix): (String, u32)| {
            let network = address.parse::<IpAddr>().ok().and_then(|address| Network::new(address, prefix));
            network.ok_or_else(|| PyValueError::new_err(format!("no network: {address}/{prefix}")))
        };
        let networks = networks.map(|all| all.into_iter().map(network).collect::<PyResult<_>>()).transpose()?;
        let secrets = match (tokens, user) {
            (None, None) => Secrets::Open,
            (Some(tokens), None) => Secrets::Bearer(tokens),
            (None, Some((user, password))) => Secrets::Basic(user, password),
            (Some(_), Some(_)) => return Err(PyValueError::new_err("tokens or a user, not both")),
        };
        Ok(Access { core: Arc::new(ferrometer_server::Access { secrets, networks, unix }) })
    }

    /// Whether a client with this address may ask; None is a Unix socket.
    fn admits(&self, host: Option<&str>) -> bool {
        self.core.admits(Peer::of(host))
    }

    /// None for a request whose headers hold the right secret or a session, else the challenge of the 401.
    fn challenge(&self, headers: Vec<(Vec<u8>, Vec<u8>)>) -> Option<&'static str> {
        self.core.challenge(&header_map(&headers))
    }
}

/// An answer of another native crate, for a `Responder` or a `MetricsServer`.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct NativeRoute {
    pub route: Arc<dyn Route>,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
impl NativeRoute {
    /// The same answer below an application, where somebody else has checked who asks and how: status, headers, body.
    /// The GIL is released while it is made.
    #[pyo3(signature = (method, path, query, headers, host, body=None))]
    #[expect(clippy::too_many_arguments, reason = "a request has so many parts")]
    fn respond<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        path: &str,
        query: &str,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        host: Option<&str>,
        body: Option<&[u8]>,
    ) -> PyResult<Told<'py>> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let headers = header_map(&headers);
        let query = Some(query).filter(|query| !query.is_empty());
        let peer = Peer::of(host);
        let asked = Asked { method: &method, path, query, headers: &headers, peer, body: body.unwrap_or_default() };
        told(py, released(py, || answer_of(&*self.route, &asked)), &method)
    }
}

/// An answer in plain words.
pub fn plain(status: StatusCode, words: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(words.as_bytes().to_vec());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Status, headers, body.
type Told<'py> = (u16, Vec<(String, String)>, Bound<'py, PyBytes>);

/// Answers requests to the application as the own port does.
#[pyclass(frozen, module = "ferrometer._core")]
pub struct Responder {
    core: ferrometer_server::Responder,
    /// Dropped after the responder, so that families end where the GIL is held.
    _kept: [Arc<Core>; 2],
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned lists")]
impl Responder {
    /// `registry` is what `/metrics` shows and where the requests are counted; the JSON's other numbers are in
    /// `figures`, their names begin with `prefix`.
    #[new]
    #[pyo3(signature = (registry, *, access=None, figures=None, prefix="", native_histograms=false, routes=None))]
    fn new(
        registry: &Bound<'_, Registry>,
        access: Option<&Bound<'_, Access>>,
        figures: Option<&Bound<'_, Registry>>,
        prefix: &str,
        native_histograms: bool,
        routes: Option<Vec<Bound<'_, NativeRoute>>>,
    ) -> Self {
        let figures = figures.unwrap_or(registry).get().core.clone();
        let registry = registry.get().core.clone();
        let kept = [registry.clone(), figures.clone()];
        let source = Arc::new(Local { registry, figures: (figures, prefix.to_owned()) });
        let core = ferrometer_server::Responder::new(source, access_of(access), native_histograms);
        let routes = routes.unwrap_or_default();
        let core = routes.iter().fold(core, |core, route| core.with(route.get().route.clone()));
        Responder { core, _kept: kept }
    }

    /// Status, headers and body. The GIL is released while the answer is made.
    ///
    /// `from_python` is asked for the families of `/metrics` that only Python can tell: it is called with the format
    /// ("text", "openmetrics", "protobuf" or "native protobuf"), the escaping and the names that are asked for, or
    /// None, and returns the metrics to leave out and what to write before and after; or the whole exposition.
    /// `timestamp` and `health` go into the JSON: when the health was looked at, and members with a comma behind each.
    /// `requests` are the numbers of `HttpMetrics.snapshot()`, where something else counts them.
    #[pyo3(signature = (method, path, query, headers, host, body=None, *, from_python=None, timestamp=None, health="",
                        requests=None))]
    #[expect(clippy::too_many_arguments, reason = "a request has so many parts; all but one caller name them")]
    fn respond<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        path: &str,
        query: &str,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        host: Option<&str>,
        body: Option<&[u8]>,
        from_python: Option<&Bound<'py, PyAny>>,
        timestamp: Option<&str>,
        health: &str,
        requests: Option<HashMap<String, f64>>,
    ) -> PyResult<Told<'py>> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let headers = header_map(&headers);
        let query = Some(query).filter(|query| !query.is_empty());
        let peer = Peer::of(host);
        let asked = Asked { method: &method, path, query, headers: &headers, peer, body: body.unwrap_or_default() };
        let Some(target) = self.core.target(path) else { return told(py, refusal(StatusCode::NOT_FOUND), &method) };
        if let Some(refused) = self.core.refuse(&target, &asked) {
            return told(py, refused, &method);
        }
        let response = match (&target, from_python) {
            (Target::Page(Page::Metrics), Some(from_python)) => {
                let wanted = self.core.wanted(&headers, query, true);
                let added = Added::ask(from_python, &wanted)?;
                let left_out =
                    |family: &Family| added.left_out.iter().any(|other| std::ptr::eq(&raw const **other, family));
                let additions = Additions {
                    before: &added.before,
                    after: &added.after,
                    leave_out: Some(&left_out),
                    whole: added.whole.as_deref(),
                };
                released(py, || self.core.metrics(&wanted, &additions))
            }
            (Target::Page(page @ (Page::Stats | Page::Polling | Page::Monitor)), _) => {
                let known = Known { timestamp, health, requests: requests.as_ref().map(requests_of).transpose()? };
                released(py, || self.core.json(*page, &known))
            }
            _ => released(py, || self.core.answer(&target, &asked)),
        };
        log_damage(py);
        told(py, response, &method)
    }
}

/// The rules, or everybody.
pub fn access_of(access: Option<&Bound<'_, Access>>) -> Arc<ferrometer_server::Access> {
    let everybody = || Arc::new(ferrometer_server::Access { secrets: Secrets::Open, networks: None, unix: false });
    access.map_or_else(everybody, |access| access.get().core.clone())
}

/// The JSON of `/models/stats`; the family of the models' costs has a name that begins with `prefix`, or none before it.
/// The GIL is released.
#[pyfunction]
pub fn models_stats(py: Python<'_>, registry: &Bound<'_, Registry>, prefix: &str) -> String {
    let registry = registry.get().core.clone();
    let local = Local { figures: (registry.clone(), prefix.to_owned()), registry };
    released(py, || beside(|| local.models()).json(&now()))
}

/// The format that an Accept header prefers, the escaping of odd names, and the media type.
#[pyfunction]
pub fn choose_format(accept: Option<&str>) -> (&'static str, &'static str, String) {
    let choice = accept::choose(accept, true);
    (name_of(choice.format), choice.escaping, choice.media_type)
}

fn name_of(format: Format) -> &'static str {
    match format {
        Format::Text => "text",
        Format::OpenMetrics => "openmetrics",
        Format::Protobuf => "protobuf",
        Format::NativeProtobuf => "native protobuf",
    }
}

/// What Python has to add to an exposition.
#[derive(Default)]
struct Added {
    left_out: Vec<Arc<Family>>,
    before: Vec<u8>,
    after: Vec<u8>,
    whole: Option<Vec<u8>>,
}

impl Added {
    fn ask(from_python: &Bound<'_, PyAny>, wanted: &Wanted) -> PyResult<Self> {
        let answer =
            from_python.call1((name_of(wanted.choice.format), wanted.choice.escaping, wanted.names.as_ref()))?;
        if let Ok(whole) = answer.cast::<PyBytes>() {
            return Ok(Added { whole: Some(whole.as_bytes().to_vec()), ..Added::default() });
        }
        let (metrics, before, after) = answer.extract::<(Vec<Bound<'_, Metric>>, Vec<u8>, Vec<u8>)>()?;
        let families = metrics.iter().map(|metric| Ok(metric.get().parent()?.family.clone()));
        Ok(Added { left_out: families.collect::<PyResult<_>>()?, before, after, whole: None })
    }
}

/// The headers of a request; what is none is left out.
fn header_map(headers: &[(Vec<u8>, Vec<u8>)]) -> HeaderMap {
    let pairs = headers
        .iter()
        .filter_map(|(name, value)| Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?)));
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(name, value);
    }
    map
}

fn requests_of(snapshot: &HashMap<String, f64>) -> PyResult<(Requests, f64)> {
    let number = |key: &str| snapshot.get(key).copied().ok_or_else(|| PyKeyError::new_err(key.to_owned()));
    let count = |key: &str| number(key).map(|number| number.max(0.0) as u64);
    let requests = Requests {
        total: count("total")?,
        failed: count("failed")?,
        in_flight: count("in_flight")?,
        success_rate: number("success_rate")?,
        milliseconds: [number("p50_ms")?, number("p95_ms")?, number("p99_ms")?, number("avg_ms")?],
        ..Requests::default()
    };
    Ok((requests, number("uptime_seconds")?))
}

fn told<'py>(py: Python<'py>, response: Response<Vec<u8>>, method: &Method) -> PyResult<Told<'py>> {
    let (head, body) = finished(response, method).into_parts();
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|&byte| char::from(byte)).collect();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Ok((head.status.as_u16(), headers, handover::bytes(py, body)?))
}
