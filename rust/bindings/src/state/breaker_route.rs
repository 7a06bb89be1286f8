//! `/breakers`: the circuit breakers of all workers, on the own port and below the application's endpoints.

use super::breaker_metrics::{change, rows, Refused};
use super::tables::BREAKERS;
use crate::responder::{plain, NativeRoute};
use ferrometer_server::{Asked, Route};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::{Method, Response, StatusCode};
use pyo3::prelude::*;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

struct BreakersRoute {
    path: String,
    directory: Option<PathBuf>,
    /// Whether everybody who may read may change, too; otherwise only this machine.
    may_change: bool,
}

impl Route for BreakersRoute {
    fn path(&self) -> &str {
        &self.path
    }

    fn methods(&self) -> &[Method] {
        &[Method::GET, Method::POST]
    }

    /// GET: all of them. POST with `name` and `action` (open, close, reset), in the query or as a form: does that, and
    /// answers with all of them. 400 for another action, 403 for whoever may not, 404 for an unknown name.
    fn respond(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
        let table = match BREAKERS.of(self.directory.as_deref()) {
            Ok(table) => table,
            Err(error) => return plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        };
        if *asked.method == Method::POST {
            if asked.is_cross_site() {
                return plain(StatusCode::FORBIDDEN, "another site's page may not change breakers\n");
            }
            if !self.may_change && !asked.is_local() {
                let words =
                    "breakers are changed from this machine only, unless the endpoints have auth_token or allow\n";
                return plain(StatusCode::FORBIDDEN, words);
            }
            let parameters = asked.parameters();
            let given = |wanted: &str| {
                parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).unwrap_or_default()
            };
            let (name, action) = (given("name"), given("action"));
            match table.map_or(Err(Refused::Unknown), |table| change(table, name, action)) {
                Ok(()) => {}
                Err(Refused::Unknown) => {
                    return plain(StatusCode::NOT_FOUND, &format!("there is no breaker {name:?}\n"));
                }
                Err(Refused::Action) => {
                    let words = format!("action must be open, close or reset, not {action:?}\n");
                    return plain(StatusCode::BAD_REQUEST, &words);
                }
            }
        }
        let all: Vec<_> = table.map(rows).unwrap_or_default();
        let all: Vec<_> = all
            .into_iter()
            .map(|(name, state, forced, rejected, trials)| {
                json!({"name": name, "state": state, "forced": forced, "rejected": rejected, "trials": trials})
            })
            .collect();
        let mut response = Response::new(json!({"breakers": all}).to_string().into_bytes());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// The list of the breakers of a directory, or of this process's table.
#[pyfunction]
#[pyo3(signature = (directory=None, *, path="/breakers", may_change=false))]
pub fn breaker_route(directory: Option<PathBuf>, path: &str, may_change: bool) -> NativeRoute {
    NativeRoute { route: Arc::new(BreakersRoute { path: path.into(), directory, may_change }) }
}
