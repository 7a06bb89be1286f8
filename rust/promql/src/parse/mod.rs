//! From text to a checked syntax tree. Linear in the length of the text, bounded in depth.
//!
//! Why not a parser from the registry: `promql-parser` 0.11 lacks operators that Prometheus 3 has by default (`</`,
//! `>/`), accepts what it refuses, takes time quadratic in the number of operators, and more than doubles the size of
//! the extension.

mod check;
mod duration;
mod lexer;
mod literal;
mod modifiers;
mod parser;
mod selector;

pub use duration::Times;
pub use literal::duration_ms;

use crate::ast::{Expr, Selector};
use crate::error::QueryError;

/// The longest expression, in bytes.
pub const MAX_BYTES: usize = 8 << 10;
/// The most tokens of an expression.
pub const MAX_TOKENS: usize = 500;
/// The deepest nesting of parentheses, calls and unary operators.
pub const MAX_DEPTH: usize = 64;

/// A mistake at a byte of the text.
#[derive(Debug)]
pub(crate) struct Mistake {
    at: usize,
    message: String,
}

type Parsed<T> = Result<T, Mistake>;

fn mistake<T>(at: usize, message: impl Into<String>) -> Parsed<T> {
    Err(Mistake { at, message: message.into() })
}

/// The tree of an expression; `step()` and `range()` in durations are 0.
///
/// # Errors
/// The text is no expression of Prometheus 3 without feature flags, or exceeds a bound of this module.
pub fn parse(text: &str) -> Result<Expr, QueryError> {
    parse_for(text, Times::default())
}

/// The tree of an expression for a query of these times.
///
/// # Errors
/// As [`parse`].
pub fn parse_for(text: &str, times: Times) -> Result<Expr, QueryError> {
    if text.len() > MAX_BYTES {
        let message = format!("parse error: the expression has {} bytes, at most {MAX_BYTES} are allowed", text.len());
        return Err(QueryError::bad_data(message));
    }
    lexer::tokens(text)
        .and_then(|tokens| parser::Parser::new(text, tokens, times).whole())
        .map(|node| node.expr)
        .map_err(|mistake| QueryError::bad_data(place(text, &mistake)))
}

/// The matchers of a selector alone, such as a `match[]` of the API.
///
/// # Errors
/// The text is no selector.
pub fn selector(text: &str) -> Result<Selector, QueryError> {
    match parse(text)? {
        Expr::Vector(selector) if selector.shift == crate::ast::Shift::default() => Ok(selector),
        _ => Err(QueryError::bad_data(format!("{text:?} is no selector of series"))),
    }
}

/// Line and column as Prometheus prints them, both from 1, the column in bytes.
fn place(text: &str, mistake: &Mistake) -> String {
    let before = &text.as_bytes()[..mistake.at.min(text.len())];
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!("{line}:{column}: parse error: {}", mistake.message)
}
