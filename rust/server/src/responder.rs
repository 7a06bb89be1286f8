//! What each path answers.

use crate::accept;
use crate::access::Access;
use crate::body::{Unsent, Whole};
use crate::exposition::{Exposition, Format};
use crate::sample_filter;
use crate::stats_json::timestamp;
use ferrometer_core::fork::beside;
use flate2::write::GzEncoder;
use flate2::Compression;
use hyper::header::{
    HeaderMap, HeaderName, HeaderValue, ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use std::cell::Cell;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Expositions shrink to a twentieth already at the first level, and every further one costs several times
/// the encoding itself.
const GZIP_LEVEL: u32 = 1;

/// As long as clients have not taken so many bytes of answers, there are no further ones.
const MOST_UNSENT: usize = 128 << 20;

/// Answers requests.
pub struct Answers {
    source: Arc<dyn Exposition>,
    access: Access,
    /// Whether protobuf has native histograms.
    native: bool,
    unsent: Unsent,
    /// The size of the latest exposition: the next one is about as long.
    latest: Cell<usize>,
}

/// A body and what its headers say of it.
struct Told {
    body: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answers {
    /// Answers with what `source` tells, to those whom `access` lets in.
    pub fn new(source: Arc<dyn Exposition>, access: Access, native: bool) -> Self {
        Answers { source, access, native, unsent: Unsent::default(), latest: Cell::new(0) }
    }

    /// The answer to a request from this address. As at the application's own endpoints, refusals have no
    /// body, and the address comes before the method, the method before the secret.
    pub fn answer<B>(&self, request: &Request<B>, address: IpAddr) -> Response<Whole> {
        let mut response = self.guarded(request, address);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    fn guarded<B>(&self, request: &Request<B>, address: IpAddr) -> Response<Whole> {
        if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
            return refusal(StatusCode::BAD_REQUEST); // RFC 9112, 3.2
        }
        let path = request.uri().path();
        let guarded = match path {
            "/metrics" | "/metrics/" | "/stats" | "/polling" | "/monitor" => true,
            "/live" => false, // probes carry no credentials
            _ => return refusal(StatusCode::NOT_FOUND),
        };
        if guarded && !self.access.admits(address) {
            return refusal(StatusCode::FORBIDDEN);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return with(refusal(StatusCode::METHOD_NOT_ALLOWED), ALLOW, "GET, HEAD");
        }
        if let Some(challenge) = self.access.challenge(request.headers()).filter(|_| guarded) {
            return with(refusal(StatusCode::UNAUTHORIZED), WWW_AUTHENTICATE, challenge);
        }
        if guarded && self.unsent.bytes() > MOST_UNSENT {
            return with(refusal(StatusCode::SERVICE_UNAVAILABLE), RETRY_AFTER, "1");
        }
        let told = match path {
            "/stats" => json(self.numbers().stats()),
            "/polling" => json(self.numbers().polling(&now())),
            "/monitor" => json(self.numbers().monitor(&now())),
            "/live" => json("{\"status\":\"alive\"}".into()),
            _ => self.metrics(request.headers(), request.uri().query()),
        };
        self.response(told, request.method() == Method::HEAD)
    }

    fn numbers(&self) -> crate::Numbers {
        beside(|| self.source.numbers())
    }

    fn metrics(&self, headers: &HeaderMap, query: Option<&str>) -> Told {
        let choice = accept::choose(list(headers, &ACCEPT).as_deref());
        let zipped = list(headers, &ACCEPT_ENCODING).is_some_and(|accepted| accept::gzip(&accepted));
        let format = match choice.format {
            Format::Protobuf if self.native => Format::NativeProtobuf,
            format => format,
        };
        let names = sample_filter::asked(query);
        let mut body = Vec::with_capacity(self.latest.get() + self.latest.get() / 16 + 256);
        beside(|| self.source.write(format, names.as_ref(), &mut body));
        self.latest.set(body.len());
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::try_from(choice.media_type).expect("plain ASCII")),
            (VARY, HeaderValue::from_static("Accept, Accept-Encoding")),
        ];
        if zipped {
            body = gzipped(&body);
            headers.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        Told { body, headers }
    }

    fn response(&self, told: Told, head: bool) -> Response<Whole> {
        let length = HeaderValue::from(told.body.len());
        let mut response = Response::new(if head { Whole::empty() } else { Whole::new(told.body, &self.unsent) });
        response.headers_mut().extend(told.headers);
        response.headers_mut().insert(CONTENT_LENGTH, length); // also of a HEAD
        response
    }
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

fn json(body: String) -> Told {
    Told { body: body.into_bytes(), headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))] }
}

fn refusal(status: StatusCode) -> Response<Whole> {
    let mut response = Response::new(Whole::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0")); // also of a HEAD
    response
}

fn with(mut response: Response<Whole>, name: HeaderName, value: &'static str) -> Response<Whole> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

fn now() -> String {
    timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
