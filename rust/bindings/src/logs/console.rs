//! A finished line in a form for people: `12:34:56.789 INFO  message  key=value …`, a stack trace below it.

use ferrometer_logs::format::Format;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::{Deserializer, Value};
use std::fmt::Write;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
/// By level: blue, green, yellow, red, magenta.
const COLOURS: [&str; 5] = ["\x1b[34m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[35m"];

/// The pairs of an object in their order.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// A line as a person reads it. What a value holds of a terminal's control characters stays escaped.
pub fn readable(line: &[u8], format: &Format, is_coloured: bool) -> Vec<u8> {
    let Ok(pairs) = Deserializer::from_slice(line).deserialize_map(Pairs) else { return line.to_vec() };
    let colour = |code: &'static str| if is_coloured { code } else { "" };
    let find =
        |key: &str| pairs.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_str()).unwrap_or("");
    let time = find(format.time);
    let level = format.levels.iter().position(|name| *name == find(format.level)).unwrap_or(1);
    let mut out = format!(
        "{}{}{} {}{:<5}{} {}{}{}",
        colour(DIM),
        time.get(11..23).unwrap_or(time),
        colour(RESET),
        colour(COLOURS[level]),
        ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"][level],
        colour(RESET),
        colour(BOLD),
        printable(find(format.message)),
        colour(RESET),
    );
    let mut trace = None;
    for (name, value) in &pairs {
        if [format.time, format.level, format.message].contains(&name.as_str()) || name.starts_with("service") {
            continue;
        }
        if name.ends_with("stack_trace") && value.is_string() {
            trace = value.as_str();
            continue;
        }
        let shown = match value {
            Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => printable(text),
            other => other.to_string(),
        };
        let _ = write!(out, " {}{}={}{shown}", colour(DIM), printable(name), colour(RESET));
    }
    for line in trace.unwrap_or_default().lines() {
        let _ = write!(out, "\n    {}", printable(line));
    }
    out.into_bytes()
}

fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let escaped = letter.is_control().then(|| letter.escape_default());
            let plain = (!letter.is_control()).then_some(letter);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}
