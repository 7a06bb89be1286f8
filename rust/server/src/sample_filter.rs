//! `name[]`: an exposition of only the samples that a scraper asked for; and names that are none.

use ferrometer_core::family::Kind;
use ferrometer_core::labels;
use ferrometer_core::reading::Reading;
use std::collections::BTreeSet;

/// The names in a query string, of which `None` means all samples.
pub fn asked(query: Option<&str>) -> Option<BTreeSet<String>> {
    let names: BTreeSet<String> = pairs(query?).filter(|(key, _)| key == "name[]").map(|(_, name)| name).collect();
    (!names.is_empty()).then_some(names)
}

/// The keys and values of a query string or of a form, decoded.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    })
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

/// Appends what `write` writes in a text format; where `names` are given, of that only the lines whose sample
/// is called one of these, below their headings.
pub fn restrict(names: Option<&BTreeSet<String>>, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let Some(names) = names else { return write(out) };
    let mut text = Vec::new();
    write(&mut text);
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

/// Whether the text formats write a family's names without quotes and escapes.
pub fn is_plain(family: &dyn Reading) -> bool {
    let definition = family.definition();
    // Where each series has label names of its own, whoever made it saw to that.
    let plain = is_name(&definition.name)
        && (family.labels().is_open() || definition.labels.iter().all(|label| is_label(label)));
    match definition.kind {
        Kind::StateSet(_) => plain && is_label(&definition.name), // which is a label, too
        Kind::Info if plain => {
            let mut all = true;
            family.for_each(&mut |series| {
                let own = series.info().unwrap_or_default();
                all &= labels::pairs(own.as_bytes()).iter().all(|(name, _)| is_label(name));
            });
            all
        }
        _ => plain,
    }
}

fn is_name(name: &str) -> bool {
    is_label(&name.replace(':', "_"))
}

fn is_label(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(word) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
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
            let names = names.iter().map(|&name| name.to_owned()).collect();
            restrict(Some(&names), &mut out, |out| out.extend_from_slice(text));
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
