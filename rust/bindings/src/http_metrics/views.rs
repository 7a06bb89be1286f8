//! Totals over all endpoints, and the namespaced families computed from them at scrape: the same cells, recorded once.

use super::application::Families;
use super::shared::Shared;
use ferrometer_core::error::Error;
use ferrometer_core::registry::{Computed, Registry, Source};
use ferrometer_core::scrape::Scrape;
use ferrometer_server::lookup::Lookup;
use ferrometer_server::requests::{uptime, Requests, START};
use ferrometer_server::views;
use std::sync::Arc;

/// Everything over all series, and for how many seconds there has been something to count.
///
/// Of several applications, only that of the namespace is told.
pub fn totals(scrape: &Scrape, shared: &Shared, namespace: Option<&str>) -> (Requests, f64) {
    with(scrape, shared, |find| (Requests::read(namespace, find), uptime(find)))
}

/// The requests that are being served now.
pub fn in_flight(scrape: &Scrape, shared: &Shared, namespace: Option<&str>) -> u64 {
    with(scrape, shared, |find| Requests::in_flight(namespace, find))
}

fn with<T>(scrape: &Scrape, shared: &Shared, read: impl FnOnce(Lookup<'_>) -> T) -> T {
    let ours = [&shared.requests, &shared.duration, &shared.requests_in_flight, &shared.start];
    let by_application = shared.applications.families().map(Families::all);
    read(&|name, each| {
        let mut all = ours.iter().chain(by_application.iter().flatten());
        if let Some(family) = all.find(|family| family.definition().name == name) {
            each(&*scrape.reading(family));
        }
    })
}

/// Seconds since the first process of the application was instrumented.
pub fn uptime_of(scrape: &Scrape, shared: &Shared) -> f64 {
    uptime(&|name, read| {
        if name == START {
            read(&*scrape.reading(&shared.start));
        }
    })
}

/// The namespaced families.
struct Views {
    namespace: String,
    shared: Arc<Shared>,
}

/// Adds the namespaced families to a registry, once.
///
/// # Errors
/// When one of the names belongs to something else.
pub fn register(registry: &Registry, shared: &Arc<Shared>, namespace: &str) -> Result<(), Error> {
    if !shared.add_namespace(namespace) {
        return Ok(());
    }
    let views = Arc::new(Views { namespace: namespace.into(), shared: shared.clone() });
    let description = format!("the HTTP views of namespace {namespace:?}");
    registry.register_source(views, &description).inspect_err(|_| shared.remove_namespace(namespace))
}

impl Source for Views {
    fn collect(&self, scrape: &Scrape, out: &mut Vec<Computed>) {
        let (requests, uptime) = totals(scrape, &self.shared, Some(&self.namespace));
        out.extend(views::views(&self.namespace, uptime, &requests));
    }

    fn names(&self) -> Vec<String> {
        views::names(&self.namespace)
    }
}
