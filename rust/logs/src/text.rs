//! A string as JSON, escaped and redacted in one pass; or redacted only.

use crate::redact::mark::Marker;
use crate::redact::{card, pair, prefix, url, Action, Found, Rule};

/// What a byte means for the pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// A letter, a digit or `_`: at the beginning of a word a secret may begin.
    Word,
    /// Ends a word.
    Break,
    /// `:`, `=`, `>` or `,`: a name may stand before it, a secret behind it.
    Separator,
    /// `-`: a private key may begin.
    Dash,
    /// Must be escaped.
    Escape,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Break; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = byte as u8;
        classes[byte] = match letter {
            b'"' | b'\\' | 0..=31 => Class::Escape,
            b':' | b'=' | b'>' | b',' => Class::Separator,
            b'-' => Class::Dash,
            _ if letter.is_ascii_alphanumeric() || letter == b'_' => Class::Word,
            _ => Class::Break,
        };
        byte += 1;
    }
    classes
};

/// Appends a text as the inside of a JSON string. What is not UTF-8 passes as it is.
pub fn write(out: &mut Vec<u8>, text: &[u8], marker: &Marker) {
    if marker.own.has_patterns() {
        let mut clean = Vec::with_capacity(text.len());
        redact(&mut clean, text, marker);
        escape(out, &clean);
    } else {
        pass::<true>(out, text, marker);
    }
}

/// Appends a text without its secrets, and not escaped.
pub fn redact(out: &mut Vec<u8>, text: &[u8], marker: &Marker) {
    let start = out.len();
    pass::<false>(out, text, marker);
    if marker.own.has_patterns() {
        let found = marker.own.find(&out[start..]);
        for (from, to) in found.into_iter().rev() {
            let mut mark = Vec::new();
            marker.write(&mut mark, &out[start + from..start + to], Rule::Own, Action::Remove);
            out.splice(start + from..start + to, mark);
        }
    }
}

#[inline(always)]
fn pass<const ESCAPED: bool>(out: &mut Vec<u8>, text: &[u8], marker: &Marker) {
    let (mut written, mut at, mut is_start) = (0, 0, true);
    while let Some(&byte) = text.get(at) {
        let class = CLASSES[byte as usize];
        let found = match class {
            Class::Word => {
                let was_start = is_start;
                is_start = false;
                if was_start {
                    word(text, at, byte)
                } else {
                    None
                }
            }
            Class::Separator => match pair::value(text, at, &marker.own) {
                None if byte == b':' => url::password(text, at).or_else(|| pair::user(text, at)),
                found => found,
            },
            Class::Dash if text[at..].starts_with(b"-----BEGIN ") => prefix::private_key(text, at),
            _ => None,
        };
        if let Some(found) = found {
            if ESCAPED {
                escape(out, &text[written..found.start]);
            } else {
                out.extend_from_slice(&text[written..found.start]);
            }
            marker.write(out, &text[found.start..found.end], found.rule, found.action);
            (written, at, is_start) = (found.end, found.end, true);
            continue;
        }
        is_start |= class != Class::Word;
        at += 1;
        if ESCAPED && class == Class::Escape {
            out.extend_from_slice(&text[written..at - 1]);
            escaped(out, byte);
            written = at;
        }
    }
    out.extend_from_slice(&text[written..]);
}

#[inline]
fn word(text: &[u8], at: usize, byte: u8) -> Option<Found> {
    if prefix::FIRST[byte as usize] {
        if let Some(found) = prefix::prefixed(text, at) {
            return Some(found);
        }
    }
    if byte.is_ascii_digit() {
        card::card(text, at)
    } else {
        None
    }
}

/// Appends a text as the inside of a JSON string, as it is.
pub fn escape(out: &mut Vec<u8>, text: &[u8]) {
    let mut written = 0;
    for (at, &byte) in text.iter().enumerate() {
        if CLASSES[byte as usize] == Class::Escape {
            out.extend_from_slice(&text[written..at]);
            escaped(out, byte);
            written = at + 1;
        }
    }
    out.extend_from_slice(&text[written..]);
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[digit as usize]));
        }
    }
}
