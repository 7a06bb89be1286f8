//! What is wrong with a text, and the bounds of what is parsed at all.

/// The longest expression, in bytes.
pub const MAX_BYTES: usize = 8 << 10;
/// The most tokens of an expression.
pub const MAX_TOKENS: usize = 500;
/// The deepest nesting of parentheses, calls and unary operators.
pub const MAX_DEPTH: usize = 64;

/// A mistake at a byte of the text.
#[derive(Debug)]
pub(super) struct Mistake {
    pub at: usize,
    pub message: String,
}

pub(super) type Parsed<T> = Result<T, Mistake>;

pub(super) fn mistake<T>(at: usize, message: impl Into<String>) -> Parsed<T> {
    Err(Mistake { at, message: message.into() })
}
