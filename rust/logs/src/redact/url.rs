//! Passwords in URLs.

use super::{run, Action, Found, Rule};

/// The longest user and password that are looked at.
const MOST: usize = 512;

/// The password of `scheme://user:password@host`, by the place of its first colon. User and host stay.
pub fn password(text: &[u8], colon: usize) -> Option<Found> {
    if !text[colon..].starts_with(b"://") {
        return None;
    }
    let from = colon + 3;
    let is_part = |byte: u8| !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\') && byte > b' ';
    let authority = &text[from..from + run(text, from, MOST, is_part)];
    let at = authority.iter().rposition(|&byte| byte == b'@')?;
    let start = authority[..at].iter().position(|&byte| byte == b':')? + 1;
    (start < at && !super::mark::is_mark(&authority[start..])).then_some(Found {
        start: from + start,
        end: from + at,
        rule: Rule::Url,
        action: Action::Remove,
    })
}
