//! `name[]`: an exposition of only the samples that a scraper asked for.

use std::collections::BTreeSet;

/// The names in a query string, of which `None` means all samples.
pub fn asked(query: Option<&str>) -> Option<BTreeSet<String>> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let names: BTreeSet<String> = pairs.filter(|(key, _)| decoded(key) == "name[]").map(|(_, v)| decoded(v)).collect();
    (!names.is_empty()).then_some(names)
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| byte == b'%').and_then(|digits| {
            let digit = |place: usize| char::from(digits[place]).to_digit(16);
            Some((digit(0)? * 16 + digit(1)?) as u8)
        });
        rest = if escaped.is_some() { &after[2..] } else { after };
        out.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends those lines of a text exposition whose sample is called one of `names`, below their headings.
pub fn restrict(text: &[u8], names: &BTreeSet<String>, out: &mut Vec<u8>) {
    let wanted: BTreeSet<&[u8]> = names.iter().map(String::as_bytes).collect();
    let mut heading = Vec::new();
    let mut headed: &[u8] = &[];
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"# ") {
            let name = line.split(|&byte| byte == b' ').nth(2).unwrap_or_default();
            if name != headed {
                heading.clear();
                headed = name;
            }
            heading.extend_from_slice(line);
        } else {
            let end = line.iter().position(|byte| matches!(byte, b'{' | b' ')).unwrap_or(line.len());
            if wanted.contains(&line[..end]) {
                out.append(&mut heading);
                out.extend_from_slice(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_query() {
        let set = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(asked(None), None);
        assert_eq!(asked(Some("a=b&name=c")), None);
        assert_eq!(asked(Some("name[]=a&name%5B%5D=b%5Fc+d&x")), set(&["a", "b_c d"]));
        assert_eq!(asked(Some("name[]=%ff%4&name[]")), set(&["\u{fffd}%4", ""]));
    }

    #[test]
    fn headings_stand_above_what_is_left() {
        let text = b"# HELP a_total A\n# TYPE a_total counter\na_total{x=\"b \"} 1\na_total{x=\"c\"} 2\n\
            # HELP a_created A\n# TYPE a_created gauge\na_created{x=\"b\"} 3\n\
            # HELP b B\n# TYPE b gauge\nb 4\n";
        let restricted = |names: &[&str]| {
            let mut out = Vec::new();
            restrict(text, &names.iter().map(|&name| name.to_owned()).collect(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(restricted(&["b"]), "# HELP b B\n# TYPE b gauge\nb 4\n");
        assert_eq!(
            restricted(&["a_total", "c"]),
            "# HELP a_total A\n# TYPE a_total counter\na_total{x=\"b \"} 1\na_total{x=\"c\"} 2\n"
        );
        assert_eq!(restricted(&["a", "a_tot"]), "");
    }
}
