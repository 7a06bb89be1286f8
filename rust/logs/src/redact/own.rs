//! Rules of the user's own: further names of fields, and regular expressions that run after the built-in rules.

use super::{name, Action};
use regex::bytes::{Regex, RegexBuilder};

/// Patterns that have a name; off unless asked for, because many services log these on purpose.
const NAMED: [(&str, &str); 3] = [
    ("email", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"),
    (
        "ip",
        r"\b(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}\b|\b([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b|\b([0-9a-fA-F]{1,4}:){0,6}[0-9a-fA-F]{1,4}::([0-9a-fA-F]{1,4}:){0,6}[0-9a-fA-F]{1,4}\b",
    ),
    ("ssn", r"\b\d{3}-\d{2}-\d{4}\b"),
];

/// Bytes that a compiled pattern may take.
const SIZE: usize = 256 << 10;

/// What is secret besides what everybody's secrets are.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Folded.
    names: Vec<String>,
    patterns: Vec<Regex>,
}

impl Own {
    /// `names` of fields, as whole words at the end of a name: `patient_id` is `lastPatientId`, too. `patterns` are
    /// `email`, `ip`, `ssn`, or regular expressions.
    ///
    /// # Errors
    /// Says which pattern is none, or is too large, and why.
    pub fn new(names: &[String], patterns: &[String]) -> Result<Self, String> {
        let compile = |pattern: &String| {
            let known = NAMED.iter().find(|(name, _)| name == pattern).map(|&(_, regex)| regex);
            let built = RegexBuilder::new(known.unwrap_or(pattern)).size_limit(SIZE).build();
            let regex = built.map_err(|error| format!("the pattern {pattern:?}: {error}"))?;
            if regex.is_match(b"") {
                return Err(format!("the pattern {pattern:?} matches the empty text, and so everywhere"));
            }
            Ok(regex)
        };
        let names = names.iter().map(|own| name::folded(own.as_bytes())).collect();
        Ok(Own { names, patterns: patterns.iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// What is done with the value of a field of that name, by this rule or a built-in one.
    #[inline]
    pub fn action(&self, name: &[u8]) -> Option<Action> {
        name::action(name).or_else(|| {
            let is_own = !self.names.is_empty() && {
                let folded = name::folded(name);
                self.names.iter().any(|own| name::ends_with(&folded, own))
            };
            is_own.then_some(Action::Remove)
        })
    }

    /// Whether there are patterns.
    #[inline]
    pub fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The places in a text where a pattern matches, in their order, without overlaps.
    pub fn find(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut all: Vec<(usize, usize)> = self
            .patterns
            .iter()
            .flat_map(|pattern| pattern.find_iter(text))
            .filter(|found| !found.is_empty())
            .map(|found| (found.start(), found.end()))
            .collect();
        all.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (start, end) in all {
            match merged.last_mut() {
                Some(last) if start < last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        merged
    }
}
