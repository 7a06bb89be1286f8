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
mod budget;
mod gate;
mod parameters;
mod query;
mod reply;
mod series;

pub use gate::ApiLimits;
pub use reply::Reply;

use crate::history::History;
use budget::Budget;
use gate::Gate;
use parameters::Parameters;
use reply::Answered;

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
            "series" => self.list(asked, &parameters, &mut |budget| series::series(history, &parameters, budget)),
            "labels" => self.list(asked, &parameters, &mut |budget| series::labels(history, &parameters, budget)),
            "batch" => batch::all(asked.parameters, &mut |path, parameters| {
                self.respond(history, &Asked { method: "GET", path, parameters, ..*asked })
            }),
            "metadata" => about::metadata(history, &parameters),
            "targets" => Ok(about::targets(history, &self.job, asked.now_ms)),
            "status/buildinfo" => Ok(about::build()),
            "rules" => Ok(document(history, "rules", "{\"groups\":[]}")),
            "alerts" => Ok(document(history, "alerts", "{\"alerts\":[]}")),
            other => match other.strip_prefix("label/").and_then(|rest| rest.strip_suffix("/values")) {
                Some(name) => {
                    self.list(asked, &parameters, &mut |budget| series::values(history, name, &parameters, budget))
                }
                None => return Reply::unknown(),
            },
        };
        answered.unwrap_or_else(|error| Reply::error(&error))
    }

    /// Makes a list within the limits that queries have: it waits for its turn as they do.
    fn list(
        &self,
        asked: &Asked<'_>,
        parameters: &Parameters<'_>,
        make: &mut dyn FnMut(&mut Budget) -> Answered,
    ) -> Answered {
        let seconds = parameters.seconds(self.limits.seconds)?;
        let _pass = self.gate.enter(asked.client, seconds)?;
        make(&mut Budget::new(&self.limits, seconds))
    }
}

/// What the writer told, or that there is nothing.
fn document(history: &History, name: &str, nothing: &str) -> Reply {
    let told = history.documents().get(name);
    Reply::data(|body| body.push_str(told.as_deref().unwrap_or(nothing)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Plan;
    use crate::recorder::Recorder;
    use crate::track::Shape;

    const NOW: i64 = 1_700_000_000_000;

    /// A history that saw a thousand users once.
    fn history() -> History {
        let plan = Plan::default();
        let history = History::new(plan.clone(), None);
        let mut recorder = Recorder::new(&plan, 0);
        recorder.begin(NOW);
        for user in 0..1000 {
            recorder.scalar(&Shape::Counter, &"requests_total".into(), &format!("user=\"{user}\""), 1.0);
        }
        history.store().add(&recorder.finish());
        history
    }

    fn get(api: &Api, history: &History, path: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let asked = Asked { method: "GET", path, parameters: &parameters, client: "me", now_ms: NOW };
        let reply = api.respond(history, &asked);
        (reply.status, reply.body)
    }

    fn with(limits: ApiLimits) -> Api {
        Api::new(limits, "shop")
    }

    const LISTS: [&str; 3] = ["series", "labels", "label/user/values"];

    #[test]
    fn lists_have_the_limits_of_queries() {
        let history = history();
        let enough = with(ApiLimits { samples: 1000, ..ApiLimits::default() });
        for (path, items) in LISTS.into_iter().zip([1000, 2, 1000]) {
            let (status, body) = get(&enough, &history, path, &[]);
            let data: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!((status, data["data"].as_array().map(Vec::len)), (200, Some(items)), "{path}");
        }
        let few = with(ApiLimits { samples: 999, ..ApiLimits::default() });
        let short = with(ApiLimits { seconds: 0.0, ..ApiLimits::default() });
        for path in LISTS {
            let (status, body) = get(&few, &history, path, &[]);
            assert_eq!(status, 422, "{path}");
            assert!(body.contains("\"errorType\":\"execution\"") && body.contains("too many samples"), "{body}");
            // A selector that is narrow enough is answered, and each of several counts.
            let narrow = ("match[]", "{user=~\"1..\"}");
            assert_eq!(get(&few, &history, path, &[narrow]).0, 200, "{path}");
            assert_eq!(get(&few, &history, path, &[narrow; 10]).0, 422, "{path}");
            for (api, timeout) in [(&short, "1h"), (&enough, "0")] {
                let (status, body) = get(api, &history, path, &[("timeout", timeout)]);
                assert_eq!(status, 503, "{path}");
                assert!(body.contains("\"errorType\":\"timeout\"") && body.contains("timed out in"), "{body}");
            }
            assert_eq!(get(&enough, &history, path, &[("timeout", "soon")]).0, 400, "{path}");
        }
    }

    #[test]
    fn lists_keep_no_more_bytes_than_a_query() {
        let history = history();
        let small = with(ApiLimits { bytes: 5000, ..ApiLimits::default() });
        for path in ["series", "label/user/values"] {
            let (status, body) = get(&small, &history, path, &[]);
            assert_eq!(status, 422, "{path}");
            assert!(body.contains("would hold more than 5000 bytes"), "{body}");
        }
        // Two names cost nothing, however many series have them.
        assert_eq!(get(&small, &history, "labels", &[]).0, 200);
    }

    #[test]
    fn lists_wait_for_their_turn() {
        let history = history();
        let api = with(ApiLimits { per_client: 1, at_once: 2, seconds: 0.01, ..ApiLimits::default() });
        let pass = api.gate.enter("me", 1.0).expect("there is room");
        for path in LISTS {
            let (status, body) = get(&api, &history, path, &[]);
            assert_eq!(status, 503, "{path}");
            assert!(body.contains("timed out in query queue: 2 run at a time, 1 of one client"), "{body}");
        }
        drop(pass);
        let api = with(ApiLimits { per_client: 1, ..ApiLimits::default() });
        for path in LISTS {
            // Each gives its turn back, also when it is refused.
            assert_eq!(get(&api, &history, path, &[("match[]", "{")]).0, 400, "{path}");
            assert_eq!(get(&api, &history, path, &[]).0, 200, "{path}");
        }
    }
}
