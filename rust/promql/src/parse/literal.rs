//! Numbers, durations and quoted strings.

use super::mistake::{mistake, Mistake, Parsed};

/// A string in double, single or back quotes, with Go's escapes; the value and the byte after it.
pub(super) fn quoted(text: &str, at: usize) -> Parsed<(String, usize)> {
    let quote = text.as_bytes()[at];
    if quote == b'`' {
        let body = &text[at + 1..];
        return match body.find('`') {
            Some(end) => Ok((body[..end].to_owned(), at + end + 2)),
            None => mistake(at, "unterminated raw string"),
        };
    }
    let bytes = text.as_bytes();
    let mut value = Vec::new();
    let mut next = at + 1;
    loop {
        match bytes.get(next) {
            None | Some(b'\n') => return mistake(at, "unterminated quoted string"),
            Some(byte) if *byte == quote => break,
            Some(b'\\') => {
                next += 1 + escape(&bytes[next + 1..], quote, &mut value)
                    .map_err(|message| Mistake { at: next, message })?;
            }
            Some(byte) => {
                value.push(*byte);
                next += 1;
            }
        }
    }
    match String::from_utf8(value) {
        Ok(value) => Ok((value, next + 1)),
        Err(_) => mistake(at, "the string is no valid UTF-8"),
    }
}

/// What follows a backslash: appends the bytes it means, returns how many it takes.
fn escape(text: &[u8], quote: u8, value: &mut Vec<u8>) -> Result<usize, String> {
    let Some(&letter) = text.first() else { return Err("escape sequence not terminated".to_owned()) };
    let simple = match letter {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        letter if letter == quote => quote,
        b'x' | b'u' | b'U' | b'0'..=b'7' => return code(text, letter, value),
        letter => return Err(format!("unknown escape sequence {:?}", char::from(letter))),
    };
    value.push(simple);
    Ok(1)
}

/// `\x41`, `\101`, `\u0041`, `\U00000041`.
fn code(text: &[u8], letter: u8, value: &mut Vec<u8>) -> Result<usize, String> {
    let (skip, digits, base) = match letter {
        b'x' => (1, 2, 16),
        b'u' => (1, 4, 16),
        b'U' => (1, 8, 16),
        _ => (0, 3, 8),
    };
    let mut code = 0_u32;
    for at in skip..skip + digits {
        let digit = text.get(at).and_then(|byte| char::from(*byte).to_digit(base));
        code = code.wrapping_mul(base) + digit.ok_or("illegal character in escape sequence")?;
    }
    match (letter, u8::try_from(code), char::from_u32(code)) {
        (b'u' | b'U', _, Some(character)) => {
            value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        (b'x' | b'0'..=b'7', Ok(byte), _) => value.push(byte),
        _ => return Err("escape sequence is an invalid Unicode code point".to_owned()),
    }
    Ok(skip + digits)
}

/// `1`, `0x1f`, `1e3`, `1_000` or a duration such as `1h30m`, in seconds; the value and the byte after it.
pub(super) fn number_or_duration(text: &str, at: usize) -> Parsed<(f64, usize)> {
    let bytes = text.as_bytes();
    let run = |from: usize, accept: &dyn Fn(u8) -> bool| {
        from + bytes[from..].iter().position(|byte| !accept(*byte)).unwrap_or(bytes.len() - from)
    };
    let word_end = run(at, &|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    let word = &text[at..word_end];
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return match u64::from_str_radix(&hex.replace('_', ""), 16) {
            Ok(value) if !hex.starts_with('_') => Ok((value as f64, word_end)),
            _ => mistake(at, format!("bad number or duration syntax: {word:?}")),
        };
    }
    // The exponent's sign is no part of a word.
    let mut end = run(at, &|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_'));
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = run(end + 1 + sign, &|byte| byte.is_ascii_digit());
        }
    }
    let number = &text[at..end];
    if end >= word_end {
        if let Some(value) = decimal(number) {
            return Ok((value, end));
        }
    } else if let Some(ms) = duration_ms(word) {
        return Ok((ms as f64 / 1000.0, word_end));
    }
    mistake(at, format!("bad number or duration syntax: {:?}", &text[at..word_end.max(end)]))
}

/// A decimal number; one with a leading 0 is octal where it can be, as in Go.
fn decimal(text: &str) -> Option<f64> {
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    let plain = text.replace('_', "");
    if plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|byte| matches!(byte, b'0'..=b'7')) {
        return u64::from_str_radix(&plain, 8).ok().map(|value| value as f64);
    }
    plain.parse().ok()
}

/// A duration such as `1h30m` in milliseconds: units descend, each appears once.
pub fn duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let (mut rest, mut units, mut total) = (text, &UNITS[..], 0_i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + letters];
        let at = units.iter().position(|(name, _)| *name == unit)?;
        total = total.checked_add(count.checked_mul(units[at].1)?)?;
        units = &units[at + 1..];
        rest = &rest[digits + letters..];
    }
    // What Go's nanoseconds cannot hold is no duration.
    (total < i64::MAX / 1_000_000).then_some(total)
}
