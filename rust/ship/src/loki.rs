//! Lines to Loki's push API, and to what speaks it (`VictoriaLogs`).

use crate::fields::{hex, text, Fields};
use crate::http::Client;
use crate::keys::Keys;
use crate::sink::{Delivery, Item, Sink};
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A receiver.
pub struct Loki {
    client: Client,
    labels: Vec<(String, String)>,
    metadata: Vec<String>,
    keys: Keys,
    /// The latest time of each stream, by level: two lines of one time would be one line.
    latest: HashMap<&'static str, u64>,
}

impl Loki {
    /// These labels, and the level, name a stream; these keys of a line become its structured metadata.
    pub fn new(client: Client, labels: Vec<(String, String)>, metadata: Vec<String>, keys: Keys) -> Self {
        Loki { client, labels, metadata, keys, latest: HashMap::new() }
    }

    fn body(&mut self, items: &[Item]) -> Vec<u8> {
        let mut streams: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
        for item in items {
            let level = item.record.head.level.name();
            let latest = self.latest.entry(level).or_default();
            // Equal times are told apart; older ones stay as they are, for Loki orders them itself.
            let mut time = item.record.head.time_ns;
            if time == *latest {
                time += 1;
            }
            *latest = time.max(*latest);
            let metadata = self.metadata(item);
            let line = String::from_utf8_lossy(&item.record.payload).into_owned();
            streams.entry(level).or_default().push(json!([time.to_string(), line, metadata]));
        }
        let streams: Vec<Value> = streams
            .into_iter()
            .map(|(level, values)| {
                let mut stream: Map<String, Value> =
                    self.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
                stream.insert("level".into(), level.into());
                json!({ "stream": stream, "values": values })
            })
            .collect();
        json!({ "streams": streams }).to_string().into_bytes()
    }

    /// What is known of a line besides: never labels, for each value would be a stream.
    fn metadata(&self, item: &Item) -> Map<String, Value> {
        let fields = Fields::of(item, &self.keys);
        let mut metadata = Map::new();
        for key in &self.metadata {
            if let Some(value) = fields.rest.get(key).filter(|value| !value.is_null()) {
                metadata.insert(key.replace(['.', '-', '/'], "_"), text(value).into());
            }
        }
        for (name, id) in [("trace_id", &item.record.head.trace_id[..]), ("span_id", &item.record.head.span_id[..])] {
            if let Some(id) = hex(id) {
                metadata.insert(name.into(), id.into());
            }
        }
        if item.is_repeated {
            metadata.insert("repeated".into(), "true".into());
            metadata.insert("sequence".into(), item.record.sequence.to_string().into());
        }
        metadata
    }
}

impl Sink for Loki {
    fn linger(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn batch_bytes(&self) -> usize {
        512 * 1024
    }

    fn send(&mut self, items: &[Item], until: Instant) -> Delivery {
        let body = self.body(items);
        match self.client.post("application/json", &body, until) {
            Ok(answer) => self.client.judge(items, &answer, |status| status == 429 || status >= 500),
            Err(error) => self.client.failed(&error),
        }
    }
}
