//! Which series, label names and label values there are.

use super::parameters::{invalid, Parameters};
use super::reply::{list, Answered, Reply};
use crate::history::History;
use ferrometer_promql::json::metric;
use ferrometer_promql::{Labels, Matcher, QueryError, Storage};
use std::collections::BTreeSet;

/// The most label sets that one request is answered with.
const MOST: usize = 1_000_000;

/// The series that pass any of the selectors, each once, and what is done with each. Without a selector, all: clients
/// ask so, though Prometheus refuses it.
fn visit(
    history: &History,
    selectors: &[Vec<Matcher>],
    (after_ms, until_ms): (i64, i64),
    mut each: impl FnMut(&Labels),
) -> Result<(), QueryError> {
    let all = [Vec::new()];
    let store = history.store();
    for matchers in if selectors.is_empty() { &all[..] } else { selectors } {
        let selection =
            store.select(matchers, after_ms, until_ms).map_err(|error| QueryError::execution(error.to_string()))?;
        for series in 0..selection.count().min(MOST) {
            each(&selection.labels(series));
        }
    }
    Ok(())
}

/// `series`
pub fn series(history: &History, parameters: &Parameters<'_>) -> Answered {
    let (selectors, range, limit) = (parameters.selectors()?, parameters.range()?, parameters.limit("limit")?);
    let mut found = BTreeSet::new();
    visit(history, &selectors, range, |labels| {
        found.insert(labels.clone());
    })?;
    Ok(Reply::data(|body| {
        body.push('[');
        for (at, labels) in found.iter().take(limit.unwrap_or(usize::MAX)).enumerate() {
            if at > 0 {
                body.push(',');
            }
            metric(body, labels);
        }
        body.push(']');
    }))
}

/// `labels`
pub fn labels(history: &History, parameters: &Parameters<'_>) -> Answered {
    let (selectors, range, limit) = (parameters.selectors()?, parameters.range()?, parameters.limit("limit")?);
    let mut names = BTreeSet::new();
    visit(history, &selectors, range, |labels| {
        for (name, _) in labels.iter() {
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
    })?;
    Ok(Reply::data(|body| list(body, names.iter().take(limit.unwrap_or(usize::MAX)).map(String::as_str))))
}

/// `label/NAME/values`
pub fn values(history: &History, name: &str, parameters: &Parameters<'_>) -> Answered {
    let name = unescaped(name).ok_or_else(|| invalid("name", &format!("invalid label name: {name:?}")))?;
    let (selectors, range, limit) = (parameters.selectors()?, parameters.range()?, parameters.limit("limit")?);
    let mut values = BTreeSet::new();
    visit(history, &selectors, range, |labels| {
        let value = labels.get(&name);
        if !value.is_empty() && !values.contains(value) {
            values.insert(value.to_owned());
        }
    })?;
    Ok(Reply::data(|body| list(body, values.iter().take(limit.unwrap_or(usize::MAX)).map(String::as_str))))
}

/// A label's name out of a path: percent-encoded, and where it begins with `U__`, in Prometheus's escaped form.
fn unescaped(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let name = String::from_utf8(bytes).ok().filter(|name| !name.is_empty() && !name.contains('/'))?;
    let Some(escaped) = name.strip_prefix("U__") else { return Some(name) };
    let mut plain = String::new();
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            plain.push('_');
            rest = after;
        } else {
            let (code, after) = rest.split_once('_')?;
            plain.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
            rest = after;
        }
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths() {
        for (path, name) in [
            ("endpoint", "endpoint"),
            ("__name__", "__name__"),
            ("http%2Estatus", "http.status"),
            ("U__http_2e_status__code", "http.status_code"),
        ] {
            assert_eq!(unescaped(path).as_deref(), Some(name), "{path}");
        }
        for path in ["", "a%", "a%zz", "%ff", "U__a_zz_"] {
            assert_eq!(unescaped(path), None, "{path}");
        }
    }
}
