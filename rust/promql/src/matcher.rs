//! Label matchers: `name="value"` and its three relatives.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// The most bytes that a regular expression may take when compiled.
const REGEX_BYTES: usize = 1 << 20;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One condition on a label. A label that a series lacks has the value "".
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    operation: Operation,
    value: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Exact,
    /// An alternation of literals such as `a|b|c`.
    OneOf(Vec<String>),
    Pattern(Regex),
}

impl Matcher {
    /// A matcher; an error tells why the regular expression is refused.
    ///
    /// # Errors
    /// The value of [`Operation::Regex`] or [`Operation::NotRegex`] is no regular expression, or compiles to more
    /// than 1 MiB.
    pub fn new(name: impl Into<String>, operation: Operation, value: impl Into<String>) -> Result<Self, String> {
        let (name, value) = (name.into(), value.into());
        let test = match operation {
            Operation::Equal | Operation::NotEqual => Test::Exact,
            Operation::Regex | Operation::NotRegex => compile(&value)?,
        };
        Ok(Self { name, operation, value, test })
    }

    /// The label's name, `__name__` for the metric name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// What it compares with: a value or a regular expression.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The finite set of values that a positive matcher accepts, where there is one: a store with an index looks
    /// these up instead of trying all.
    pub fn values(&self) -> Option<&[String]> {
        match (&self.operation, &self.test) {
            (Operation::Equal, _) => Some(std::slice::from_ref(&self.value)),
            (Operation::Regex, Test::OneOf(values)) => Some(values),
            _ => None,
        }
    }

    /// Whether a value passes.
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.test {
            Test::Exact => self.value == value,
            Test::OneOf(values) => values.iter().any(|one| one == value),
            Test::Pattern(regex) => regex.is_match(value),
        };
        found == matches!(self.operation, Operation::Equal | Operation::Regex)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.operation, &self.value) == (&other.name, other.operation, &other.value)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.operation {
            Operation::Equal => "=",
            Operation::NotEqual => "!=",
            Operation::Regex => "=~",
            Operation::NotRegex => "!~",
        };
        write!(to, "{}{sign}{:?}", self.name, self.value)
    }
}

/// An expression is anchored on both sides, and its dot matches a newline.
fn compile(pattern: &str) -> Result<Test, String> {
    let literal = |text: &str| !text.contains(|c| r"\.+*?()[]{}^$".contains(c));
    if literal(pattern) {
        return Ok(Test::OneOf(pattern.split('|').map(str::to_owned).collect()));
    }
    anchored(pattern).map(Test::Pattern)
}

/// A regular expression of `PromQL`, anchored on both sides, with a bound on its size.
///
/// # Errors
/// It is none, or it is too large.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?s:{pattern})$")).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => format!("regular expression {pattern:?} is too large when compiled"),
            error => error.to_string(),
        },
    )
}
