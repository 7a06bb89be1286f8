//! Names and values in a text: `password=…`, `'api_key': '…'`, `?sig=…`.

use super::own::Own;
use super::{is_word, mark, run, Action, Found, Rule};

/// The longest name, and the longest value, that are looked at.
const NAME: usize = 48;
const VALUE: usize = 4096;

/// Parameters of URLs that are secrets nowhere else.
const PARAMETERS: [&[u8]; 6] =
    [b"sig", b"signature", b"x-amz-signature", b"x-amz-credential", b"x-amz-security-token", b"key"];

/// The secret value that belongs to the `:`, `=`, `>` or `,` at `separator`: `name=value`, `"name": "value"`,
/// `name := value`, `name => value`, `<name>value</name>`, `("name", "value")`.
pub fn value(text: &[u8], separator: usize, own: &Own) -> Option<Found> {
    let kind = text[separator];
    if kind == b',' && !(separator > 0 && matches!(text[separator - 1], b'"' | b'\'')) {
        return None;
    }
    let Name { name, before } = name_before(text, separator)?;
    let is_parameter = matches!(before, Some(b'?' | b'&'));
    if kind == b'>' && before != Some(b'<') {
        return None;
    }
    let action = match own.action(name) {
        Some(action) => action,
        None if is_parameter && PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(name)) => Action::Hash,
        None => return None,
    };
    let mut start = separator + 1;
    if kind == b'>' {
        start += run(text, start, 32, |byte| byte.is_ascii_whitespace());
    } else {
        start += run(text, start, 3, |byte| matches!(byte, b':' | b'=' | b'>'));
        start += run(text, start, 4, |byte| byte == b' ');
    }
    let quote = opening(text, start);
    if kind == b',' && quote.is_none() {
        return None;
    }
    start += quote.map_or(0, <[u8]>::len);
    let is_whole =
        name.to_ascii_lowercase().ends_with(b"authorization") || name.to_ascii_lowercase().ends_with(b"cookie");
    let length = match quote {
        Some(quote) => text[start..].windows(quote.len()).take(VALUE).position(|end| end == quote)?,
        None if is_whole => run(text, start, VALUE, |byte| byte >= b' ' && !matches!(byte, b'"' | b'\'')),
        None => run(text, start, VALUE, |byte| byte > b' ' && !b",;&\"')}]<>\\".contains(&byte)),
    };
    let value = &text[start..start + length];
    let is_prose = kind == b',' || matches!(kind, b':' | b'>') && quote.is_none();
    let is_nothing =
        [&b""[..], b"None", b"null", b"nil", b"true", b"false", b"True", b"False", b"***"].contains(&value);
    if is_nothing || mark::is_mark(&text[start..]) || is_prose && !is_likely(value, action) {
        return None;
    }
    Some(Found { start, end: start + length, rule: Rule::Pair, action })
}

/// The password of `-u user:password`, as in a command line of curl, by the place of its colon.
pub fn user(text: &[u8], colon: usize) -> Option<Found> {
    let length = text[..colon].iter().rev().take(NAME).take_while(|&&byte| is_word(byte) || byte == b'@').count();
    let before = text[..colon - length].trim_ascii_end();
    let before = before.strip_suffix(b"\"").or_else(|| before.strip_suffix(b"'")).unwrap_or(before).trim_ascii_end();
    if length == 0 || !(before.ends_with(b" -u") || before.ends_with(b" --user")) {
        return None;
    }
    let start = colon + 1;
    let length = run(text, start, VALUE, |byte| byte > b' ' && !matches!(byte, b'"' | b'\''));
    let is_new = length > 0 && !mark::is_mark(&text[start..]);
    is_new.then_some(Found { start, end: start + length, rule: Rule::Pair, action: Action::Remove })
}

/// Whether a word behind a colon, as in a sentence, is a secret and not what the sentence says of one.
fn is_likely(value: &[u8], action: Action) -> bool {
    let least = if action == Action::Hash { 8 } else { 4 };
    value.len() >= least && value.iter().any(u8::is_ascii_digit) && !value.starts_with(b"/")
}

struct Name<'a> {
    name: &'a [u8],
    /// The byte before it.
    before: Option<u8>,
}

/// The name that ends before `end`, perhaps in quotes, perhaps with its type: `name string = …`.
fn name_before(text: &[u8], end: usize) -> Option<Name<'_>> {
    let back = |end: usize, is: fn(u8) -> bool, most: usize| {
        text[..end].iter().rev().take(most).take_while(|&&byte| is(byte)).count()
    };
    let word = |mut end: usize| {
        end -= back(end, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\' | b'`' | b'?' | b'.' | b':' | b'+'), 18);
        let length = back(end, |byte| is_word(byte) || matches!(byte, b'-' | b'.'), NAME);
        (end - length, end)
    };
    let (mut start, mut end) = word(end);
    if TYPES.contains(&&text[start..end]) {
        (start, end) = word(start);
    }
    let before = start.checked_sub(1).map(|at| text[at]);
    (start < end).then(|| Name { name: &text[start..end], before })
}

/// Names of types that stand between a name and its value.
const TYPES: [&[u8]; 3] = [b"string", b"str", b"String"];

/// The quote that begins there, also one that was escaped, however often, as in JSON within a text.
fn opening(text: &[u8], start: usize) -> Option<&[u8]> {
    let slashes = run(text, start, 15, |byte| byte == b'\\');
    let end = start + slashes + 1;
    let is_quote = match text.get(end - 1)? {
        b'"' => true,
        b'\'' | b'`' => slashes == 0,
        _ => false,
    };
    is_quote.then(|| &text[start..end])
}
