//! Answers and errors as Prometheus's API writes them.

use std::fmt::Write;

use crate::answer::{Answer, SampleValue, Value};
use crate::error::QueryError;
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::number;

impl Answer {
    /// `{"status":"success","data":{"resultType":…,"result":…}}`, with warnings and infos where there are any.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{\"status\":\"success\",\"data\":");
        self.write_data(&mut json);
        for (key, notes) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !notes.is_empty() {
                let _ = write!(json, ",\"{key}\":");
                list(&mut json, '[', ']', notes, |json, note| text(json, note));
            }
        }
        json.push('}');
        json
    }

    /// The value of `data` alone.
    pub fn write_data(&self, json: &mut String) {
        let (kind, start, end) = match &self.value {
            Value::Scalar(..) => ("scalar", "", ""),
            Value::String(..) => ("string", "", ""),
            Value::Vector(_) => ("vector", "[", "]"),
            Value::Matrix(_) => ("matrix", "[", "]"),
        };
        let _ = write!(json, "{{\"resultType\":\"{kind}\",\"result\":{start}");
        match &self.value {
            Value::Scalar(at, value) => {
                json.push('[');
                time(json, *at);
                let _ = write!(json, ",\"{}\"]", number::plain(*value));
            }
            Value::String(at, value) => {
                json.push('[');
                time(json, *at);
                json.push(',');
                text(json, value);
                json.push(']');
            }
            Value::Vector(samples) => {
                for (at, sample) in samples.iter().enumerate() {
                    json.push_str(if at == 0 { "{\"metric\":" } else { ",{\"metric\":" });
                    metric(json, &sample.labels);
                    match &sample.value {
                        SampleValue::Float(value) => {
                            json.push_str(",\"value\":");
                            float(json, sample.time_ms, *value);
                        }
                        SampleValue::Histogram(value) => {
                            json.push_str(",\"histogram\":");
                            histogram(json, sample.time_ms, value);
                        }
                    }
                    json.push('}');
                }
            }
            Value::Matrix(series) => {
                for (at, series) in series.iter().enumerate() {
                    json.push_str(if at == 0 { "{\"metric\":" } else { ",{\"metric\":" });
                    metric(json, &series.labels);
                    if !series.floats.is_empty() || series.histograms.is_empty() {
                        json.push_str(",\"values\":");
                        list(json, '[', ']', &series.floats, |json, (at, value)| float(json, *at, *value));
                    }
                    if !series.histograms.is_empty() {
                        json.push_str(",\"histograms\":");
                        list(json, '[', ']', &series.histograms, |json, (at, value)| histogram(json, *at, value));
                    }
                    json.push('}');
                }
            }
        }
        json.push_str(end);
        json.push('}');
    }
}

impl QueryError {
    /// `{"status":"error","errorType":…,"error":…}`
    pub fn to_json(&self) -> String {
        let mut json = format!("{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":", self.kind.name());
        text(&mut json, &self.message);
        json.push('}');
        json
    }
}

fn list<T>(json: &mut String, start: char, end: char, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    json.push(start);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        write(json, item);
    }
    json.push(end);
}

/// The labels of a series as a JSON object.
pub fn metric(json: &mut String, labels: &Labels) {
    json.push('{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        text(json, name);
        json.push(':');
        text(json, value);
    }
    json.push('}');
}

/// A JSON string.
pub fn text(json: &mut String, value: &str) {
    json.push('"');
    for character in value.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            character if (character as u32) < 0x20 => {
                let _ = write!(json, "\\u{:04x}", character as u32);
            }
            character => json.push(character),
        }
    }
    json.push('"');
}

/// Seconds; milliseconds as three decimals where there are any.
fn time(json: &mut String, time_ms: i64) {
    let sign = if time_ms < 0 { "-" } else { "" };
    let (seconds, ms) = (time_ms.unsigned_abs() / 1000, time_ms.unsigned_abs() % 1000);
    let _ = if ms == 0 { write!(json, "{sign}{seconds}") } else { write!(json, "{sign}{seconds}.{ms:03}") };
}

fn float(json: &mut String, time_ms: i64, value: f64) {
    json.push('[');
    time(json, time_ms);
    json.push_str(",\"");
    number::write_sample(json, value);
    json.push_str("\"]");
}

fn histogram(json: &mut String, time_ms: i64, histogram: &Histogram) {
    json.push('[');
    time(json, time_ms);
    let [count, sum] = [histogram.count, histogram.sum].map(number::sample);
    let _ = write!(json, ",{{\"count\":\"{count}\",\"sum\":\"{sum}\"");
    let mut found = false;
    for bucket in histogram.buckets().filter(|bucket| bucket.count != 0.0) {
        let inclusive = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(number::sample);
        json.push_str(if found { "," } else { ",\"buckets\":[" });
        let _ = write!(json, "[{inclusive},\"{lower}\",\"{upper}\",\"{count}\"]");
        found = true;
    }
    json.push_str(if found { "]}]" } else { "}]" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Bin;

    #[test]
    fn times_values_and_histograms() {
        let one = Histogram {
            count: 3.0,
            sum: 1e-7,
            zero_count: 1.0,
            zero_threshold: 0.001,
            positive: vec![Bin { index: 1, count: 2.0 }, Bin { index: 2, count: 0.0 }],
            ..Histogram::default()
        };
        let mut json = String::new();
        histogram(&mut json, 1_435_781_430_100, &one);
        let buckets = "[[3,\"-0.001\",\"0.001\",\"1\"],[0,\"1\",\"2\",\"2\"]]";
        let wanted = format!("[1435781430.100,{{\"count\":\"3\",\"sum\":\"1e-07\",\"buckets\":{buckets}}}]");
        assert_eq!(json, wanted);
        let error = QueryError::bad_data("a \"b\"\n");
        assert_eq!(error.to_json(), "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"a \\\"b\\\"\\n\"}");
    }
}
