//! What each path answers: the one responder of the own port and of the application's endpoints.
//!
//! In this order, at both: the path, the address (403), the method (405), the secret (401), the size of the body (413),
//! the answer. Refusals have no body: whoever may not read learns nothing.

use crate::accept::{self, Choice};
use crate::access::Access;
use crate::exposition::{Additions, Exposition, Format};
use crate::requests::Requests;
use crate::route::{self, Asked, Route};
use crate::sample_filter;
use crate::stats_json::{now, Numbers};
use ferrometer_core::fork::beside;
use flate2::write::GzEncoder;
use flate2::Compression;
use hyper::header::{
    HeaderMap, HeaderName, HeaderValue, ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_TYPE, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

/// Expositions shrink to a twentieth already at the first level, and every further one costs several times
/// the encoding itself.
const GZIP_LEVEL: u32 = 1;

/// A path that is answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `/metrics`
    Metrics,
    /// `/stats`
    Stats,
    /// `/polling`
    Polling,
    /// `/monitor`
    Monitor,
    /// `/models/stats`
    Models,
    /// `/live`
    Live,
}

impl Page {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/metrics" | "/metrics/" => Some(Page::Metrics),
            "/stats" => Some(Page::Stats),
            "/polling" => Some(Page::Polling),
            "/monitor" => Some(Page::Monitor),
            "/models/stats" => Some(Page::Models),
            "/live" => Some(Page::Live),
            _ => None,
        }
    }
}

/// Who answers a path.
#[derive(Clone)]
pub enum Target {
    /// The responder itself.
    Page(Page),
    /// A route of another crate.
    Route(Arc<dyn Route>),
}

impl Target {
    /// Whether the address and the secret are checked. Probes of `/live` carry no credentials.
    pub fn is_protected(&self) -> bool {
        match self {
            Target::Page(page) => *page != Page::Live,
            Target::Route(route) => route.is_protected(),
        }
    }

    fn methods(&self) -> &[Method] {
        match self {
            Target::Page(_) => &[Method::GET],
            Target::Route(route) => route.methods(),
        }
    }
}

/// What a scraper wants of `/metrics`.
pub struct Wanted {
    /// The format, its media type, and how names are escaped.
    pub choice: Choice,
    /// Of which samples; all when `None`.
    pub names: Option<BTreeSet<String>>,
    gzip: bool,
}

/// What only the application itself can add to the JSON.
#[derive(Default)]
pub struct Known<'a> {
    /// When the health was looked at, as RFC 3339; now when it is `None`.
    pub timestamp: Option<&'a str>,
    /// Members of a JSON object that go before the numbers, each with a comma behind it: `"status":"healthy",`. Without
    /// any, the status is what all workers last found.
    pub health: &'a str,
    /// The requests and the uptime in seconds, where something else than the registry counts them.
    pub requests: Option<(Requests, f64)>,
}

/// Answers requests.
pub struct Responder {
    source: Arc<dyn Exposition>,
    access: Arc<Access>,
    /// Whether protobuf has native histograms.
    native: bool,
    routes: Vec<Arc<dyn Route>>,
    /// The size of the latest exposition: the next one is about as long.
    latest: AtomicUsize,
}

impl Responder {
    /// Answers with what `source` tells, to those whom `access` lets in.
    pub fn new(source: Arc<dyn Exposition>, access: Arc<Access>, native: bool) -> Self {
        Responder { source, access, native, routes: Vec::new(), latest: AtomicUsize::new(0) }
    }

    /// The same with another route. The built-in paths and earlier routes come first.
    #[must_use]
    pub fn with(mut self, route: Arc<dyn Route>) -> Self {
        self.routes.push(route);
        self
    }

    /// Who answers this path; `None` is 404.
    pub fn target(&self, path: &str) -> Option<Target> {
        Page::of(path).map(Target::Page).or_else(|| {
            let mut routes = self.routes.iter();
            routes.find(|route| route::answers(&***route, path)).cloned().map(Target::Route)
        })
    }

