//! What follows an operator or an expression: `bool`, `on`, `group_left`, ranges, `offset`, `@`.

use super::lexer::Kind;
use super::parser::{Node, Parser};
use super::{check, mistake, Parsed};
use crate::ast::{Cardinality, Expr, Matching, Subquery, Type};

impl Parser<'_> {
    /// `bool`, `on`, `ignoring`, `group_left`, `group_right`.
    pub(super) fn modifiers(&mut self) -> Parsed<(bool, Matching)> {
        let bool_result = self.accept_word("bool");
        let on = self.word().as_deref() == Some("on");
        let mut matching = Matching { on, ..Matching::default() };
        if !matching.on && self.word().as_deref() != Some("ignoring") {
            self.refuse_fill()?;
            return Ok((bool_result, matching));
        }
        self.advance();
        matching.labels = self.label_list()?;
        matching.cardinality = match self.word().as_deref() {
            Some("group_left") => Cardinality::ManyToOne,
            Some("group_right") => Cardinality::OneToMany,
            _ => Cardinality::OneToOne,
        };
        if matching.cardinality != Cardinality::OneToOne {
            self.advance();
            if self.peek() == &Kind::Sign("(") {
                matching.include = self.label_list()?;
            }
        }
        self.refuse_fill()?;
        Ok((bool_result, matching))
    }

    fn refuse_fill(&self) -> Parsed<()> {
        let fill = matches!(self.word().as_deref(), Some("fill" | "fill_left" | "fill_right"));
        if fill && self.tokens.get(self.next + 1).is_some_and(|token| token.kind == Kind::Sign("(")) {
            return mistake(self.at(), "binop fill modifiers are experimental and not enabled");
        }
        Ok(())
    }

    /// `[5m]`, `[1h:1m]`, `offset 5m`, `@ 1609746000`.
    pub(super) fn postfix(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            let at = self.at();
            node.expr = match self.word().as_deref() {
                _ if self.accept("[") => self.range(node.expr, at, node.at)?,
                _ if self.accept("@") => {
                    let time = self.at_time()?;
                    check::pin(node.expr, time, node.at)?
                }
                Some("offset") => {
                    self.advance();
                    let offset = self.duration(true)?;
                    check::offset(node.expr, offset, node.at)?
                }
                Some(word @ ("anchored" | "smoothed")) => {
                    return mistake(node.at, format!("{word} modifier is experimental and not enabled"));
                }
                _ => return Ok(node),
            };
        }
    }

    fn range(&mut self, expr: Expr, bracket: usize, at: usize) -> Parsed<Expr> {
        let range_ms = self.duration(false)?;
        if self.accept(":") {
            let step_ms = if self.peek() == &Kind::Sign("]") { None } else { Some(self.duration(false)?) };
            self.expect("]", " in subquery selector")?;
            if expr.kind() != Type::Vector {
                let got = expr.kind().name();
                return mistake(at, format!("subquery is only allowed on instant vector, got {got} instead"));
            }
            let shift = crate::ast::Shift::default();
            return Ok(Expr::Subquery(Box::new(Subquery { expr, range_ms, step_ms, shift })));
        }
        self.expect("]", " in range selector")?;
        match expr {
            Expr::Vector(selector) if selector.shift.offset_ms != 0 => {
                mistake(bracket, "no offset modifiers allowed before range")
            }
            Expr::Vector(selector) if selector.shift.at.is_some() => {
                mistake(bracket, "no @ modifiers allowed before range")
            }
            Expr::Vector(selector) => Ok(Expr::Matrix(selector, range_ms)),
            _ => mistake(bracket, "ranges only allowed for vector selectors"),
        }
    }

    /// A duration or a number of seconds, in milliseconds.
    fn duration(&mut self, signed: bool) -> Parsed<i64> {
        let at = self.at();
        let minus = signed && self.peek() == &Kind::Sign("-");
        if minus || signed && self.peek() == &Kind::Sign("+") {
            self.advance();
        }
        let Kind::Number(seconds) = *self.peek() else {
            return match self.word().as_deref() {
                Some("step" | "range" | "max_of" | "min_of") => {
                    mistake(at, "experimental duration expression is not enabled")
                }
                _ if self.peek() == &Kind::Sign("(") => mistake(at, "experimental duration expression is not enabled"),
                _ => self.unexpected(", expected a number or a duration"),
            };
        };
        self.advance();
        // The range of Go's nanoseconds.
        if !(seconds.abs() < 9_223_372_036.0) {
            return mistake(at, "duration out of range");
        }
        if !signed && seconds <= 0.0 {
            return mistake(at, "duration must be greater than 0");
        }
        if matches!(self.peek(), Kind::Sign("+" | "-" | "*" | "/" | "%" | "^")) && !signed {
            return mistake(self.at(), "experimental duration expression is not enabled");
        }
        let ms = (seconds * 1e9).round() / 1e6;
        // Prometheus cuts nanoseconds to milliseconds.
        let ms = ms.trunc() as i64;
        if !signed && ms == 0 {
            return mistake(at, "a duration below one millisecond selects nothing");
        }
        Ok(if minus { -ms } else { ms })
    }
}
