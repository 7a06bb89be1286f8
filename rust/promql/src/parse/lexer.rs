//! From text to tokens.

use super::literal;
use super::mistake::{mistake, Parsed, MAX_TOKENS};

/// A token and the byte where it starts.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub at: usize,
    pub end: usize,
    pub kind: Kind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    End,
    /// A name: a keyword, a function, a label or a metric; the parser tells which by its place.
    Word(String),
    /// A number or a duration, in seconds.
    Number(f64),
    Text(String),
    /// A sign such as `==`.
    Sign(&'static str),
}

impl Kind {
    /// As it appears in an error message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::End => "end of input".to_owned(),
            Self::Word(word) => format!("identifier {word:?}"),
            Self::Number(number) => format!("number {number}"),
            Self::Text(text) => format!("string {text:?}"),
            Self::Sign(sign) => format!("{sign:?}"),
        }
    }
}

/// Longest first.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "</", ">/", "=~", "!~", "<", ">", "=", "+", "-", "*", "/", "%", "^", "@", "(", ")", "{",
    "}", "[", "]", ",", ":",
];

pub(super) fn tokens(text: &str) -> Parsed<Vec<Token>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    let (mut braces, mut brackets) = (false, false);
    loop {
        while at < bytes.len() && matches!(bytes[at], b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        if at >= bytes.len() {
            tokens.push(Token { at, end: at, kind: Kind::End });
            return Ok(tokens);
        }
        if bytes[at] == b'#' {
            at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at);
            continue;
        }
        if tokens.len() >= MAX_TOKENS {
            return mistake(at, format!("the expression has more than {MAX_TOKENS} tokens"));
        }
        let (kind, end) = token(text, at, braces, brackets)?;
        match kind {
            Kind::Sign("{") => braces = true,
            Kind::Sign("}") => braces = false,
            Kind::Sign("[") => brackets = true,
            Kind::Sign("]") => brackets = false,
            _ => {}
        }
        tokens.push(Token { at, end, kind });
        at = end;
    }
}

fn token(text: &str, at: usize, braces: bool, brackets: bool) -> Parsed<(Kind, usize)> {
    let bytes = text.as_bytes();
    let byte = bytes[at];
    let next = bytes.get(at + 1).copied().unwrap_or(0);
    if matches!(byte, b'"' | b'\'' | b'`') {
        let (value, end) = literal::quoted(text, at)?;
        return Ok((Kind::Text(value), end));
    }
    if !braces && (byte.is_ascii_digit() || byte == b'.' && next.is_ascii_digit()) {
        let (seconds, end) = literal::number_or_duration(text, at)?;
        return Ok((Kind::Number(seconds), end));
    }
    if byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' && !brackets && !braces {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':' && !braces && !brackets;
        let end = at + bytes[at..].iter().position(|byte| !inside(*byte)).unwrap_or(bytes.len() - at);
        let word = &text[at..end];
        return Ok(match word.to_ascii_lowercase().as_str() {
            "inf" if !braces => (Kind::Number(f64::INFINITY), end),
            "nan" if !braces => (Kind::Number(f64::NAN), end),
            _ => (Kind::Word(word.to_owned()), end),
        });
    }
    match SIGNS.iter().find(|sign| text[at..].starts_with(**sign)) {
        // Inside braces only the signs of matchers have a meaning.
        Some(sign) if braces && !matches!(*sign, "=" | "!=" | "=~" | "!~" | "," | "}") => {
            mistake(at, format!("unexpected character inside braces: '{}'", &text[at..=at]))
        }
        Some(&"=~" | &"!~") if !braces => mistake(at, format!("unexpected character after '{}': '~'", byte as char)),
        Some(sign) => Ok((Kind::Sign(sign), at + sign.len())),
        None => {
            let character = text[at..].chars().next().unwrap_or(' ');
            mistake(at, format!("unexpected character: {character:?}"))
        }
    }
}
