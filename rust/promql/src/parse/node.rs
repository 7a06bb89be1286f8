//! A part of the tree with its place in the text.

use crate::ast::Expr;

/// A node and where it starts.
pub(super) struct Node {
    pub expr: Expr,
    pub at: usize,
}
