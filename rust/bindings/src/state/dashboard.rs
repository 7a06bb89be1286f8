//! `/health/dashboard`: the health of all providers, on the own port and below the application's endpoints.

use super::tables::PROVIDERS;
use crate::responder::{plain, NativeRoute};
use ferrometer_server::stats_json::now;
use ferrometer_server::{Asked, Route};
use ferrometer_state::providers::health::{status, Calls, Settings};
use ferrometer_state::providers::table::Table;
use ferrometer_state::time::now_ms;
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::{Method, Response, StatusCode};
use pyo3::prelude::*;
use serde_json::{json, Map, Value};
use std::path::PathBuf;
use std::sync::Arc;

struct Dashboard {
    directory: Option<PathBuf>,
}

impl Route for Dashboard {
    fn path(&self) -> &'static str {
        "/health/dashboard"
    }

    fn methods(&self) -> &[Method] {
        &[Method::GET]
    }

    fn respond(&self, _: &Asked<'_>) -> Response<Vec<u8>> {
        match PROVIDERS.of(self.directory.as_deref()) {
            Ok(table) => {
                let mut response = Response::new(dashboard(table).to_string().into_bytes());
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }
}

/// What is known of some calls. What is not known is null; times are in seconds.
fn fields(name: &str, calls: &Calls, settings: &Settings) -> Map<String, Value> {
    let score = calls.score(settings);
    let times = |times: &ferrometer_state::providers::times::Times| json!({"p50": times.quantile(0.5), "p99": times.quantile(0.99)});
    let fields = json!({
        "name": name,
        "status": score.map(|score| status(score, settings)),
        "availability": f64::from(u8::from(calls.available)),
        "error_rate": calls.error_rate(),
        "health_score": score,
        "requests": calls.judged,
        "errors": calls.failures,
        "caller_errors": calls.caller_faults,
        "first_token_seconds": times(&calls.first),
        "duration_seconds": times(&calls.whole),
        "tokens_per_second": calls.tokens_per_second(),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn dashboard(table: Option<&Table>) -> Value {
    let settings = table.map(Table::settings).unwrap_or_default();
    let found = table.map(|table| table.providers(&settings, now_ms())).unwrap_or_default();
    let (mut all, mut scores) = (Calls::default(), Vec::new());
    let mut providers = Vec::new();
    for (name, provider) in &found {
        let mut told = fields(name, &provider.calls, &settings);
        let models = provider.models.iter().map(|(model, calls)| Value::Object(fields(model, calls, &settings)));
        told.insert("models".into(), models.collect());
        providers.push(Value::Object(told));
        all.merge(&provider.calls);
        scores.extend(provider.calls.score(&settings));
    }
    let of = |wanted: &str| scores.iter().filter(|score| status(**score, &settings) == wanted).count();
    let mean = (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64);
    json!({
        "timestamp": now(),
        "providers": providers,
        "summary": {
            "total": providers.len(),
            "healthy": of("healthy"),
            "degraded": of("degraded"),
            "unhealthy": of("unhealthy"),
            "requests": all.judged,
            "errors": all.failures,
            "error_rate": all.error_rate(),
            "average_health_score": mean,
            "window_seconds": settings.window_ms as f64 / 1000.0,
        },
    })
}

/// The dashboard of a directory, or of this process's table.
#[pyfunction]
#[pyo3(signature = (directory=None))]
pub fn dashboard_route(directory: Option<PathBuf>) -> NativeRoute {
    NativeRoute { route: Arc::new(Dashboard { directory }) }
}
