//! One HTTP client for all receivers: a connection that is kept, TLS, time limits, and what an answer means.

use crate::sink::{Delivery, Item, Retry};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::Agent;

/// Bytes of an answer that are read.
const ANSWER: u64 = 64 * 1024;

/// Whom a TLS connection trusts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// A PEM file, instead of the public authorities.
    pub ca: Option<String>,
}

/// A receiver by HTTP.
pub struct Client {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
    gzip: bool,
}

/// What came back.
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// What the receiver asked for.
    pub retry_after: Option<Duration>,
    /// The beginning of it.
    pub body: Vec<u8>,
}

impl Client {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When a certificate cannot be read.
    pub fn new(url: &str, headers: Vec<(String, String)>, gzip: bool, trust: &Trust) -> io::Result<Self> {
        let roots = match &trust.ca {
            None => RootCerts::WebPki,
            Some(path) => {
                let certificates = certificates(path)?;
                RootCerts::new_with_certs(
                    &certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect::<Vec<_>>(),
                )
            }
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(1)
            .timeout_connect(Some(Duration::from_secs(5)))
            .user_agent(concat!("ferrometer/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Client { agent: config.into(), url: url.to_owned(), headers, gzip })
    }

    /// Posts a body.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn post(&self, content_type: &str, body: &[u8], until: Instant) -> Result<Answer, ureq::Error> {
        let time = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut request =
            self.agent.post(&self.url).config().timeout_global(Some(time)).build().header("Content-Type", content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = if self.gzip {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body)?;
            request.header("Content-Encoding", "gzip").send(&encoder.finish()?)?
        } else {
            request.send(body)?
        };
        let retry_after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()).and_then(delay);
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        // All of it, for the connection is used again; what is too long is not worth that.
        let _ = response.body_mut().as_reader().take(ANSWER).read_to_end(&mut answer);
        Ok(Answer { status, retry_after, body: answer })
    }

    /// What becomes of a batch that got no answer.
    pub fn failed(&self, error: &ureq::Error) -> Delivery {
        let never_left = match error {
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound | ureq::Error::Tls(_) => true,
            ureq::Error::Timeout(which) => matches!(which, ureq::Timeout::Connect | ureq::Timeout::Resolve),
            ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            _ => false,
        };
        let retry = Retry { after: None, may_have_arrived: !never_left };
        Delivery::again(format!("{}: {error}", self.shown()), retry)
    }

    /// What becomes of a batch by its answer; these statuses are worth another attempt.
    pub fn judge(&self, items: &[Item], answer: &Answer, retried: fn(u16) -> bool) -> Delivery {
        match answer.status {
            200..=299 => Delivery::all(items),
            status => {
                let body = String::from_utf8_lossy(&answer.body);
                let body: String = body.trim().chars().take(200).collect();
                let trouble = format!("{}: status {status} {body}", self.shown());
                if retried(status) {
                    Delivery::again(trouble, Retry { after: answer.retry_after, may_have_arrived: false })
                } else {
                    Delivery::refused(items, trouble)
                }
            }
        }
    }

    /// The URL without what is nobody's business.
    fn shown(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        format!("{scheme}://{}/{path}", authority.rsplit('@').next().unwrap_or_default())
    }
}

/// `Retry-After`: seconds, or a date.
fn delay(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok()
}

/// The certificates of a PEM file.
fn certificates(path: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let refuse = |text: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{path}: {text}"));
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))?.collect();
    let found = found.map_err(|error| refuse(error.to_string()))?;
    if found.is_empty() {
        return Err(refuse("no certificate in it; it must be PEM".into()));
    }
    Ok(found)
}

/// What a TLS connection trusts.
///
/// # Errors
/// When a certificate cannot be read.
pub fn tls(trust: &Trust) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match &trust.ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(io::Error::other)?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(delay("7"), Some(Duration::from_secs(7)));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        assert!(delay(&later).is_some_and(|wait| wait > Duration::from_secs(50)));
        assert_eq!((delay("soon"), delay("Sun, 06 Nov 1994 08:49:37 GMT")), (None, None));
    }

    #[test]
    fn passwords_in_urls_are_not_shown() {
        let client = Client::new("https://me:secret@loki:3100/push?token=x", vec![], true, &Trust::default()).unwrap();
        assert_eq!(client.shown(), "https://loki:3100/push");
    }
}
