//! What is configured: one JSON object, which Python makes and checks for people; here it is checked for shape.

use crate::http::{tls, Client, Trust};
use crate::keys::Keys;
use crate::loki::Loki;
use crate::otlp::common::Endpoint;
use crate::otlp::logs::Otlp;
use crate::otlp::metrics::Metrics;
use crate::otlp::traces::Traces;
use crate::rotate::{Period, Rotating};
use crate::sink::Sink;
use crate::stream::Stream;
use crate::syslog::{name, Framing, Header, Syslog};
use ferrometer_ring::layout::SINKS;
use ferrometer_ring::Kind as RecordKind;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A shipper.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is shipped.
    #[serde(default, deserialize_with = "kind")]
    pub records: RecordKind,
    /// The directory that processes share; private memory without one.
    pub directory: Option<PathBuf>,
    /// Bytes of the ring of this process.
    #[serde(default = "queue_bytes")]
    pub queue_bytes: usize,
    /// What metrics' names begin with.
    #[serde(default)]
    pub namespace: String,
    /// The service.
    pub service: String,
    /// `production`, …
    #[serde(default)]
    pub environment: String,
    /// How lines say what they say.
    #[serde(default)]
    pub keys: Keys,
    /// Where they go.
    pub sinks: Vec<SinkConfig>,
    /// Seconds to leave the lead to others at first.
    #[serde(default)]
    pub patience: f64,
}

/// `lines`, `spans` or `metrics`.
fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<RecordKind, D::Error> {
    let name = String::deserialize(from)?;
    RecordKind::named(&name)
        .ok_or_else(|| serde::de::Error::custom(format!("records are lines, spans or metrics, not {name:?}")))
}

fn queue_bytes() -> usize {
    4 << 20
}

/// A receiver: its name, which is a label's value, and its kind.
#[derive(Debug, Clone, Deserialize)]
pub struct SinkConfig {
    /// No two have the same.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
}

/// Kinds of receivers.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the fields are those of Python's classes")]
pub enum Kind {
    Stdout,
    Stderr,
    File {
        path: PathBuf,
        max_bytes: Option<u64>,
        period: Option<Period>,
        backups: u32,
    },
    Syslog {
        host: String,
        port: u16,
        format: Framing,
        tls: bool,
        #[serde(default)]
        trust: Trust,
        facility: u8,
    },
    Loki {
        url: String,
        labels: BTreeMap<String, String>,
        metadata: Vec<String>,
        headers: BTreeMap<String, String>,
        #[serde(default)]
        trust: Trust,
    },
    Otlp(OtlpConfig),
    OtlpMetrics(OtlpConfig),
    OtlpTraces {
        #[serde(flatten)]
        otlp: OtlpConfig,
        /// Seconds to wait for more spans.
        linger: f64,
    },
}

/// An OTLP receiver.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields are those of Python's classes")]
pub struct OtlpConfig {
    url: String,
    headers: BTreeMap<String, String>,
    resource: BTreeMap<String, String>,
    gzip: bool,
    #[serde(default)]
    trust: Trust,
    /// Seconds of an attempt.
    #[serde(default = "timeout")]
    timeout: f64,
}

fn timeout() -> f64 {
    10.0
}

impl OtlpConfig {
    fn endpoint(&self) -> io::Result<Endpoint> {
        Ok(Endpoint {
            client: Client::new(&self.url, pairs(&self.headers), self.gzip, &self.trust)?,
            resource: pairs(&self.resource),
            timeout: Duration::from_secs_f64(self.timeout.clamp(0.001, 3600.0)),
        })
    }
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(String, String)> {
    map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

impl Config {
    /// From JSON.
    ///
    /// # Errors
    /// When it has another shape, or more receivers than a ring has cursors for.
    pub fn parse(text: &str) -> io::Result<Self> {
        let refuse = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let config: Config = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if config.sinks.len() > SINKS {
            return Err(refuse(format!("{} sinks, and there can be {SINKS}", config.sinks.len())));
        }
        for (at, sink) in config.sinks.iter().enumerate() {
            if sink.name.is_empty() || sink.name.len() > 48 {
                return Err(refuse(format!("a sink's name has 1 to 48 bytes: {:?}", sink.name)));
            }
            if config.sinks[..at].iter().any(|other| other.name == sink.name) {
                return Err(refuse(format!("two sinks are called {:?}; give one another name", sink.name)));
            }
        }
        Ok(config)
    }

    /// The receivers, with nothing opened yet.
    ///
    /// # Errors
    /// When a certificate cannot be read.
    pub fn open(&self) -> io::Result<Vec<(String, Box<dyn Sink>)>> {
        self.sinks.iter().map(|sink| Ok((sink.name.clone(), self.sink(&sink.kind)?))).collect()
    }

    fn sink(&self, kind: &Kind) -> io::Result<Box<dyn Sink>> {
        Ok(match kind {
            Kind::Stdout => Box::new(Stream::new(1)),
            Kind::Stderr => Box::new(Stream::new(2)),
            Kind::File { path, max_bytes, period, backups } => {
                Box::new(Rotating::new(path, *max_bytes, *period, *backups))
            }
            Kind::Syslog { host, port, format, tls: is_secure, trust, facility } => {
                let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
                let header =
                    Header { service: name(&self.service, 48), host: name(machine.trim(), 255), facility: *facility };
                let secure = is_secure.then(|| tls(trust)).transpose()?;
                Box::new(Syslog::new(host, *port, *format, secure, header))
            }
            Kind::Loki { url, labels, metadata, headers, trust } => {
                let client = Client::new(url, pairs(headers), true, trust)?;
                Box::new(Loki::new(client, pairs(labels), metadata.clone(), self.keys.clone()))
            }
            Kind::Otlp(otlp) => Box::new(Otlp::new(otlp.endpoint()?, self.keys.clone())),
            Kind::OtlpMetrics(otlp) => Box::new(Metrics::new(otlp.endpoint()?)),
            Kind::OtlpTraces { otlp, linger } => {
                Box::new(Traces::new(otlp.endpoint()?, Duration::from_secs_f64(linger.clamp(0.0, 60.0))))
            }
        })
    }
}
