//! The live page: its files, and signing in.
//!
//! The files hold no figures, so who may use the endpoints' addresses may read them; the figures are the API's, which
//! asks for the secret. A browser sends none by itself, so a form takes it and a cookie keeps the session.

use crate::access::{Access, Secrets};
use crate::responder::{refusal, with};
use crate::route::{Asked, Route};
use crate::session;
use hyper::header::{
    HeaderName, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE,
    X_FRAME_OPTIONS,
};
use hyper::{HeaderMap, Method, Response, StatusCode};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the page is, below the endpoints' path.
pub const PATH: &str = "/ferrometer";
const BELOW: &str = "/ferrometer/";
const POLICY: &str = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'self'";

/// One file of the page.
pub struct File {
    /// What its address ends with; empty is the page itself.
    pub name: String,
    /// The value of `Content-Type`.
    pub media_type: String,
    /// The contents.
    pub body: Vec<u8>,
}

/// The page for whom `access` lets in.
struct Page {
    files: Arc<Vec<File>>,
    access: Arc<Access>,
    path: &'static str,
}

/// The answers: the page, and what lies below it.
pub fn routes(files: &Arc<Vec<File>>, access: &Arc<Access>) -> [Arc<dyn Route>; 2] {
    [PATH, BELOW].map(|path| Arc::new(Page { files: files.clone(), access: access.clone(), path }) as Arc<dyn Route>)
}

impl Route for Page {
    fn path(&self) -> &str {
        self.path
    }

    fn methods(&self) -> &[Method] {
        if self.path == PATH {
            &[Method::GET, Method::POST]
        } else {
            &[Method::GET]
        }
    }

    fn is_protected(&self) -> bool {
        false
    }

    fn most_body(&self) -> usize {
        16 << 10
    }

    fn respond(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
        if !self.access.admits(asked.peer) {
            return refusal(StatusCode::FORBIDDEN);
        }
        if *asked.method == Method::POST {
            return self.sign(asked);
        }
        match asked.path.strip_prefix(BELOW) {
            // Addresses in the page are relative to the one without a slash.
            Some("") => with(refusal(StatusCode::PERMANENT_REDIRECT), LOCATION, "../ferrometer"),
            Some("session") => self.session(asked.headers),
            Some(name) => self.file(name),
            None => self.file(""),
        }
    }
}

impl Page {
    fn file(&self, name: &str) -> Response<Vec<u8>> {
        let Some(file) = self.files.iter().find(|file| file.name == name) else {
            return refusal(StatusCode::NOT_FOUND);
        };
        let response = with(Response::new(file.body.clone()), CONTENT_TYPE, &file.media_type);
        let response = with(response, CONTENT_SECURITY_POLICY, POLICY);
        // Not no-referrer: forms would then not say from where they are sent.
        let response = with(response, REFERRER_POLICY, "same-origin");
        let response = with(response, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        with(response, X_FRAME_OPTIONS, "DENY")
    }

    /// What the page must ask its reader for, and until when it need not.
    fn session(&self, headers: &HeaderMap) -> Response<Vec<u8>> {
        let needs = match self.access.secrets {
            Secrets::Open => "nothing",
            Secrets::Bearer(_) => "token",
            Secrets::Basic(..) => "password",
        };
        let is_in = self.access.challenge(headers).is_none();
        let expires = self.access.session(headers, now()).map_or_else(|| "null".to_owned(), |at| at.to_string());
        let body = format!("{{\"needs\":\"{needs}\",\"signed_in\":{is_in},\"expires\":{expires}}}");
        with(Response::new(body.into_bytes()), CONTENT_TYPE, "application/json")
    }

    /// A form: the secret, or the wish to leave. The cookie has no path, so that it counts where the endpoints are,
    /// wherever a proxy shows them.
    fn sign(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
        let is_foreign = asked.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        if is_foreign {
            return refusal(StatusCode::FORBIDDEN);
        }
        let form = asked.parameters();
        let field = |name: &str| form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
        let origin = asked.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
        let secure = if origin.starts_with("https://") { "; Secure" } else { "" };
        let seen_other = |to| with(refusal(StatusCode::SEE_OTHER), LOCATION, to);
        if field("leave") == "1" {
            let cookies = asked.headers.get_all(COOKIE);
            let mut response = seen_other("ferrometer");
            for key in self.access.keys().iter().filter(|_| cookies.iter().next().is_some()) {
                let cookie = format!("{}=; Max-Age=0; HttpOnly; SameSite=Strict{secure}", session::cookie(key));
                append(&mut response, &cookie);
            }
            return response;
        }
        let Some(key) = self.access.key_of(field("user"), field("secret")) else {
            return seen_other("ferrometer?signin=refused");
        };
        let mut response = seen_other("ferrometer");
        let (name, value) = (session::cookie(&key), session::value(&key, now() + session::SECONDS));
        append(
            &mut response,
            &format!("{name}={value}; Max-Age={}; HttpOnly; SameSite=Strict{secure}", session::SECONDS),
        );
        response
    }
}

fn append(response: &mut Response<Vec<u8>>, cookie: &str) {
    if let Ok(value) = cookie.parse() {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
