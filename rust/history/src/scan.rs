//! One look at a registry: every series that `/metrics` shows, under the same names.

use crate::bins::{self, Bins};
use crate::recorder::Recorder;
use crate::track::{About, Shape};
use ferrometer_core::family::Kind;
use ferrometer_core::histogram::filled::Filled;
use ferrometer_core::histogram::Buckets;
use ferrometer_core::labels::{is_rendered, pairs, Labels};
use ferrometer_core::reading::{Reading, Series};
use ferrometer_core::registry::{Computed, Value, Visited};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a family's series are called.
struct Names {
    plain: Arc<str>,
    total: Arc<str>,
    count: Arc<str>,
    sum: Arc<str>,
    /// Of a histogram.
    buckets: Option<Shape>,
}

/// Looks, and remembers names and buffers from one look to the next.
#[derive(Default)]
pub struct Scanner {
    names: HashMap<String, Arc<Names>>,
    about: BTreeMap<String, About>,
    is_news: bool,
    buckets: Buckets,
    filled: Filled,
    bins: Bins,
}

impl Scanner {
    /// The families' types and helps, when there are new ones since this was last asked.
    pub fn news(&mut self) -> Option<&BTreeMap<String, About>> {
        std::mem::take(&mut self.is_news).then_some(&self.about)
    }

    /// Records what a scrape comes by.
    pub fn visit(&mut self, visited: &Visited<'_>, recorder: &mut Recorder) {
        match visited {
            Visited::Family(family) => self.family(*family, recorder),
            Visited::Computed(family) => self.computed(family, recorder),
        }
    }

    fn names(&mut self, family: &dyn Reading) -> Arc<Names> {
        let definition = family.definition();
        let shape = match &definition.kind {
            Kind::Histogram(layout) => Some(layout),
            _ => None,
        };
        if let Some(names) = self.names.get(&definition.name) {
            let is_same = match (shape, &names.buckets) {
                (Some(layout), Some(Shape::Classic(bounds))) => layout.bounds()[..] == bounds[..],
                (None, None) => true,
                _ => false,
            };
            if is_same {
                return names.clone();
            }
        }
        let name = &definition.name;
        let suffixed = |suffix: &str| Arc::from(format!("{name}{suffix}"));
        let names = Arc::new(Names {
            plain: name.as_str().into(),
            total: suffixed(if matches!(definition.kind, Kind::Info) { "_info" } else { "_total" }),
            count: suffixed("_count"),
            sum: suffixed("_sum"),
            buckets: shape.map(|layout| Shape::Classic(layout.bounds().to_vec().into())),
        });
        self.names.insert(name.clone(), names.clone());
        let (shown, kind) = match &definition.kind {
            Kind::Counter => (&names.total, "counter"),
            Kind::Info => (&names.total, "gauge"),
            Kind::Gauge(_) | Kind::StateSet(_) => (&names.plain, "gauge"),
            Kind::Histogram(_) => (&names.plain, "histogram"),
            Kind::Summary(..) => (&names.plain, "summary"),
        };
        let (unit, help) = (definition.unit.clone(), definition.help.clone());
        self.tell(shown, About { kind: kind.into(), unit, help });
        names
    }

    fn tell(&mut self, name: &str, about: About) {
        if self.about.get(name) != Some(&about) {
            self.about.insert(name.to_owned(), about);
            self.is_news = true;
        }
    }

    fn family(&mut self, family: &dyn Reading, recorder: &mut Recorder) {
        let definition = family.definition();
        let names = self.names(family);
        let labels = family.labels();
        if !labels.is_open() && !labels.names().iter().all(|name| is_rendered(format!("{name}=\"\"").as_bytes())) {
            return; // its labels cannot be told from their values
        }
        family.for_each(&mut |series| {
            let Ok(text) = std::str::from_utf8(series.text()) else { return };
            match &definition.kind {
                Kind::Counter => {
                    let (whole, fraction) = series.counter();
                    recorder.scalar(&Shape::Counter, &names.total, text, whole as f64 + fraction);
                }
                Kind::Gauge(_) => recorder.scalar(&Shape::Gauge, &names.plain, text, series.gauge()),
                Kind::Histogram(_) => self.histogram(&names, text, series, recorder),
                Kind::Summary(_, quantiles) => {
                    series.buckets(&mut self.buckets);
                    let count = self.buckets.counts.iter().sum::<u64>() as f64;
                    recorder.scalar(&Shape::Counter, &names.count, text, count);
                    recorder.scalar(&Shape::Counter, &names.sum, text, self.buckets.sum);
                    if !quantiles.is_empty() {
                        let snapshot = series.snapshot();
                        for &quantile in &**quantiles {
                            let text = with(labels, text, "quantile", &bound(quantile));
                            recorder.scalar(&Shape::Gauge, &names.plain, &text, snapshot.quantile(quantile));
                        }
                    }
                }
                Kind::Info => {
                    let own = series.info().unwrap_or_default();
                    let all: Vec<_> = pairs(series.text()).into_iter().chain(pairs(own.as_bytes())).collect();
                    recorder.scalar(&Shape::Gauge, &names.total, &render(&all), 1.0);
                }
                Kind::StateSet(states) => {
                    let current = series.gauge();
                    for (index, state) in states.iter().enumerate() {
                        let is_current = (current - index as f64).abs() < 0.5;
                        let text = with(labels, text, &definition.name, state);
                        recorder.scalar(&Shape::Gauge, &names.plain, &text, f64::from(u8::from(is_current)));
                    }
                }
            }
        });
    }

    fn histogram(&mut self, names: &Names, text: &str, series: &dyn Series, recorder: &mut Recorder) {
        let Some(shape) = &names.buckets else { return };
        series.buckets(&mut self.buckets);
        if !recorder.classic(&names.plain, text, shape, &self.buckets.counts, self.buckets.sum) {
            return recorder.bins(&names.plain, text, None);
        }
        series.filled(&mut self.filled);
        if bins::of_filled(&self.filled, &mut self.bins) {
            recorder.bins(&names.plain, text, Some(&self.bins));
        }
    }

    fn computed(&mut self, family: &Computed, recorder: &mut Recorder) {
        let is_counter = family.kind == "counter";
        for sample in &family.samples {
            if !is_rendered(sample.labels.as_bytes()) {
                continue;
            }
            let grows = is_counter || matches!(&*sample.suffix, "_count" | "_sum" | "_bucket");
            let value = match sample.value {
                Value::Int(count) => count as f64,
                Value::Float(value) => value,
            };
            let name: Arc<str> = format!("{}{}", family.name, sample.suffix).into();
            recorder.scalar(if grows { &Shape::Counter } else { &Shape::Gauge }, &name, &sample.labels, value);
        }
        let suffix = if is_counter { "_total" } else { "" };
        let about = About { kind: family.kind.clone(), unit: String::new(), help: family.help.clone() };
        self.tell(&format!("{}{suffix}", family.name), about);
    }
}

fn bound(number: f64) -> String {
    let mut text = Vec::new();
    ferrometer_core::encode::number::write_float(number, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A series' labels with one more in its place.
fn with(labels: &Labels, text: &str, name: &str, value: &str) -> String {
    let (before, after) = labels.split(text.as_bytes(), name);
    let own = render(&[(name.to_owned(), value.to_owned())]);
    let parts = [before, own.as_bytes(), after].into_iter().filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(String::from_utf8_lossy).collect();
    parts.join(",")
}

fn render(pairs: &[(String, String)]) -> String {
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<&str> = pairs.iter().map(|(_, value)| value.as_str()).collect();
    let mut text = Vec::new();
    Labels::new(&names).render(&values, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
