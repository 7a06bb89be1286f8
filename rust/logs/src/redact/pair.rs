//! Names and values in a text: `password=…`, `'api_key': '…'`, `?sig=…`.

use super::own::Own;
use super::{is_word, mark, run, Action, Found, Rule};

/// The longest name, and the longest value, that are looked at.
const NAME: usize = 48;
const VALUE: usize = 4096;

/// Parameters of URLs that are secrets nowhere else.
const PARAMETERS: [&[u8]; 6] =
    [b"sig", b"signature", b"x-amz-signature", b"x-amz-credential", b"x-amz-security-token", b"key"];

/// The secret value that belongs to the `:` or `=` at `separator`.
pub fn value(text: &[u8], separator: usize, own: &Own) -> Option<Found> {
    let (name, is_parameter) = name_before(text, separator)?;
    let action = match own.action(name) {
        Some(action) => action,
        None if is_parameter && PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(name)) => Action::Hash,
        None => return None,
    };
    let mut start = separator + 1;
    start += run(text, start, 4, |byte| byte == b' ');
    let quote = opening(text, start);
    start += quote.map_or(0, <[u8]>::len);
    let is_whole =
        name.to_ascii_lowercase().ends_with(b"authorization") || name.to_ascii_lowercase().ends_with(b"cookie");
    let length = match quote {
        Some(quote) => text[start..].windows(quote.len()).take(VALUE).position(|end| end == quote)?,
        None if is_whole => run(text, start, VALUE, |byte| byte >= b' ' && !matches!(byte, b'"' | b'\'')),
        None => run(text, start, VALUE, |byte| byte > b' ' && !b",;&\"')}]<>\\".contains(&byte)),
    };
    let value = &text[start..start + length];
    let is_prose = text[separator] == b':' && quote.is_none();
    let is_nothing =
        [&b""[..], b"None", b"null", b"nil", b"true", b"false", b"True", b"False", b"***"].contains(&value);
    if is_nothing || mark::is_mark(&text[start..]) || is_prose && !is_likely(value, action) {
        return None;
    }
    Some(Found { start, end: start + length, rule: Rule::Pair, action })
}

/// Whether a word behind a colon, as in a sentence, is a secret and not what the sentence says of one.
fn is_likely(value: &[u8], action: Action) -> bool {
    let least = if action == Action::Hash { 8 } else { 4 };
    value.len() >= least && value.iter().any(u8::is_ascii_digit) && !value.starts_with(b"/")
}

/// A name that ends before `end`, perhaps in quotes; and whether it is a URL's parameter.
fn name_before(text: &[u8], end: usize) -> Option<(&[u8], bool)> {
    let mut end = end;
    let back = |end: usize, is: fn(u8) -> bool, most: usize| {
        text[..end].iter().rev().take(most).take_while(|&&byte| is(byte)).count()
    };
    end -= back(end, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\'), 4);
    let length = back(end, |byte| is_word(byte) || matches!(byte, b'-' | b'.'), NAME);
    let start = end - length;
    let is_parameter = start > 0 && matches!(text[start - 1], b'?' | b'&');
    (length > 0).then_some((&text[start..end], is_parameter))
}

/// The quote that begins there, also an escaped one as in JSON within a text.
fn opening(text: &[u8], start: usize) -> Option<&[u8]> {
    match text.get(start..)? {
        [b'\\', b'"', ..] => Some(b"\\\""),
        [b'"', ..] => Some(b"\""),
        [b'\'', ..] => Some(b"'"),
        _ => None,
    }
}
