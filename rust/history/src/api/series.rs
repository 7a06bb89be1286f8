//! Which series, label names and label values there are.

use super::budget::{bytes_of, Budget};
use super::parameters::{invalid, Parameters};
use super::reply::{list, Answered, Reply};
use crate::history::History;
use ferrometer_promql::json::metric;
use ferrometer_promql::{Labels, Matcher, QueryError, Storage};
use std::collections::BTreeSet;

/// The series that pass any of the selectors, and what is done with each. Without a selector, all: clients ask so,
/// though Prometheus refuses it.
fn visit(
    history: &History,
    parameters: &Parameters<'_>,
    (after_ms, until_ms): (i64, i64),
    budget: &mut Budget,
    mut each: impl FnMut(&Labels, &mut Budget) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let store = history.store();
    let mut visit = |matchers: &[Matcher]| {
        budget.check_time()?;
        let selection =
            store.select(matchers, after_ms, until_ms).map_err(|error| QueryError::execution(error.to_string()))?;
        for series in 0..selection.count() {
            budget.look()?;
            each(&selection.labels(series), budget)?;
        }
        budget.check_time()
    };
    let mut selectors = parameters.selectors().peekable();
    if selectors.peek().is_none() {
        return visit(&[]);
    }
    selectors.try_for_each(|matchers| visit(&matchers?))
}

/// `series`
pub fn series(history: &History, parameters: &Parameters<'_>, budget: &mut Budget) -> Answered {
    let (range, limit) = (parameters.range()?, parameters.limit("limit")?);
    let mut found = BTreeSet::new();
    visit(history, parameters, range, budget, |labels, budget| {
        if found.contains(labels) {
            return Ok(());
        }
        budget.keep(bytes_of(labels))?;
        found.insert(labels.clone());
        Ok(())
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
pub fn labels(history: &History, parameters: &Parameters<'_>, budget: &mut Budget) -> Answered {
    texts(history, parameters, budget, |labels, add| labels.iter().try_for_each(|(name, _)| add(name)))
}

/// `label/NAME/values`
pub fn values(history: &History, name: &str, parameters: &Parameters<'_>, budget: &mut Budget) -> Answered {
    let name = unescaped(name).ok_or_else(|| invalid("name", &format!("invalid label name: {name:?}")))?;
    texts(history, parameters, budget, |labels, add| match labels.get(&name) {
        "" => Ok(()),
        value => add(value),
    })
}

type Add<'a> = &'a mut dyn FnMut(&str) -> Result<(), QueryError>;

/// A sorted list of the texts that series add, each once.
fn texts(
    history: &History,
    parameters: &Parameters<'_>,
    budget: &mut Budget,
    each: impl Fn(&Labels, Add<'_>) -> Result<(), QueryError>,
) -> Answered {
    let (range, limit) = (parameters.range()?, parameters.limit("limit")?);
    let mut found = BTreeSet::new();
    visit(history, parameters, range, budget, |labels, budget| {
        each(labels, &mut |text| {
            if !found.contains(text) {
                budget.keep(size_of::<String>() + text.len() + 3)?;
                found.insert(text.to_owned());
            }
            Ok(())
        })
    })?;
    Ok(Reply::data(|body| list(body, found.iter().take(limit.unwrap_or(usize::MAX)).map(String::as_str))))
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
