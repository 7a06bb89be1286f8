//! Answers that other crates bring along: a path, its methods, and what it says.

use crate::access::Peer;
use crate::sample_filter::pairs;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method, Response};

/// One request, as the own port and the application's endpoints both hand it over.
pub struct Asked<'a> {
    /// GET, POST, …
    pub method: &'a Method,
    /// The path as sent, without the query; below an application, without what the endpoints are mounted at.
    pub path: &'a str,
    /// The query as sent, percent-encoded.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Who asks.
    pub peer: Peer,
    /// The body; empty for GET and HEAD.
    pub body: &'a [u8],
}

/// Somebody in between: the address is not that of whoever asks.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

impl Asked<'_> {
    /// Whether this machine asks, through no proxy.
    pub fn is_local(&self) -> bool {
        let here = match self.peer {
            Peer::Address(address) => address.to_canonical().is_loopback(),
            Peer::Unix => true,
            Peer::Unknown => false,
        };
        here && !FORWARDED.iter().any(|name| self.headers.contains_key(*name))
    }

    /// Whether a browser asks on behalf of another site's page: what changes something must not listen to that.
    pub fn is_cross_site(&self) -> bool {
        let text = |name: &str| self.headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let site = text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
        let origin = text("origin").map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
        site || origin.is_some_and(|origin| Some(origin) != text("host"))
    }

    /// The parameters of the query, then those of a form in the body (`application/x-www-form-urlencoded`), decoded
    /// and in their order.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self.query.map(pairs).into_iter().flatten().collect();
        let media = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            if let Ok(form) = std::str::from_utf8(self.body) {
                all.extend(pairs(form.trim_ascii_end()));
            }
        }
        all
    }
}

/// An answer that is not built in. It may take its time: it runs in a worker thread, without the GIL, and never on an
/// event loop. Access, methods, the size of the body, HEAD and the common headers are the
/// [`Responder`](crate::Responder)'s.
pub trait Route: Send + Sync {
    /// The path; where it ends with `/` and is not the root, every path that begins with it.
    fn path(&self) -> &str;

    /// The methods it answers. HEAD comes with GET; all others are answered 405 with `Allow`.
    fn methods(&self) -> &[Method];

    /// Whether the address and the secret of whoever asks are checked.
    fn is_protected(&self) -> bool {
        true
    }

    /// How many bytes the body of a request may have. A longer one is answered 413.
    fn most_body(&self) -> usize {
        64 << 10
    }

    /// The status, `Content-Type` and the body.
    fn respond(&self, asked: &Asked<'_>) -> Response<Vec<u8>>;
}

/// Whether a route answers this path.
pub(crate) fn answers(route: &dyn Route, path: &str) -> bool {
    let own = route.path();
    if own.len() > 1 && own.ends_with('/') {
        path.starts_with(own)
    } else {
        path == own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    /// Whether it is local, and whether it is cross-site.
    fn asked(peer: Peer, headers: &[(&'static str, &'static str)]) -> (bool, bool) {
        let all = headers.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers: HeaderMap = all.collect();
        let asked = Asked { method: &Method::POST, path: "/", query: None, headers: &headers, peer, body: &[] };
        (asked.is_local(), asked.is_cross_site())
    }

    #[test]
    fn this_machine_asks_without_a_proxy_in_between() {
        let local = |host, headers: &[_]| asked(Peer::of(Some(host)), headers).0;
        for host in ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""] {
            assert!(local(host, &[]), "{host}");
            assert!(!local(host, &[("x-forwarded-for", "10.0.0.1")]), "{host}");
        }
        for host in ["10.0.0.1", "::2", "testclient"] {
            assert!(!local(host, &[]), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_known_by_its_headers() {
        let host = ("host", "localhost:8000");
        for (headers, expected) in [
            (vec![host], false),
            (vec![host, ("origin", "http://localhost:8000")], false),
            (vec![host, ("sec-fetch-site", "same-origin")], false),
            (vec![host, ("sec-fetch-site", "none")], false),
            (vec![host, ("origin", "http://evil.example")], true),
            (vec![host, ("origin", "null")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], true),
            (vec![host, ("sec-fetch-site", "same-site")], true),
        ] {
            assert_eq!(asked(Peer::Unix, &headers).1, expected, "{headers:?}");
        }
    }
}
