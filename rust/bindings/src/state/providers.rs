//! Calls of providers: how one is recorded, and the metrics of all, read from the table that all workers share.

use super::breaker_metrics::{labels, prefix};
use super::tables::PROVIDERS;
use crate::gil::GilCell;
use crate::metric::state::value_error;
use crate::registry::Registry;
use ferrometer_core::registry::{Computed, Sample, Source, Value};
use ferrometer_core::scrape::Scrape;
use ferrometer_state::providers::health::{status, Call, Calls, Outcome, Settings};
use ferrometer_state::providers::slot::{MAX_MODEL, MAX_PROVIDER};
use ferrometer_state::providers::table::Table;
use ferrometer_state::time::now_ms;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// The application's settings, which every table that it opens gets.
static SETTINGS: GilCell<Option<Settings>> = GilCell::new(None);

/// Sets what health is made of, for all workers of the directory.
#[pyfunction]
#[pyo3(signature = (*, window, error_weight, target, latency_weight, unavailable_after, healthy_from, degraded_from))]
pub fn configure_providers(
    window: f64,
    error_weight: f64,
    target: f64,
    latency_weight: f64,
    unavailable_after: u64,
    healthy_from: f64,
    degraded_from: f64,
) -> PyResult<()> {
    let settings = Settings {
        window_ms: (window * 1000.0) as u64,
        error_weight,
        target_seconds: target,
        latency_weight,
        unavailable_after,
        healthy_from,
        degraded_from,
    };
    // SAFETY: the GIL is held in every function of Python; storing a value runs no Python.
    unsafe { SETTINGS.with(|kept| *kept = Some(settings)) };
    PROVIDERS.get()?.set(&settings);
    Ok(())
}

/// This process shares a directory from now on, and its table is open. Called with the GIL.
pub fn share_settings() {
    // SAFETY: by contract; the value is copied.
    if let (Some(settings), Some(table)) = (unsafe { SETTINGS.with(|kept| *kept) }, PROVIDERS.look()) {
        table.set(&settings);
    }
}

fn check(what: &str, name: &str, least: usize, most: usize) -> PyResult<()> {
    if (least..=most).contains(&name.len()) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    let length = name.len();
    let words = format!("the name of a {what} has {least} to {most} bytes; {shown:?} ... has {length}");
    Err(PyValueError::new_err(words))
}

/// Records a call that ended: "success", "failure", or "caller" for the caller's own fault. Whether there was room.
#[pyfunction]
#[pyo3(signature = (provider, model, outcome, seconds=None, first_token_seconds=None, output_tokens=None))]
pub fn record_provider_call(
    provider: &str,
    model: &str,
    outcome: &str,
    seconds: Option<f64>,
    first_token_seconds: Option<f64>,
    output_tokens: Option<u64>,
) -> PyResult<bool> {
    check("provider", provider, 1, MAX_PROVIDER)?;
    check("model", model, 0, MAX_MODEL)?;
    let outcome = match outcome {
        "success" => Outcome::Success,
        "failure" => Outcome::Failure,
        "caller" => Outcome::Caller,
        _ => {
            return Err(PyValueError::new_err(format!("outcome must be success, failure or caller, not {outcome:?}")));
        }
    };
    for (what, value) in [("seconds", seconds), ("first_token_seconds", first_token_seconds)] {
        if value.is_some_and(|value| !(0.0..f64::INFINITY).contains(&value)) {
            return Err(PyValueError::new_err(format!("{what} must be finite and not negative, not {value:?}")));
        }
    }
    let table = PROVIDERS.get()?;
    let Some(slot) = table.find_or_add(provider, model) else {
        table.without_room().fetch_add(1, Relaxed);
        return Ok(false);
    };
    let call = Call { outcome, seconds, first_token_seconds, output_tokens };
    slot.record(&call, &table.settings(), now_ms());
    Ok(true)
}

