//! The rules that the grammar does not know: types, numbers of arguments, where `offset` and `@` may stand.

use super::mistake::{mistake, Parsed};
use super::node::Node;
use crate::ast::{At, Binary, Cardinality, Expr, Shift, Type};
use crate::function::{Count, Function};

pub(super) fn expect(node: &Node, wanted: Type, context: &str) -> Parsed<()> {
    let kind = node.expr.kind();
    if kind == wanted {
        return Ok(());
    }
    mistake(node.at, format!("expected type {} in {context}, got {}", wanted.name(), kind.name()))
}

pub(super) fn call(function: &Function, arguments: &[Node], at: usize) -> Parsed<()> {
    let (listed, given, name) = (function.arguments.len(), arguments.len(), function.name);
    let (least, most) = match function.count {
        Count::Exact => (listed, listed),
        Count::Optional => (listed - 1, listed),
        Count::Many => (listed - 1, usize::MAX),
    };
    let words = match function.count {
        Count::Exact if given != listed => format!("expected {listed} argument(s)"),
        _ if given < least => format!("expected at least {least} argument(s)"),
        _ if given > most => format!("expected at most {most} argument(s)"),
        _ => String::new(),
    };
    if !words.is_empty() {
        return mistake(at, format!("{words} in call to {name:?}, got {given}"));
    }
    for (index, argument) in arguments.iter().enumerate() {
        let wanted = function.arguments[index.min(listed - 1)];
        let kind = argument.expr.kind();
        if kind != wanted {
            let (wanted, got) = (wanted.name(), kind.name());
            return mistake(argument.at, format!("expected type {wanted} in call to function {name:?}, got {got}"));
        }
    }
    Ok(())
}

/// `at`: where the operator stands; `sides`: where its operands start.
pub(super) fn binary(binary: Binary, at: usize, sides: (usize, usize)) -> Parsed<Expr> {
    let (left, right) = (binary.left.kind(), binary.right.kind());
    let (operator, matching) = (binary.operator, &binary.matching);
    let scalar = left == Type::Scalar || right == Type::Scalar;
    if binary.bool_result && !operator.compares() {
        return mistake(at, "bool modifier can only be used on comparison operators");
    }
    for (kind, at) in [(left, sides.0), (right, sides.1)] {
        if !matches!(kind, Type::Scalar | Type::Vector) {
            return mistake(at, "binary expression must contain only scalar and instant vector types");
        }
    }
    if operator.compares() && !binary.bool_result && left == Type::Scalar && right == Type::Scalar {
        return mistake(at, "comparisons between scalars must use BOOL modifier");
    }
    if matching.on {
        if let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label)) {
            return mistake(at, format!("label {label:?} must not occur in ON and GROUP clause at once"));
        }
    }
    if scalar && operator.is_set() {
        let name = operator.name();
        return mistake(sides.0, format!("set operator {name:?} not allowed in binary scalar expression"));
    }
    if scalar && !matching.labels.is_empty() {
        return mistake(sides.0, "vector matching only allowed between instant vectors");
    }
    if operator.is_set() && matching.cardinality != Cardinality::OneToOne {
        return mistake(sides.0, format!("no grouping allowed for {:?} operation", operator.name()));
    }
    if left == Type::Scalar && right == Type::Scalar && matches!(operator.name(), "</" | ">/") {
        return mistake(at, format!("operator {:?} not allowed for Scalar operations", operator.name()));
    }
    Ok(Expr::Binary(Box::new(binary)))
}

fn shift<'e>(expr: &'e mut Expr, what: &str, at: usize) -> Parsed<&'e mut Shift> {
    match expr {
        Expr::Vector(selector) | Expr::Matrix(selector, _) => Ok(&mut selector.shift),
        Expr::Subquery(subquery) => Ok(&mut subquery.shift),
        _ => {
            let words = "must be preceded by an instant vector selector or range vector selector or a subquery";
            mistake(at, format!("{what} modifier {words}"))
        }
    }
}

pub(super) fn offset(mut expr: Expr, offset_ms: i64, at: usize) -> Parsed<Expr> {
    let shift = shift(&mut expr, "offset", at)?;
    if shift.offset_ms != 0 {
        return mistake(at, "offset may not be set multiple times");
    }
    shift.offset_ms = offset_ms;
    Ok(expr)
}

pub(super) fn pin(mut expr: Expr, time: At, at: usize) -> Parsed<Expr> {
    let shift = shift(&mut expr, "@", at)?;
    if shift.at.is_some() {
        return mistake(at, "@ <timestamp> may not be set multiple times");
    }
    shift.at = Some(time);
    Ok(expr)
}
