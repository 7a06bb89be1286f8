//! Selectors and `@`.

use super::lexer::Kind;
use super::mistake::{mistake, Parsed};
use super::parser::Parser;
use crate::ast::{At, Expr, Selector, Shift};
use crate::labels::NAME;
use crate::matcher::{Matcher, Operation};

impl Parser<'_> {
    /// `name`, `name{…}` or `{…}`.
    pub(super) fn vector(&mut self, name: Option<String>, at: usize) -> Parsed<Expr> {
        let mut matchers = Vec::new();
        if self.accept("{") {
            while !self.accept("}") {
                matchers.push(self.matcher()?);
                if self.peek() != &Kind::Sign("}") {
                    self.expect(",", " in label matching")?;
                }
            }
        }
        match &name {
            Some(name) => {
                if let Some(other) = matchers.iter().find(|matcher: &&Matcher| matcher.name() == NAME) {
                    let other = other.value();
                    return mistake(at, format!("metric name must not be set twice: {name:?} or {other:?}"));
                }
                matchers.push(equal(NAME, name, at)?);
            }
            None if matchers.iter().all(|matcher| matcher.matches("")) => {
                return mistake(at, "vector selector must contain at least one non-empty matcher");
            }
            None => {}
        }
        Ok(Expr::Vector(Selector { name, matchers, shift: Shift::default() }))
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        let at = self.at();
        let name = match self.peek().clone() {
            Kind::Word(word) => word,
            Kind::Text(text) => {
                self.advance();
                if matches!(self.peek(), Kind::Sign("," | "}")) {
                    return equal(NAME, &text, at);
                }
                return self.comparison(text, at);
            }
            _ => return self.unexpected(" in label matching, expected identifier or \"}\""),
        };
        self.advance();
        self.comparison(name, at)
    }

    fn comparison(&mut self, name: String, at: usize) -> Parsed<Matcher> {
        let operation = match self.peek() {
            Kind::Sign("=") => Operation::Equal,
            Kind::Sign("!=") => Operation::NotEqual,
            Kind::Sign("=~") => Operation::Regex,
            Kind::Sign("!~") => Operation::NotRegex,
            _ => return self.unexpected(" in label matching, expected label matching operator"),
        };
        self.advance();
        let Kind::Text(value) = self.peek().clone() else {
            return self.unexpected(" in label matching, expected string");
        };
        self.advance();
        if matches!(self.word().as_deref(), Some("or")) {
            return mistake(self.at(), "unexpected \"or\" in label matching: alternatives of matchers are not PromQL");
        }
        Matcher::new(name, operation, value).or_else(|words| mistake(at, words))
    }

    /// The time after `@`.
    pub(super) fn at_time(&mut self) -> Parsed<At> {
        let at = self.at();
        if let Some(word @ ("start" | "end")) = self.word().as_deref() {
            let time = if word == "start" { At::Start } else { At::End };
            self.advance();
            self.expect("(", " in @")?;
            self.expect(")", " in @")?;
            return Ok(time);
        }
        let minus = self.accept("-");
        if !minus {
            self.accept("+");
        }
        let Kind::Number(seconds) = *self.peek() else {
            return self.unexpected(" in @, expected timestamp");
        };
        self.advance();
        let seconds = if minus { -seconds } else { seconds };
        if !(seconds.abs() < i64::MAX as f64 / 1000.0) {
            return mistake(at, format!("timestamp out of bounds for @ modifier: {seconds}"));
        }
        Ok(At::Time((seconds * 1000.0).round() as i64))
    }
}

fn equal(name: &str, value: &str, at: usize) -> Parsed<Matcher> {
    Matcher::new(name, Operation::Equal, value).or_else(|words| mistake(at, words))
}