/// Name, status, availability, error rate and health score of each provider that was called in the window.
type Row = (String, &'static str, bool, f64, f64);

/// The providers of a directory, or of this process's table.
#[pyfunction]
#[pyo3(signature = (directory=None))]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned paths")]
pub fn list_providers(directory: Option<PathBuf>) -> PyResult<Vec<Row>> {
    let Some(table) = PROVIDERS.of(directory.as_deref())? else { return Ok(Vec::new()) };
    let settings = table.settings();
    let rows = table.providers(&settings, now_ms()).into_iter().filter_map(|(name, provider)| {
        let score = provider.calls.score(&settings)?;
        Some((name, status(score, &settings), provider.calls.available, provider.calls.error_rate()?, score))
    });
    Ok(rows.collect())
}

/// The families of one namespace; without one, those that have none.
struct Providers {
    prefix: Option<String>,
    directory: Option<PathBuf>,
}

/// The metrics of a directory's providers: those with the prefix, or those that have none.
pub fn of_directory(prefix: Option<&str>, directory: &Path) -> Arc<dyn Source> {
    Arc::new(Providers { prefix: prefix.map(str::to_owned), directory: Some(directory.into()) })
}

const AVAILABILITY: &str = "1 while a model of the provider is available, 0 while none is";
const ERROR_RATE: &str = "Share of the provider's calls in the window that failed by its fault";
/// Names behind the namespace, for providers; those of models have `model_` in place of nothing. And their help.
const FAMILIES: [(&str, &str); 6] = [
    ("health_score", "Health from 0 to 1: availability, error rate and the p99 of the first token"),
    ("calls", "Calls that ended in the window, by what they say about the provider"),
    ("first_token_seconds", "Time to the first token of the calls in the window"),
    ("duration_seconds", "Time of the calls in the window that went well"),
    ("tokens_per_second", "Tokens of the answers in the window by the time that they took"),
    ("availability", "1 while the model is available, 0 while it is not"),
];
const MODEL_ERROR_RATE: (&str, &str) = ("error_rate", "Share of the model's calls in the window that failed");
const OVERFLOW: &str = "ferrometer_providers_without_room";

fn gauge(name: String, help: &str) -> Computed {
    Computed { name, help: help.into(), kind: "gauge".into(), samples: Vec::new() }
}

fn put(family: &mut Computed, names: &[&str], values: &[&str], value: Option<f64>) {
    if let Some(value) = value {
        let labels = labels(names, values);
        family.samples.push(Sample { suffix: String::new(), labels, value: Value::Float(value) });
    }
}

fn of_models(prefix: &str, name: &str) -> String {
    format!("{prefix}provider_model_{name}")
}

fn of_providers(prefix: &str, name: &str) -> String {
    format!("{prefix}provider_{name}")
}

/// Puts a subject's numbers into `health_score` and the four that follow it.
fn fill(families: &mut [Computed], calls: &Calls, settings: &Settings, names: &[&str], values: &[&str]) {
    let more = |name, value| ([names, &[name]].concat(), [values, &[value]].concat());
    put(&mut families[0], names, values, calls.score(settings));
    let good = calls.judged - calls.failures;
    for (outcome, count) in [("success", good), ("failure", calls.failures), ("caller", calls.caller_faults)] {
        let (names, values) = more("outcome", outcome);
        put(&mut families[1], &names, &values, Some(count as f64));
    }
    for (family, times) in [(2, &calls.first), (3, &calls.whole)] {
        for (quantile, text) in [(0.5, "0.5"), (0.99, "0.99")] {
            let (names, values) = more("quantile", text);
            put(&mut families[family], &names, &values, times.quantile(quantile));
        }
    }
    put(&mut families[4], names, values, calls.tokens_per_second());
}

fn available(calls: &Calls) -> f64 {
    f64::from(u8::from(calls.available))
}

fn without_namespace(table: &Table, out: &mut Vec<Computed>) {
    let mut families =
        [gauge("provider_availability".into(), AVAILABILITY), gauge("provider_error_rate".into(), ERROR_RATE)];
    for (name, provider) in &table.providers(&table.settings(), now_ms()) {
        put(&mut families[0], &["provider"], &[name], Some(available(&provider.calls)));
        put(&mut families[1], &["provider"], &[name], provider.calls.error_rate());
    }
    out.extend(families.into_iter().filter(|family| !family.samples.is_empty()));
    let refused = table.without_room().load(Relaxed);
    let help = "Calls of providers and models beyond the table's room, which are not in their health";
    out.extend(Computed::about("counter", [OVERFLOW, help, "table"], [("providers".into(), refused)]));
}

fn with_namespace(table: &Table, prefix: &str, out: &mut Vec<Computed>) {
    let settings = table.settings();
    let mut providers: Vec<_> =
        FAMILIES[..5].iter().map(|(name, help)| gauge(of_providers(prefix, name), help)).collect();
    let mut models: Vec<_> = FAMILIES.iter().map(|(name, help)| gauge(of_models(prefix, name), help)).collect();
    models.push(gauge(of_models(prefix, MODEL_ERROR_RATE.0), MODEL_ERROR_RATE.1));
    for (name, provider) in &table.providers(&settings, now_ms()) {
        fill(&mut providers, &provider.calls, &settings, &["provider"], &[name]);
        for (model, calls) in &provider.models {
            let (names, values) = (["provider", "model"], [name.as_str(), model]);
            fill(&mut models, calls, &settings, &names, &values);
            put(&mut models[5], &names, &values, Some(available(calls)));
            put(&mut models[6], &names, &values, calls.error_rate());
        }
    }
    out.extend(providers.into_iter().chain(models).filter(|family| !family.samples.is_empty()));
}

impl Source for Providers {
    fn collect(&self, _: &Scrape, out: &mut Vec<Computed>) {
        let Ok(Some(table)) = PROVIDERS.of(self.directory.as_deref()) else { return };
        match &self.prefix {
            None => without_namespace(table, out),
            Some(prefix) => with_namespace(table, prefix, out),
        }
    }

    fn names(&self) -> Vec<String> {
        let Some(prefix) = &self.prefix else {
            return vec!["provider_availability".into(), "provider_error_rate".into(), format!("{OVERFLOW}_total")];
        };
        let providers = FAMILIES[..5].iter().map(|(name, _)| of_providers(prefix, name));
        providers.chain(FAMILIES.iter().chain([&MODEL_ERROR_RATE]).map(|(name, _)| of_models(prefix, name))).collect()
    }
}

/// Shows the health of providers, as all workers know it, in a registry: the families of a namespace, or those without.
#[pyfunction]
#[pyo3(signature = (registry, namespace))]
pub fn register_provider_metrics(registry: &Bound<'_, Registry>, namespace: Option<&str>) -> PyResult<()> {
    let source = Providers { prefix: namespace.map(prefix), directory: None };
    let core = &registry.get().core;
    core.register_source(Arc::new(source), "the health of providers").map_err(value_error)
}
