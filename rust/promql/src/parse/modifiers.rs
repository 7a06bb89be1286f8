//! What follows an operator or an expression: `bool`, `on`, `group_left`, ranges, `offset`, `@`.

use super::check;
use super::lexer::Kind;
use super::mistake::{mistake, Parsed};
use super::node::Node;
use super::parser::Parser;
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
                    let offset = self.offset_duration()?;
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
        let range_ms = self.positive_duration()?;
        if self.accept(":") {
            let step_ms = if self.peek() == &Kind::Sign("]") { None } else { Some(self.positive_duration()?) };
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
}
