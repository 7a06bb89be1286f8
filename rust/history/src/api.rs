//! Prometheus's HTTP API over a history: one function from a request to an answer, for every front.
//!
//! | path below `/api/v1/` | what |
//! |---|---|
//! | `query`, `query_range` | `PromQL` at one time, or at many (`query.rs`) |
//! | `series`, `labels`, `label/NAME/values` | which series there are (`series.rs`) |
//! | `batch` | several requests in one (`batch.rs`) |
//! | `rules`, `alerts` | what the evaluation of rules told last |
//! | `metadata`, `targets`, `status/buildinfo` | what clients ask before they ask anything else (`about.rs`) |

mod about;
mod batch;
mod gate;
mod parameters;
mod query;
mod reply;
mod series;

pub use gate::ApiLimits;
pub use reply::Reply;

use crate::history::History;
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

/// The API of one history.
pub struct Api {
    limits: ApiLimits,
    gate: Gate,
    /// The job's name among the targets.
    job: String,
}

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
        let posted = matches!(path, "query" | "query_range" | "series" | "labels" | "batch");
        if is_post && !posted {
            let text = "405 method not allowed\n".into();
            return Reply { status: 405, media_type: "text/plain; charset=utf-8", body: text };
        }
        let answered = match path {
            "query" => query::at_one_time(history, &self.limits, &self.gate, &parameters, asked.client),
            "query_range" => query::over_a_range(history, &self.limits, &self.gate, &parameters, asked.client),
            "series" => series::series(history, &parameters),
            "labels" => series::labels(history, &parameters),
            "batch" => batch::all(asked.parameters, &mut |path, parameters| {
                self.respond(history, &Asked { method: "GET", path, parameters, ..*asked })
            }),
            "metadata" => about::metadata(history, &parameters),
            "targets" => Ok(about::targets(history, &self.job, asked.now_ms)),
            "status/buildinfo" => Ok(about::build()),
            "rules" => Ok(document(history, "rules", "{\"groups\":[]}")),
            "alerts" => Ok(document(history, "alerts", "{\"alerts\":[]}")),
            other => match other.strip_prefix("label/").and_then(|rest| rest.strip_suffix("/values")) {
                Some(name) => series::values(history, name, &parameters),
                None => return Reply::unknown(),
            },
        };
        answered.unwrap_or_else(|error| Reply::error(&error))
    }
}

/// What the writer told, or that there is nothing.
fn document(history: &History, name: &str, nothing: &str) -> Reply {
    let told = history.documents().get(name);
    Reply::data(|body| body.push_str(told.as_deref().unwrap_or(nothing)))
}
