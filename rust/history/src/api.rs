//! Prometheus's HTTP API over a history: one function from a request to an answer, for every front.
//!
//! | path below `/api/v1/` | what |
//! |---|---|
//! | `query`, `query_range` | `PromQL` at one time, or at many ([`query`]) |
//! | `series`, `labels`, `label/NAME/values` | which series there are ([`series`]) |
//! | `metadata`, `targets`, `status/buildinfo` | what clients ask before they ask anything else ([`about`]) |

mod about;
mod gate;
mod parameters;
mod query;
mod series;

use crate::history::History;
use ferrometer_promql::json::text;
use ferrometer_promql::QueryError;
use gate::Gate;
use parameters::Parameters;

/// What a front hands over.
pub struct Asked<'a> {
    /// `GET`, `HEAD` or `POST`.
    pub method: &'a str,
    /// The path below `/api/v1/`, as sent.
    pub path: &'a str,
    /// The parameters of the query and of the form in the body, decoded, in their order.
    pub parameters: &'a [(String, String)],
    /// Who asks, for the limit on queries at a time.
    pub client: &'a str,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub media_type: &'static str,
    /// The body.
    pub body: String,
}

/// What one query, and what one client, may take.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiLimits {
    /// Seconds of one query.
    pub seconds: f64,
    /// Samples that one query reads and makes.
    pub samples: u64,
    /// Bytes of one query's results.
    pub bytes: usize,
    /// Queries of one client at a time.
    pub per_client: usize,
    /// Queries of all clients at a time; further ones wait.
    pub at_once: usize,
}

impl Default for ApiLimits {
    fn default() -> Self {
        ApiLimits { seconds: 10.0, samples: 20_000_000, bytes: 128 << 20, per_client: 4, at_once: 4 }
    }
}

/// The API of one history.
pub struct Api {
    limits: ApiLimits,
    gate: Gate,
    /// The job's name among the targets.
    job: String,
}

const JSON: &str = "application/json";

impl Reply {
    fn data(write: impl FnOnce(&mut String)) -> Self {
        let mut body = String::from("{\"status\":\"success\",\"data\":");
        write(&mut body);
        body.push('}');
        Reply { status: 200, media_type: JSON, body }
    }

    fn error(error: &QueryError) -> Self {
        Reply { status: error.kind.status(), media_type: JSON, body: error.to_json() }
    }

    fn unknown() -> Self {
        Reply { status: 404, media_type: "text/plain; charset=utf-8", body: "404 page not found\n".into() }
    }
}

type Answered = Result<Reply, QueryError>;

impl Api {
    /// The API with these limits; `job` is what the application is called.
    pub fn new(limits: ApiLimits, job: &str) -> Self {
        Api { gate: Gate::new(limits.at_once, limits.per_client), limits, job: job.to_owned() }
    }

    /// Answers a request. It may take as long as the limits allow, and neither takes nor needs the GIL.
    pub fn respond(&self, history: &History, asked: &Asked<'_>) -> Reply {
        let parameters = Parameters::new(asked.parameters, asked.now_ms);
        let path = asked.path.trim_matches('/');
        let is_post = asked.method == "POST";
        let posted = matches!(path, "query" | "query_range" | "series" | "labels");
        if is_post && !posted {
            let text = "405 method not allowed\n".into();
            return Reply { status: 405, media_type: "text/plain; charset=utf-8", body: text };
        }
        let answered = match path {
            "query" => self.query(history, &parameters, asked.client),
            "query_range" => self.query_range(history, &parameters, asked.client),
            "series" => series::series(history, &parameters),
            "labels" => series::labels(history, &parameters),
            "metadata" => about::metadata(history, &parameters),
            "targets" => Ok(about::targets(history, &self.job, asked.now_ms)),
            "status/buildinfo" => Ok(about::build()),
            "rules" => Ok(Reply::data(|body| body.push_str("{\"groups\":[]}"))),
            "alerts" => Ok(Reply::data(|body| body.push_str("{\"alerts\":[]}"))),
            other => match other.strip_prefix("label/").and_then(|rest| rest.strip_suffix("/values")) {
                Some(name) => series::values(history, name, &parameters),
                None => return Reply::unknown(),
            },
        };
        answered.unwrap_or_else(|error| Reply::error(&error))
    }
}

/// A JSON list of strings.
fn list<'a>(body: &mut String, items: impl IntoIterator<Item = &'a str>) {
    body.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        text(body, item);
    }
    body.push(']');
}
