//! Expressions, by precedence.

use super::check;
use super::lexer::{Kind, Token};
use super::mistake::{mistake, Parsed, MAX_DEPTH};
use super::node::Node;
use super::times::Times;
use crate::ast::{Aggregate, Aggregator, Binary, Call, Expr, Operator, Type};
use crate::function::{lookup, Lookup};

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<Token>,
    pub(super) next: usize,
    pub(super) depth: usize,
    pub(super) times: Times,
}

/// Words that are no metric name where an expression is expected.
const RESERVED: &[&str] = &["on", "ignoring", "group_left", "group_right", "bool", "atan2"];

/// How tightly a unary operator binds: as `*`.
const UNARY: u8 = 5;

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, tokens: Vec<Token>, times: Times) -> Self {
        Self { text, tokens, next: 0, depth: 0, times }
    }

    /// The whole text is one expression.
    pub(super) fn whole(&mut self) -> Parsed<Node> {
        if self.peek() == &Kind::End {
            return mistake(self.at(), "no expression found in input");
        }
        let node = self.expression(0)?;
        match self.peek() {
            Kind::End => Ok(node),
            _ => self.unexpected(""),
        }
    }

    pub(super) fn peek(&self) -> &Kind {
        &self.tokens[self.next].kind
    }

    pub(super) fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    pub(super) fn advance(&mut self) -> Kind {
        let kind = self.tokens[self.next].kind.clone();
        // The last token is the end, and it stays.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        kind
    }

    pub(super) fn unexpected<T>(&self, context: &str) -> Parsed<T> {
        mistake(self.at(), format!("unexpected {}{context}", self.peek().describe()))
    }

    pub(super) fn accept(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == &Kind::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: &'static str, context: &str) -> Parsed<()> {
        if self.accept(sign) {
            return Ok(());
        }
        self.unexpected(&format!("{context}, expected {sign:?}"))
    }

    /// The keyword that is next, in lower case.
    pub(super) fn word(&self) -> Option<String> {
        match self.peek() {
            Kind::Word(word) => Some(word.to_ascii_lowercase()),
            _ => None,
        }
    }

    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.word().as_deref() == Some(word);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expression(&mut self, binding: u8) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return mistake(self.at(), format!("the expression is nested more than {MAX_DEPTH} deep"));
        }
        let mut left = self.unary()?;
        while let Some(operator) = self.operator() {
            let precedence = operator.precedence();
            if precedence < binding {
                break;
            }
            let at = self.at();
            self.advance();
            let (bool_result, matching) = self.modifiers()?;
            // A power is right-associative, all others are left-associative.
            let right = self.expression(if operator == Operator::Power { precedence } else { precedence + 1 })?;
            let binary = Binary { operator, left: left.expr, right: right.expr, bool_result, matching };
            left = Node { at: left.at, expr: check::binary(binary, at, (left.at, right.at))? };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Node> {
        let at = self.at();
        let minus = self.peek() == &Kind::Sign("-");
        if !minus && self.peek() != &Kind::Sign("+") {
            let primary = self.primary()?;
            return self.postfix(primary);
        }
        self.advance();
        let inner = self.expression(UNARY + 1)?;
        let kind = inner.expr.kind();
        if !matches!(kind, Type::Scalar | Type::Vector) {
            let words = "unary expression only allowed on expressions of type scalar or instant vector";
            return mistake(at, format!("{words}, got {:?}", kind.name()));
        }
        let expr = match inner.expr {
            Expr::Number(number) if minus => Expr::Number(-number),
            expr if minus => Expr::Negate(Box::new(expr)),
            // Without a node of its own, `+x[5m]` would be a range of `x`; it was parsed as a whole before.
            expr => Expr::Paren(Box::new(expr)),
        };
        Ok(Node { expr, at })
    }

    fn primary(&mut self) -> Parsed<Node> {
        let at = self.at();
        let expr = match self.peek().clone() {
            Kind::Number(number) => {
                self.advance();
                Expr::Number(number)
            }
            Kind::Text(text) => {
                self.advance();
                Expr::Text(text)
            }
            Kind::Sign("(") => {
                self.advance();
                let inner = self.expression(0)?;
                self.expect(")", "")?;
                Expr::Paren(Box::new(inner.expr))
            }
            Kind::Sign("{") => self.vector(None, at)?,
            Kind::Word(word) => self.named(&word, at)?,
            _ => return self.unexpected(""),
        };
        Ok(Node { expr, at })
    }

    /// What begins with a name: an aggregation, a call or a selector.
    fn named(&mut self, word: &str, at: usize) -> Parsed<Expr> {
        let lower = word.to_ascii_lowercase();
        self.advance();
        let call = self.peek() == &Kind::Sign("(");
        let modifier = matches!(self.word().as_deref(), Some("by" | "without"));
        if matches!(lower.as_str(), "limitk" | "limit_ratio") && (call || modifier) {
            return mistake(at, format!("{lower:?} is experimental in Prometheus and not enabled here"));
        }
        match Aggregator::of(&lower) {
            Some(operator) if call || modifier => return self.aggregate(operator, at),
            _ => {}
        }
        if call && !RESERVED.contains(&lower.as_str()) {
            return self.call(word, at);
        }
        if RESERVED.contains(&lower.as_str()) {
            return mistake(at, format!("unexpected <{lower}>"));
        }
        self.vector(Some(word.to_owned()), at)
    }

    fn call(&mut self, name: &str, at: usize) -> Parsed<Expr> {
        let function = match lookup(name) {
            Lookup::Found(function) => function,
            Lookup::Experimental => return mistake(at, format!("function {name:?} is not enabled")),
            Lookup::Unknown => return mistake(at, format!("unknown function with name {name:?}")),
        };
        let arguments = self.arguments()?;
        check::call(function, &arguments, at)?;
        Ok(Expr::Call(Call { function, arguments: arguments.into_iter().map(|node| node.expr).collect() }))
    }

    fn arguments(&mut self) -> Parsed<Vec<Node>> {
        self.expect("(", "")?;
        let mut arguments = Vec::new();
        if self.accept(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(0)?);
            if self.accept(")") {
                return Ok(arguments);
            }
            self.expect(",", "")?;
            if self.peek() == &Kind::Sign(")") {
                return mistake(self.at(), "trailing commas not allowed in function call args");
            }
        }
    }

    fn aggregate(&mut self, operator: Aggregator, at: usize) -> Parsed<Expr> {
        let before = self.grouping()?;
        let mut arguments = self.arguments()?;
        let (labels, without) = match before {
            Some(grouping) => grouping,
            None => self.grouping()?.unwrap_or_default(),
        };
        let wanted = 1 + usize::from(operator.parameter().is_some());
        if arguments.len() != wanted {
            let words = format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got");
            return mistake(at, format!("{words} {}", arguments.len()));
        }
        let (Some(expr), parameter) = (arguments.pop(), arguments.pop()) else { return self.unexpected("") };
        check::expect(&expr, Type::Vector, "aggregation expression")?;
        if let (Some(kind), Some(parameter)) = (operator.parameter(), &parameter) {
            check::expect(parameter, kind, "aggregation parameter")?;
        }
        let parameter = parameter.map(|node| node.expr);
        Ok(Expr::Aggregate(Box::new(Aggregate { operator, labels, without, parameter, expr: expr.expr })))
    }

    /// `by (…)` or `without (…)`.
    fn grouping(&mut self) -> Parsed<Option<(Vec<String>, bool)>> {
        let without = match self.word().as_deref() {
            Some("by") => false,
            Some("without") => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some((self.label_list()?, without)))
    }

    pub(super) fn label_list(&mut self) -> Parsed<Vec<String>> {
        self.expect("(", " in grouping opts")?;
        let mut labels = Vec::new();
        while !self.accept(")") {
            match self.peek().clone() {
                Kind::Word(word) => labels.push(word),
                Kind::Text(text) if !text.is_empty() => labels.push(text),
                Kind::Text(text) => return mistake(self.at(), format!("invalid label name for grouping: {text:?}")),
                // A label may be called so, and the lexer takes these words for numbers.
                Kind::Number(_) if self.is_alphabetic() => labels.push(self.source().to_owned()),
                _ => return self.unexpected(" in grouping opts, expected label"),
            }
            self.advance();
            if self.peek() != &Kind::Sign(")") {
                self.expect(",", " in grouping opts")?;
            }
        }
        Ok(labels)
    }

    fn source(&self) -> &'t str {
        let token = &self.tokens[self.next];
        &self.text[token.at..token.end]
    }

    fn is_alphabetic(&self) -> bool {
        self.source().bytes().all(|byte| byte.is_ascii_alphabetic())
    }

    fn operator(&self) -> Option<Operator> {
        Some(match self.peek() {
            Kind::Sign(sign) => match *sign {
                "+" => Operator::Add,
                "-" => Operator::Subtract,
                "*" => Operator::Multiply,
                "/" => Operator::Divide,
                "%" => Operator::Modulo,
                "^" => Operator::Power,
                "==" => Operator::Equal,
                "!=" => Operator::NotEqual,
                "<" => Operator::Less,
                "<=" => Operator::LessEqual,
                ">" => Operator::Greater,
                ">=" => Operator::GreaterEqual,
                "</" => Operator::TrimUpper,
                ">/" => Operator::TrimLower,
                _ => return None,
            },
            Kind::Word(word) => match word.to_ascii_lowercase().as_str() {
                "and" => Operator::And,
                "or" => Operator::Or,
                "unless" => Operator::Unless,
                "atan2" => Operator::Atan2,
                _ => return None,
            },
            _ => return None,
        })
    }
}
