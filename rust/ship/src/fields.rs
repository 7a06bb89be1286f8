//! The fields of a line, for receivers that want them one by one.

use crate::config::Keys;
use crate::sink::Item;
use serde_json::{Map, Value};

/// What a line says.
pub struct Fields {
    /// For people.
    pub message: String,
    /// Everything but the message, the level, the time, the trace and the span.
    pub rest: Map<String, Value>,
}

impl Fields {
    /// Of an item; a payload that is no JSON object is a message as it stands.
    pub fn of(item: &Item, keys: &Keys) -> Self {
        let payload = &item.record.payload;
        let Ok(Value::Object(mut rest)) = serde_json::from_slice(payload) else {
            return Fields { message: String::from_utf8_lossy(payload).into_owned(), rest: Map::new() };
        };
        let message = match rest.remove(&keys.message) {
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        for key in [&keys.level, &keys.time, &keys.trace_id, &keys.span_id] {
            rest.remove(key);
        }
        Fields { message, rest }
    }
}

/// A value as a text: what is one stays as it is, anything else is JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Hexadecimal digits; nothing for an id that is all zero.
pub fn hex(id: &[u8]) -> Option<String> {
    use std::fmt::Write;
    if id.iter().all(|&byte| byte == 0) {
        return None;
    }
    Some(id.iter().fold(String::with_capacity(id.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// The payload of an item, marked when it may have arrived before: an object gets two more keys, another text none.
pub fn marked(item: &Item, out: &mut Vec<u8>) {
    let payload = &item.record.payload;
    match payload.split_last() {
        Some((b'}', body)) if item.is_repeated && payload.first() == Some(&b'{') => {
            out.extend_from_slice(body);
            let comma = if body.len() > 1 { "," } else { "" };
            out.extend_from_slice(
                format!("{comma}\"repeated\":true,\"sequence\":{}}}", item.record.sequence).as_bytes(),
            );
        }
        _ => out.extend_from_slice(payload),
    }
}