    /// Why a request is not answered, if it is not. The body need not be there yet.
    pub fn refuse(&self, target: &Target, asked: &Asked<'_>) -> Option<Response<Vec<u8>>> {
        let guarded = target.is_protected();
        if guarded && !self.access.admits(asked.peer) {
            return Some(refusal(StatusCode::FORBIDDEN));
        }
        let methods = target.methods();
        let allowed = if *asked.method == Method::HEAD { &Method::GET } else { asked.method };
        if !methods.contains(allowed) {
            return Some(with(refusal(StatusCode::METHOD_NOT_ALLOWED), ALLOW, &allow(methods)));
        }
        let challenge = self.access.challenge(asked.headers).filter(|_| guarded);
        challenge.map(|challenge| with(refusal(StatusCode::UNAUTHORIZED), WWW_AUTHENTICATE, challenge))
    }

    /// The answer, once it is not refused. It may take a while.
    pub fn answer(&self, target: &Target, asked: &Asked<'_>) -> Response<Vec<u8>> {
        match target {
            Target::Page(Page::Metrics) => {
                self.metrics(&self.wanted(asked.headers, asked.query, false), &Additions::default())
            }
            Target::Page(page) => self.json(*page, &Known::default()),
            Target::Route(route) => answer_of(&**route, asked),
        }
    }

    /// Everything at once: the answer to a request whose body is there.
    pub fn respond(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
        let response = match self.target(asked.path) {
            None => refusal(StatusCode::NOT_FOUND),
            Some(target) => self.refuse(&target, asked).unwrap_or_else(|| self.answer(&target, asked)),
        };
        finished(response, asked.method)
    }

    /// What a request for `/metrics` wants; `dots` as in [`accept::choose`].
    pub fn wanted(&self, headers: &HeaderMap, query: Option<&str>, dots: bool) -> Wanted {
        let mut choice = accept::choose(list(headers, &ACCEPT).as_deref(), dots);
        if choice.format == Format::Protobuf && self.native {
            choice.format = Format::NativeProtobuf;
        }
        let gzip = list(headers, &ACCEPT_ENCODING).is_some_and(|accepted| accept::gzip(&accepted));
        Wanted { choice, names: sample_filter::asked(query), gzip }
    }

    /// The exposition.
    pub fn metrics(&self, wanted: &Wanted, additions: &Additions<'_>) -> Response<Vec<u8>> {
        let latest = self.latest.load(Relaxed);
        let mut body = Vec::with_capacity(latest + latest / 16 + 256);
        if let Some(whole) = additions.whole {
            body.extend_from_slice(whole);
        } else {
            beside(|| self.source.write(wanted.choice.format, wanted.names.as_ref(), additions, &mut body));
        }
        self.latest.store(body.len(), Relaxed);
        if wanted.gzip {
            body = gzipped(&body);
        }
        let mut response = with(Response::new(body), CONTENT_TYPE, &wanted.choice.media_type);
        if wanted.gzip {
            response = with(response, CONTENT_ENCODING, "gzip");
        }
        with(response, VARY, "Accept, Accept-Encoding")
    }

    /// The numbers of a page as JSON.
    pub fn json(&self, page: Page, known: &Known<'_>) -> Response<Vec<u8>> {
        let time = known.timestamp.map_or_else(now, str::to_owned);
        let health = |numbers: &Numbers| match known.health {
            "" => format!("\"status\":\"{}\",", numbers.status.name()),
            health => health.to_owned(),
        };
        let body = match page {
            Page::Metrics | Page::Live => "{\"status\":\"alive\"}".into(),
            Page::Stats => self.numbers(known).stats(),
            Page::Models => beside(|| self.source.models()).json(&time),
            Page::Polling => {
                let numbers = self.numbers(known);
                numbers.polling(&time, &health(&numbers))
            }
            Page::Monitor => {
                let numbers = self.numbers(known);
                numbers.monitor(&time, &health(&numbers))
            }
        };
        with(Response::new(body.into_bytes()), CONTENT_TYPE, "application/json")
    }

    fn numbers(&self, known: &Known<'_>) -> Numbers {
        let mut numbers = beside(|| self.source.numbers());
        if let Some((requests, uptime)) = known.requests {
            numbers.requests = requests;
            numbers.uptime_seconds = uptime;
        }
        numbers
    }
}

