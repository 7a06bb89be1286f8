//! From a text to its tree.

use super::lexer;
use super::mistake::{Mistake, MAX_BYTES};
use super::parser::Parser;
use super::times::Times;
use crate::ast::{Expr, Selector};
use crate::error::QueryError;

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
        .and_then(|tokens| Parser::new(text, tokens, times).whole())
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
