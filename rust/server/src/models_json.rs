//! What is known of each model, as `/models/stats` tells it: from the cells of the scrape.

use crate::lookup::Lookup;
use crate::stats_json::number;
use ferrometer_core::family::Kind;
use ferrometer_core::histogram::Buckets;
use ferrometer_core::reading::{Reading, Series};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The models, by name.
#[derive(Debug, Default, PartialEq)]
pub struct Models(BTreeMap<String, Model>);

#[derive(Debug, Default, PartialEq)]
struct Model {
    by_status: BTreeMap<String, u64>,
    prompt_tokens: u64,
    completion_tokens: u64,
    in_flight: f64,
    duration: Mean,
    first_token: Mean,
    cost: Option<f64>,
}

/// Takes over what a series of a model tells; the values are those of its labels.
type Read<'a> = dyn FnMut(&mut Model, &[String], &dyn Series) + 'a;

#[derive(Debug, Default, PartialEq)]
struct Mean {
    count: u64,
    sum: f64,
}

impl Mean {
    fn json(&self) -> String {
        number(self.sum / self.count as f64) // without any, NaN, which is null
    }
}

impl Models {
    /// Reads them. The family of their costs has a name that begins with `prefix`, or none before it.
    pub fn read(prefix: &str, look: Lookup<'_>) -> Self {
        let mut models = Models::default();
        models.each("inference_requests", &["model", "status"], look, &mut |model, values, series| {
            *model.by_status.entry(values[1].clone()).or_default() += series.counter().0;
        });
        models.each(
            "inference_tokens",
            &["model", "type"],
            look,
            &mut |model, values, series| match values[1].as_str() {
                "prompt" => model.prompt_tokens += series.counter().0,
                "completion" => model.completion_tokens += series.counter().0,
                _ => {}
            },
        );
        models.each("inference_in_flight", &["model"], look, &mut |model, _, series| model.in_flight += series.gauge());
        let mut buckets = Buckets::default();
        let mut add = |mean: &mut Mean, series: &dyn Series| {
            series.buckets(&mut buckets);
            mean.count += buckets.counts.iter().sum::<u64>();
            mean.sum += buckets.sum;
        };
        models.each("inference_duration_seconds", &["model"], look, &mut |model, _, series| {
            add(&mut model.duration, series);
        });
        models.each("inference_time_to_first_token_seconds", &["model"], look, &mut |model, _, series| {
            add(&mut model.first_token, series);
        });
        let mut cost = |name: &str| {
            models.each(name, &["model"], look, &mut |model, _, series| {
                *model.cost.get_or_insert(0.0) += series.gauge();
            });
        };
        cost(&format!("{prefix}cost_by_model"));
        if !prefix.is_empty() {
            cost("cost_by_model");
        }
        models
    }

    /// Visits the series of a family with these labels; an application's own family that is called alike has others.
    fn each(&mut self, name: &str, labels: &[&str], look: Lookup<'_>, read: &mut Read<'_>) {
        look(name, &mut |family| {
            if family.definition().name == name && is_of(family, name, labels) {
                family.for_each(&mut |series| {
                    let values = family.labels().values(series.text());
                    read(self.0.entry(values[0].clone()).or_default(), &values, series);
                });
            }
        });
    }

    /// The body of `/models/stats`. What is not known is `null`.
    pub fn json(&self, timestamp: &str) -> String {
        let mut json = format!("{{\"timestamp\":\"{timestamp}\",\"models\":[");
        let (mut requests, mut errors, mut tokens, mut cost) = (0, 0, 0, None);
        for (position, (name, model)) in self.0.iter().enumerate() {
            if position > 0 {
                json.push(',');
            }
            let (all, failed) = model.write(name, &mut json);
            requests += all;
            errors += failed;
            tokens += model.prompt_tokens + model.completion_tokens;
            if let Some(usd) = model.cost {
                *cost.get_or_insert(0.0) += usd;
            }
        }
        let _ = write!(
            json,
            "],\"summary\":{{\"models\":{},\"requests\":{requests},\"errors\":{errors},\"total_tokens\":{tokens},\
             \"cost_usd\":{}}}}}",
            self.0.len(),
            maybe(cost),
        );
        json
    }
}