/// The answer of a route, once a request is not refused.
pub fn answer_of(route: &dyn Route, asked: &Asked<'_>) -> Response<Vec<u8>> {
    if asked.body.len() > route.most_body() {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE);
    }
    route.respond(asked)
}

/// The response as it goes out: with the headers that all have in common, and without a body for HEAD.
pub fn finished(mut response: Response<Vec<u8>>, method: &Method) -> Response<Vec<u8>> {
    let length = HeaderValue::from(response.body().len());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length); // also of a HEAD
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if *method == Method::HEAD {
        response.body_mut().clear();
    }
    response
}

/// A response that says no more than a status.
pub fn refusal(status: StatusCode) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = status;
    response
}

/// The response with one more header.
///
/// # Panics
/// When the value is not printable ASCII: all that are given here are constants or made of such.
pub fn with(mut response: Response<Vec<u8>>, name: HeaderName, value: &str) -> Response<Vec<u8>> {
    response.headers_mut().insert(name, HeaderValue::from_str(value).expect("plain ASCII"));
    response
}

fn allow(methods: &[Method]) -> String {
    let mut names = Vec::new();
    for method in methods {
        names.push(method.as_str());
        if *method == Method::GET {
            names.push("HEAD");
        }
    }
    names.join(", ")
}

/// A header that is a list: several lines of it are one (RFC 9110, 5.3).
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 16 + 64), Compression::new(GZIP_LEVEL));
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("a vector takes all that is written to it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Peer, Secrets};
    use crate::Local;
    use ferrometer_core::registry::Registry;

    /// Says what it was asked.
    struct Echo;

    impl Route for Echo {
        fn path(&self) -> &'static str {
            "/api/v1/"
        }

        fn methods(&self) -> &[Method] {
            &[Method::GET, Method::POST]
        }

        fn most_body(&self) -> usize {
            10
        }

        fn respond(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
            Response::new(format!("{} {:?}", asked.path, asked.parameters()).into_bytes())
        }
    }

    fn responder() -> Responder {
        let registry = Arc::new(Registry::new());
        let source = Local { figures: (registry.clone(), String::new()), registry };
        let secret = Secrets::Bearer(vec![<sha2::Sha256 as sha2::Digest>::digest(b"t").into()]);
        let access = Access { secrets: secret, networks: None, unix: false };
        Responder::new(Arc::new(source), Arc::new(access), false).with(Arc::new(Echo))
    }

    fn ask(method: &Method, path: &str, headers: &[(HeaderName, &str)], body: &str) -> Response<Vec<u8>> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let body = body.as_bytes();
        responder().respond(&Asked { method, path, query, headers: &headers, peer: Peer::Unix, body })
    }

    #[test]
    fn routes_are_protected_bounded_and_told_the_form() {
        let known = (hyper::header::AUTHORIZATION, "Bearer t");
        let form = (CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8");
        let answer = ask(&Method::POST, "/api/v1/query?a=%2B", &[known.clone(), form.clone()], "b=c+d");
        let (body, headers) = (answer.body(), answer.headers());
        assert_eq!(String::from_utf8_lossy(body), "/api/v1/query [(\"a\", \"+\"), (\"b\", \"c d\")]");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[CONTENT_LENGTH], body.len().to_string());
        assert_eq!(ask(&Method::POST, "/api/v1/query", &[], "").status(), 401);
        let long = ask(&Method::POST, "/api/v1/query", &[known.clone(), form], "12345678901");
        assert_eq!(long.status(), 413);
        let wrong = ask(&Method::DELETE, "/api/v1/query", std::slice::from_ref(&known), "");
        assert_eq!((wrong.status().as_u16(), &wrong.headers()[ALLOW]), (405, &"GET, HEAD, POST".parse().unwrap()));
        let head = ask(&Method::HEAD, "/api/v1/query", std::slice::from_ref(&known), "");
        assert_eq!((head.body().len(), &head.headers()[CONTENT_LENGTH]), (0, &"16".parse().unwrap()));
        assert_eq!(ask(&Method::GET, "/api/v2/query", std::slice::from_ref(&known), "").status(), 404);
        assert_eq!(ask(&Method::POST, "/metrics", &[known], "").status(), 405);
        assert_eq!(ask(&Method::GET, "/live", &[], "").body(), b"{\"status\":\"alive\"}");
    }
}
