//! `baggage` of W3C: names and values that travel with a request. Whoever calls may write anything there, so it is never
//! made a label.

use std::fmt::Write;

/// Members that are kept and sent.
pub const MOST: usize = 64;
/// Bytes of a header that are read and sent.
pub const LONGEST: usize = 8192;

/// The members of the headers of that name, joined by commas. A malformed member is left out, and so are those beyond the
/// limits; of two with the same name the last one counts. Properties are not kept.
pub fn parse(header: &[u8]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut bytes = 0;
    for member in header.split(|&byte| byte == b',') {
        bytes += member.len() + 1;
        if bytes > LONGEST + 1 || found.len() == MOST {
            break;
        }
        let Ok(member) = std::str::from_utf8(member) else { continue };
        let pair = member.split(';').next().unwrap_or_default();
        let Some((name, value)) = pair.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        if !is_token(name) || !value.bytes().all(is_octet) {
            continue;
        }
        let Some(value) = decoded(value) else { continue };
        found.retain(|(other, _)| other != name);
        found.push((name.to_owned(), value));
    }
    found
}

/// The header of these members; those that cannot be sent or are too many are left out, and how many that were is told.
pub fn write<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> (String, usize) {
    let (mut out, mut sent, mut left_out) = (String::new(), 0, 0);
    for (name, value) in members {
        let before = out.len();
        if !is_token(name) || sent == MOST {
            left_out += 1;
            continue;
        }
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            // A plus is a space to some who read it.
            if is_octet(byte) && byte != b'%' && byte != b'+' {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        if out.len() > LONGEST {
            out.truncate(before);
            left_out += 1;
            continue;
        }
        sent += 1;
    }
    (out, left_out)
}

/// A token of HTTP.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What may stand in a value as it is.
fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// Without its percents; a sign that begins no escape stands for itself. `None` when it is not UTF-8.
fn decoded(value: &str) -> Option<String> {
    let bytes = value.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|code| std::str::from_utf8(code).ok());
        let is_code = |code: &&str| code.bytes().all(|digit| digit.is_ascii_hexdigit());
        let escape = code.filter(is_code).and_then(|code| u8::from_str_radix(code, 16).ok());
        out.push(escape.unwrap_or(byte));
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn what_the_specification_says() {
        assert_eq!(
            pairs("userId=alice,serverNode=DF%2028,isProduction=false"),
            [pair("userId", "alice"), pair("serverNode", "DF 28"), pair("isProduction", "false"),]
        );
        assert_eq!(
            pairs("k1=v1;property1;property2, k2 = v2, k3=v3; propertyKey=propertyValue"),
            [pair("k1", "v1"), pair("k2", "v2"), pair("k3", "v3"),]
        );
        assert_eq!(pairs("a=1,b,=c,d=e f,g=\u{e9},h=%zz,a=2"), [pair("h", "%zz"), pair("a", "2")]);
        assert_eq!(pairs("empty="), [pair("empty", "")]);
    }

    #[test]
    fn limits() {
        let many = (0..100).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(pairs(&many).len(), MOST);
        assert_eq!(pairs(&format!("a=1,b={},c=2", "x".repeat(LONGEST))), [pair("a", "1")]);
        let long = "x".repeat(LONGEST);
        assert_eq!(write([("a", "1"), ("b", &long), ("not a token", "2"), ("c", "3")]), ("a=1,c=3".into(), 2));
    }

    proptest! {
        #[test]
        fn there_and_back(members in proptest::collection::btree_map("[a-zA-Z0-9_.-]{1,8}", "\\PC{0,20}|[%,;=\"\\\\ ]{0,5}", 0..20)) {
            let (header, left_out) = write(members.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            prop_assert_eq!(left_out, 0);
            prop_assert!(header.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
            let back: std::collections::BTreeMap<_, _> = parse(header.as_bytes()).into_iter().collect();
            prop_assert_eq!(back, members);
        }

        #[test]
        fn any_bytes_do_no_harm(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