impl Model {
    /// Appends the object; how many requests ended, and how many of them failed.
    fn write(&self, name: &str, json: &mut String) -> (u64, u64) {
        let requests = self.by_status.values().sum::<u64>();
        let errors = self.by_status.get("error").copied().unwrap_or_default();
        json.push_str("{\"model\":");
        string(name, json);
        let error_rate = number(errors as f64 / requests as f64);
        let _ =
            write!(json, ",\"requests\":{requests},\"errors\":{errors},\"error_rate\":{error_rate},\"by_status\":{{");
        for (position, (status, count)) in self.by_status.iter().enumerate() {
            if position > 0 {
                json.push(',');
            }
            string(status, json);
            let _ = write!(json, ":{count}");
        }
        #[expect(clippy::cast_sign_loss, reason = "clamped to zero before")]
        let in_flight = self.in_flight.max(0.0) as u64;
        let (prompt, completion) = (self.prompt_tokens, self.completion_tokens);
        let _ = write!(
            json,
            "}},\"in_flight\":{in_flight},\
             \"tokens\":{{\"prompt\":{prompt},\"completion\":{completion},\"total\":{}}},\
             \"average_duration_seconds\":{},\"average_first_token_seconds\":{},\"cost_usd\":{}}}",
            prompt + completion,
            self.duration.json(),
            self.first_token.json(),
            maybe(self.cost),
        );
        (requests, errors)
    }
}

fn is_of(family: &dyn Reading, name: &str, labels: &[&str]) -> bool {
    let kind = match family.definition().kind {
        Kind::Counter => matches!(name, "inference_requests" | "inference_tokens"),
        Kind::Gauge(_) => name == "inference_in_flight" || name.ends_with("cost_by_model"),
        Kind::Histogram(_) => name.ends_with("_seconds"),
        _ => false,
    };
    kind && family.labels().names().iter().map(|name| &**name).eq(labels.iter().copied())
}

fn maybe(value: Option<f64>) -> String {
    number(value.unwrap_or(f64::NAN))
}

fn string(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", control as u32);
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrometer_core::family::Definition;
    use ferrometer_core::registry::Registry;

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

    fn told(registry: &Registry) -> String {
        let look: Lookup<'_> = &|name, read| registry.find(name).iter().for_each(|family| read(&**family));
        Models::read("gw_", look).json("t")
    }

    #[test]
    fn any_name_is_a_json_string() {
        let registry = Registry::new();
        counter(&registry, "inference_requests", &["model", "status"], &["a\"b\\c\nd\u{1}é", "error"]);
        let json = told(&registry);
        assert!(
            json.contains("{\"model\":\"a\\\"b\\\\c\\u000ad\\u0001é\",\"requests\":1,\"errors\":1,\"error_rate\":1.0,"),
            "{json}"
        );
        assert!(json.contains("\"average_duration_seconds\":null"), "{json}");
    }

    #[test]
    fn other_families_of_that_name_are_left_alone() {
        let registry = Registry::new();
        counter(&registry, "inference_requests", &["model"], &["a"]);
        counter(&registry, "inference_in_flight", &["model"], &["a"]);
        counter(&registry, "inference_tokens", &["type", "model"], &["a", "b"]);
        counter(&registry, "gw_cost_by_model", &["model"], &["a"]);
        let nothing = "{\"timestamp\":\"t\",\"models\":[],\
            \"summary\":{\"models\":0,\"requests\":0,\"errors\":0,\"total_tokens\":0,\"cost_usd\":null}}";
        assert_eq!(told(&registry), nothing);
    }
}
