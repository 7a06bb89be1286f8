//! From text to a checked syntax tree. Linear in the length of the text, bounded in depth.
//!
//! Why not a parser from the registry: `promql-parser` 0.11 lacks operators that Prometheus 3 has by default (`</`,
//! `>/`), accepts what it refuses, takes time quadratic in the number of operators, and more than doubles the size of
//! the extension.

mod check;
mod duration;
mod lexer;
mod literal;
mod mistake;
mod modifiers;
mod node;
mod parser;
mod selector;
mod text;
mod times;

pub use literal::duration_ms;
pub use mistake::{MAX_BYTES, MAX_DEPTH, MAX_TOKENS};
pub use text::{parse, parse_for, selector};
pub use times::Times;
