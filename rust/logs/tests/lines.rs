//! Whole lines: the keys of each format, what clashes, what is cut.

use ferrometer_logs::format::{format, FORMATS};
use ferrometer_logs::line::{Style, LONGEST_TEXT};
use ferrometer_logs::redact::mark::Marker;
use serde_json::{json, Value};

const TIME: u64 = 1_768_307_696_789_000_000;

fn style(name: &str) -> Style {
    Style::new(format(name).unwrap(), Marker::new(b"k"), "gateway", "1.0.0", "production")
}

fn line(style: &Style, message: &str, fields: &[(&str, Value)]) -> Value {
    let (mut out, mut group) = (Vec::new(), Vec::new());
    let mut line = style.line(&mut out, &mut group, 2, TIME, "services.gpu", message.as_bytes());
    for (name, value) in fields {
        let key = style.format.key(name);
        if !line.field(&key) {
            continue;
        }
        match value {
            Value::String(text) => match key.secret {
                Some(action) => line.secret(text.as_bytes(), action),
                None => line.text(text.as_bytes()),
            },
            Value::Number(number) if key.is_latency => line.latency(number.as_f64().unwrap()),
            Value::Number(number) if number.is_f64() => line.float(number.as_f64().unwrap()),
            Value::Number(number) => line.integer(number.as_i64().unwrap()),
            other => line.raw(other.to_string().as_bytes()),
        }
    }
    line.close();
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

fn request() -> Vec<(&'static str, Value)> {
    vec![
        ("request_id", json!("req-1")),
        ("trace_id", json!("abc")),
        ("method", json!("POST")),
        ("path", json!("/v1")),
        ("status_code", json!(200)),
        ("duration_ms", json!(125.5)),
        ("operation", json!("job")),
    ]
}

#[test]
fn every_format() {
    let time = "2026-01-13T12:34:56.789Z";
    assert_eq!(
        line(&style("gpuproxy"), "done", &request()),
        json!({"timestamp": time, "level": "WARN", "service": "gateway", "logger": "services.gpu", "message": "done", "request_id": "req-1",
               "trace_id": "abc", "method": "POST", "path": "/v1", "status_code": 200, "duration_ms": 125.5, "operation": "job"})
    );
    assert_eq!(
        line(&style("omtx"), "done", &request()),
        json!({"timestamp": time, "level": "WARNING", "logger": "services.gpu", "message": "done",
               "service": {"name": "gateway", "version": "1.0.0", "environment": "production"}, "request_id": "req-1", "trace_id": "abc",
               "method": "POST", "path": "/v1", "status_code": 200, "performance": {"duration_ms": 125.5, "operation": "job"}})
    );
    assert_eq!(
        line(&style("platform"), "done", &[("trace_id", json!("abc")), ("endpoint", json!("/v1/chat"))]),
        json!({"timestamp": time, "level": "WARNING", "logger": "services.gpu", "message": "done", "service": "gateway",
               "trace_id": "abc", "endpoint": "/v1/chat"})
    );
    assert_eq!(line(&style("staging"), "done", &[])["level"], "warn");
    assert_eq!(
        line(&style("gcp"), "done", &request()),
        json!({"timestamp": "2026-01-13T12:34:56.789000000Z", "severity": "WARNING", "logger": "services.gpu", "message": "done",
               "logging.googleapis.com/labels": {"service": "gateway", "version": "1.0.0", "environment": "production"},
               "request_id": "req-1", "logging.googleapis.com/trace": "abc", "operation": "job",
               "httpRequest": {"requestMethod": "POST", "requestUrl": "/v1", "status": 200, "latency": "0.1255s"}})
    );
    assert_eq!(
        line(&style("ecs"), "done", &request()),
        json!({"@timestamp": time, "log.level": "warn", "log.logger": "services.gpu", "message": "done", "service.name": "gateway",
               "service.version": "1.0.0", "service.environment": "production", "ecs.version": "8.11.0", "http.request.id": "req-1",
               "trace.id": "abc", "http.request.method": "POST", "url.path": "/v1", "http.response.status_code": 200,
               "duration_ms": 125.5, "operation": "job"})
    );
}

#[test]
fn keys_of_the_line_are_not_overwritten() {
    for format in &FORMATS {
        let style = style(format.name);
        let clashing = [format.time, format.level, format.message, format.logger, "service", "truncated"];
        let fields: Vec<(&str, Value)> = clashing.iter().map(|name| (*name, json!("mine"))).collect();
        let line = line(&style, "the message", &fields);
        assert_eq!(line[format.message], "the message");
        for name in clashing {
            assert_eq!(line[&format!("{name}_")], "mine", "{name}");
        }
    }
}

#[test]
fn what_is_too_long_is_cut_between_characters_and_marked() {
    let style = style("gpuproxy");
    for shift in 0..4 {
        let long = format!("{}{}", "x".repeat(shift), "漢".repeat(LONGEST_TEXT));
        let line = line(&style, &long, &[("a", json!(1))]);
        let message = line["message"].as_str().unwrap();
        assert!(message.ends_with("漢…[truncated]") && message.len() < LONGEST_TEXT + 20);
        assert_eq!(line["truncated"], true);
    }
    let names: Vec<String> = (0..10_000).map(|number| format!("field_{number}")).collect();
    let fields: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), json!("value"))).collect();
    let line = line(&style, "many", &fields);
    assert_eq!((&line["truncated"], &line["field_0"]), (&json!(true), &json!("value")));
    assert!(line.to_string().len() < 64 * 1024);
}

#[test]
fn numbers() {
    let style = style("gpuproxy");
    let (mut out, mut group) = (Vec::new(), Vec::new());
    let mut line = style.line(&mut out, &mut group, 0, 0, "", b"");
    for (name, value) in
        [("nan", f64::NAN), ("up", f64::INFINITY), ("down", f64::NEG_INFINITY), ("small", 1e-300), ("one", 1.0)]
    {
        line.field(&style.format.key(name));
        line.float(value);
    }
    line.field(&style.format.key("card"));
    line.integer(4_242_424_242_424_242);
    line.field(&style.format.key("clock"));
    line.integer(1_768_307_696_789_123_456);
    line.close();
    let told: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(told["nan"], "NaN");
    assert_eq!((&told["up"], &told["down"]), (&json!("Infinity"), &json!("-Infinity")));
    assert_eq!((&told["small"], &told["one"]), (&json!(1e-300), &json!(1.0)));
    assert_eq!((&told["card"], &told["clock"]), (&json!("[redacted]"), &json!(1_768_307_696_789_123_456_i64)));
}
