//! The fields of a line, for receivers that want them one by one.

use crate::keys::Keys;
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

#[cfg(test)]
mod tests {
    use super::*;
    use ferrometer_ring::reader::Record;
    use ferrometer_ring::Head;

    fn item(payload: &str, is_repeated: bool) -> Item {
        let record = Record { head: Head::default(), sequence: 9, end: 0, payload: payload.into() };
        Item { ring: [1; 16], pid: 1, record, is_repeated }
    }

    #[test]
    fn what_may_be_a_double_is_still_json() {
        for (payload, wanted) in [
            ("{}", "{\"repeated\":true,\"sequence\":9}"),
            ("{\"a\":1}", "{\"a\":1,\"repeated\":true,\"sequence\":9}"),
            ("a line", "a line"),
            ("", ""),
            ("[1]", "[1]"),
        ] {
            let mut out = Vec::new();
            marked(&item(payload, true), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
            let mut out = Vec::new();
            marked(&item(payload, false), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), payload);
        }
    }

    #[test]
    fn fields_are_told_apart_from_what_every_record_has() {
        let fields = Fields::of(
            &item(r#"{"message":"m","level":"INFO","timestamp":1,"x":[1],"trace_id":"t"}"#, false),
            &Keys::default(),
        );
        assert_eq!((fields.message.as_str(), Value::Object(fields.rest)), ("m", serde_json::json!({"x": [1]})));
        assert_eq!(Fields::of(&item("[1]", false), &Keys::default()).message, "[1]");
        assert_eq!(Fields::of(&item(r#"{"message":7}"#, false), &Keys::default()).message, "7");
    }
}
