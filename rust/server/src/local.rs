//! The registry of this very process as a source.

use crate::exposition::{write, Additions, Exposition, Format};
use crate::health::Status;
use crate::lookup::Lookup;
use crate::models_json::Models;
use crate::requests::{uptime, Requests};
use crate::sample_filter::is_plain;
use crate::stats_json::Numbers;
use ferrometer_core::clock::Clock;
use ferrometer_core::family::Family;
use ferrometer_core::reading::Reading;
use ferrometer_core::registry::{names_of, Registry, Visited};
use ferrometer_core::scrape::Scrape;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The native families of a registry, and its sources. Collectors written in Python are not in it, nor
/// families with names that the text formats cannot write plainly.
pub struct Local {
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// Where the JSON's numbers that are not about requests are, and what their names begin with.
    pub figures: (Arc<Registry>, String),
}

impl Exposition for Local {
    fn write(&self, format: Format, names: Option<&BTreeSet<String>>, additions: &Additions<'_>, out: &mut Vec<u8>) {
        Clock::get().calibrate();
        let unasked = |family: &Family| {
            names.is_some_and(|names| !names_of(family.definition()).iter().any(|name| names.contains(name)))
        };
        let leave_out = |family: &Family| unasked(family) || !is_plain(family) || additions.leave_out(family);
        let visit = |each: &mut dyn FnMut(Visited)| self.registry.visit(&Scrape::begin(), &leave_out, each);
        write(format, names, additions, visit, out);
    }

    fn numbers(&self) -> Numbers {
        Clock::get().calibrate();
        let scrape = Scrape::begin();
        let (figures, prefix) = &self.figures;
        let find: Lookup<'_> = &|name, read| look(&self.registry, &scrape, name, read);
        let mut numbers = Numbers {
            uptime_seconds: uptime(find),
            status: Status::read(find),
            requests: Requests::read(prefix.strip_suffix('_'), find),
            ..Numbers::default()
        };
        numbers.read(prefix, &|name, read| look(figures, &scrape, name, read));
        numbers
    }

    fn models(&self) -> Models {
        let scrape = Scrape::begin();
        Models::read(&self.figures.1, &|name, read| look(&self.registry, &scrape, name, read))
    }
}

fn look(registry: &Registry, scrape: &Scrape, name: &str, read: &mut dyn FnMut(&dyn Reading)) {
    if let Some(family) = registry.find(name) {
        return read(&*scrape.reading(&family));
    }
    // One that this process has not made, and others have.
    scrape.families(registry.scope(), &|other| other != name, read);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrometer_core::family::{Definition, Kind};

    fn counter(registry: &Registry, name: &str, labels: &[&str], values: &[&str]) {
        let definition = Definition {
            name: name.into(),
            help: "Help".into(),
            unit: String::new(),
            kind: Kind::Counter,
            labels: labels.iter().map(|&label| label.into()).collect(),
            max_series: 10,
        };
        registry.family(definition).unwrap().series(values).unwrap().counter().inc();
    }

    fn told(local: &Local, format: Format, names: &[&str]) -> String {
        let names: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut out = Vec::new();
        let names = Some(&names).filter(|names| !names.is_empty());
        local.write(format, names, &Additions::default(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn odd_names_are_left_out_of_every_format() {
        let registry = Arc::new(Registry::new());
        counter(&registry, "plain:a", &["l"], &["ö"]);
        counter(&registry, "odd.name", &[], &[]);
        counter(&registry, "odd_label", &["a.b"], &["c"]);
        let local = Local { figures: (registry.clone(), String::new()), registry };
        for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
            let told = told(&local, format, &[]);
            assert!(told.contains("plain:a") && !told.contains("odd"), "{told}");
        }
    }

    #[test]
    fn names_restrict_every_format() {
        let registry = Arc::new(Registry::new());
        counter(&registry, "a", &["l"], &["x"]);
        counter(&registry, "b", &[], &[]);
        let local = Local { figures: (registry.clone(), String::new()), registry };
        let text = "# HELP a_total Help\n# TYPE a_total counter\na_total{l=\"x\"} 1.0\n";
        assert_eq!(told(&local, Format::Text, &["a_total"]), text);
        let open = told(&local, Format::OpenMetrics, &["b_total"]);
        assert_eq!(open, "# HELP b Help\n# TYPE b counter\nb_total 1.0\n# EOF\n");
        let protobuf = told(&local, Format::Protobuf, &["a_total"]);
        assert!(protobuf.contains("a_total") && !protobuf.contains("b_total"), "{protobuf}");
    }

    #[test]
    fn requests_are_counted_by_status() {
        let registry = Arc::new(Registry::new());
        for status in ["200", "500", "404", "503"] {
            counter(&registry, "http_requests", &["method", "endpoint", "status"], &["GET", "/status=\"5\"", status]);
        }
        let local = Local { figures: (registry.clone(), String::new()), registry };
        let Requests { total, failed, success_rate, .. } = local.numbers().requests;
        assert_eq!((total, failed), (4, 2));
        assert!((success_rate - 50.0).abs() < 1e-9);
    }
}
