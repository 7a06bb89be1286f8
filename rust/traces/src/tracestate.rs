//! `tracestate` of W3C Trace Context: what each tracing system on the way has to say. It is passed on as it came, and given
//! up as a whole when it is malformed.

/// Members that are passed on.
pub const MOST: usize = 32;

/// The value of the headers of that name, joined by commas, in its normal form; `None` for a malformed one. An empty one is
/// empty.
pub fn parse(header: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(header).ok()?;
    let mut found: Vec<&str> = Vec::new();
    for member in text.split(',') {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let is_known = found.iter().any(|other| other.split('=').next() == Some(key));
        if !is_key(key) || !is_value(value) || is_known || found.len() == MOST {
            return None;
        }
        found.push(member);
    }
    Some(found.join(","))
}

/// `vendor`, or `tenant@vendor`.
fn is_key(key: &str) -> bool {
    let is_part = |part: &str, most: usize, may_begin_with_digit: bool| {
        let first = part.bytes().next();
        let begins =
            first.is_some_and(|byte| byte.is_ascii_lowercase() || (may_begin_with_digit && byte.is_ascii_digit()));
        let is_in = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
        begins && part.len() <= most && part.bytes().all(is_in)
    };
    match key.split_once('@') {
        None => is_part(key, 256, true),
        Some((tenant, system)) => is_part(tenant, 241, true) && is_part(system, 14, false),
    }
}

/// Printable ASCII but for commas and equal signs, up to 256 characters, no space at its end.
fn is_value(value: &str) -> bool {
    let is_in = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(is_in) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_specification_says() {
        let same = |text: &str| assert_eq!(parse(text.as_bytes()).as_deref(), Some(text));
        same("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
        same("fw529a3039@dt=FfffWR0wMTA,1a=b");
        same("");
        assert_eq!(parse(b" a=1 ,\t, b=2").as_deref(), Some("a=1,b=2"));
        for wrong in ["a", "A=1", "a=", "=1", "a=1=2", "a=1,a=2", "a@1b=2", "a@=1", "a=\u{e9}", "a=1,\u{7f}=2"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        let many = |count: usize| (0..count).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",");
        same(&many(MOST));
        assert_eq!(parse(many(MOST + 1).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_is_passed_on_can_be_read_again(text in "([a-c0-2@_ =,-]|\\PC){0,60}") {
            if let Some(normal) = parse(text.as_bytes()) {
                prop_assert_eq!(parse(normal.as_bytes()), Some(normal.clone()));
            }
        }

        #[test]
        fn any_bytes_do_no_harm(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
