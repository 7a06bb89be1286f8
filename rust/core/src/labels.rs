//! Label text: rendered once when a series is made, compared as text afterwards.

/// In place of a family's label names: each of its series has names of its own, as OpenTelemetry's attributes are.
pub const ANY: &str = "";

/// The label names of a family, ready to be joined with values.
///
/// The text is that of the exposition, `method="GET",path="/x"`, in the order of the names' bytes (as
/// `prometheus_client` writes it); values come and go in the order of definition.
pub struct Labels {
    names: Box<[Box<str>]>,
    /// What stands before each value, in text order, and which value that is. Nothing where each series has names of
    /// its own.
    parts: Box<[(Box<str>, usize)]>,
    is_open: bool,
}

impl Labels {
    /// The labels with these names.
    pub fn new(names: &[&str]) -> Self {
        let is_open = names == [ANY];
        let mut order: Vec<usize> = if is_open { Vec::new() } else { (0..names.len()).collect() };
        order.sort_by_key(|&index| names[index]);
        let part = |(position, &index): (usize, &usize)| {
            let comma = if position == 0 { "" } else { "," };
            (format!("{comma}{}=\"", names[index]).into(), index)
        };
        Labels {
            names: names.iter().map(|&name| name.into()).collect(),
            parts: order.iter().enumerate().map(part).collect(),
            is_open,
        }
    }

    /// Whether each series has label names of its own.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Names and values behind a text, in the order of definition; in the text's order where each series has names of
    /// its own.
    pub fn named(&self, text: &[u8]) -> Vec<(String, String)> {
        if self.is_open {
            return pairs(text);
        }
        self.names.iter().map(ToString::to_string).zip(self.values(text)).collect()
    }

    /// The names, as defined.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Appends the text for these values, which are as many as the names.
    pub fn render(&self, values: &[&str], out: &mut Vec<u8>) {
        for (before, index) in &self.parts {
            out.extend_from_slice(before.as_bytes());
            escape(values[*index], out);
            out.push(b'"');
        }
    }

    /// The values behind a text that [`render`](Self::render) made, in the order of definition. None where each series
    /// has names of its own.
    pub fn values(&self, text: &[u8]) -> Vec<String> {
        let mut values = vec![String::new(); if self.is_open { 0 } else { self.names.len() }];
        let mut rest = text;
        for (before, index) in &self.parts {
            rest = &rest[before.len()..];
            let end = end_of_value(rest);
            values[*index] = unescape(&rest[..end]);
            rest = &rest[end + 1..];
        }
        values
    }

    /// Whether a text that came from elsewhere is one that [`render`](Self::render) can have made.
    #[cfg_attr(any(not(target_os = "linux"), loom), allow(dead_code, reason = "only segments come from elsewhere"))]
    pub(crate) fn accepts(&self, text: &[u8]) -> bool {
        if self.is_open {
            return is_rendered(text);
        }
        let rest = self.parts.iter().try_fold(text, |rest, (before, _)| {
            let value = rest.strip_prefix(before.as_bytes())?;
            value.get(end_of_foreign_value(value)? + 1..)
        });
        rest.is_some_and(<[u8]>::is_empty) && std::str::from_utf8(text).is_ok()
    }

    /// Cuts a text where a further label named `name` belongs, as its neighbours' two texts.
    pub fn split<'a>(&self, text: &'a [u8], name: &str) -> (&'a [u8], &'a [u8]) {
        if self.is_open {
            return split_any(text, name);
        }
        let mut end = 0;
        for (position, (before, index)) in self.parts.iter().enumerate() {
            if &*self.names[*index] > name {
                // The comma belongs to neither side.
                return (&text[..end], &text[end + usize::from(position > 0)..]);
            }
            let start = end + before.len();
            end = start + end_of_value(&text[start..]) + 1;
        }
        (text, &[])
    }
}

/// Cuts a rendered text of any names where a further label belongs.
fn split_any<'a>(text: &'a [u8], name: &str) -> (&'a [u8], &'a [u8]) {
    let mut at = 0;
    while let Some(equals) = text[at..].iter().position(|&byte| byte == b'=') {
        if &text[at..at + equals] > name.as_bytes() {
            return (&text[..at.saturating_sub(1)], &text[at..]);
        }
        let value = at + equals + 2;
        at = value + end_of_value(&text[value..]) + 2;
        if at > text.len() {
            break;
        }
    }
    (text, &[])
}

/// Names and values of any rendered text, `a="x",b="y"`.
pub fn pairs(text: &[u8]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some(equals) = rest.iter().position(|&byte| byte == b'=') {
        let value = &rest[equals + 2..];
        let end = end_of_value(value);
        pairs.push((String::from_utf8_lossy(&rest[..equals]).into_owned(), unescape(&value[..end])));
        rest = value.get(end + 2..).unwrap_or_default();
    }
    pairs
}

/// Whether a text that came from elsewhere is rendered labels of any names, so that [`pairs`] can take it apart.
pub fn is_rendered(text: &[u8]) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let Some(equals) = rest.iter().position(|&byte| byte == b'=') else { return false };
        let (name, value) = rest.split_at(equals);
        let Some(value) = value.strip_prefix(b"=\"") else { return false };
        let Some(end) = end_of_foreign_value(value) else { return false };
        if !is_plain(name) {
            return false;
        }
        rest = match &value[end + 1..] {
            [] => break,
            [b',', next @ ..] if !next.is_empty() => next,
            _ => return false,
        };
    }
    std::str::from_utf8(text).is_ok()
}

/// Whether a name that came from elsewhere can stand in an exposition without being taken for anything else.
#[cfg_attr(any(not(target_os = "linux"), loom), allow(dead_code, reason = "only segments come from elsewhere"))]
pub(crate) fn is_plain(name: &[u8]) -> bool {
    let special = |byte: &u8| byte.is_ascii_control() || b" \"\\,={}#".contains(byte);
    !name.is_empty() && !name.iter().any(special)
}

/// Appends a label value with `\`, `"` and line feeds escaped.
pub fn escape(value: &str, out: &mut Vec<u8>) {
    let special = |byte: u8| matches!(byte, b'\\' | b'"' | b'\n');
    if !value.bytes().any(special) {
        return out.extend_from_slice(value.as_bytes());
    }
    for byte in value.bytes() {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            byte if special(byte) => out.extend_from_slice(&[b'\\', byte]),
            byte => out.push(byte),
        }
    }
}

fn end_of_value(text: &[u8]) -> usize {
    let mut at = 0;
    while text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// As [`end_of_value`] of a text that may have no end, or line feeds.
#[cfg_attr(any(not(target_os = "linux"), loom), allow(dead_code, reason = "only segments come from elsewhere"))]
fn end_of_foreign_value(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'"' => return Some(at),
            b'\n' => return None,
            b'\\' if *text.get(at + 1)? == b'\n' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn unescape(text: &[u8]) -> String {
    let mut value = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        value.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(&escaped) => escaped,
                None => b'\\',
            },
            byte => byte,
        });
    }
    String::from_utf8_lossy(&value).into_owned()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_survive_the_text(
            names in proptest::collection::btree_set("[a-z]{1,4}", 1..5).prop_map(|names| names.into_iter().collect::<Vec<_>>()).prop_shuffle(),
            seed in proptest::collection::vec(".*|[\"\\\\\n,=a]{0,8}", 5),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let values: Vec<&str> = seed[..names.len()].iter().map(String::as_str).collect();
            let labels = Labels::new(&names);
            let mut text = Vec::new();
            labels.render(&values, &mut text);
            prop_assert_eq!(labels.values(&text), values.clone());
            prop_assert!(labels.accepts(&text) && is_rendered(&text));
            for end in 0..text.len() {
                prop_assert!(!labels.accepts(&text[..end]));
            }
            let mut expected: Vec<_> = names.iter().zip(&values).map(|(n, v)| (n.to_string(), v.to_string())).collect();
            expected.sort();
            prop_assert_eq!(pairs(&text), expected);
            let (before, after) = labels.split(&text, "le");
            let smaller = names.iter().filter(|&&n| n <= "le").count();
            let comma = usize::from(smaller > 0 && smaller < names.len());
            prop_assert_eq!(before.len() + after.len() + comma, text.len());
            prop_assert_eq!(before.is_empty(), smaller == 0);
            prop_assert_eq!(after.is_empty(), smaller == names.len());
            let open = Labels::new(&[ANY]);
            prop_assert!(open.is_open() && open.accepts(&text));
            prop_assert_eq!(open.named(&text), pairs(&text));
            prop_assert_eq!(open.split(&text, "le"), (before, after));
        }
    }

    #[test]
    fn text_of_no_labels_is_one_where_each_series_has_names_of_its_own() {
        let open = Labels::new(&[ANY]);
        assert!(open.accepts(b"") && open.named(b"").is_empty());
        assert_eq!(open.split(b"", "le"), (&b""[..], &b""[..]));
    }

    proptest! {
        /// Whatever is accepted can be taken apart.
        #[test]
        fn foreign_text_is_taken_apart_or_refused(text in "[ab=\"\\\\,\n]{0,12}") {
            let labels = Labels::new(&["a", "b"]);
            if labels.accepts(text.as_bytes()) {
                prop_assert_eq!(labels.values(text.as_bytes()).len(), 2);
                labels.split(text.as_bytes(), "aa");
                prop_assert!(is_rendered(text.as_bytes()));
            }
            if is_rendered(text.as_bytes()) {
                prop_assert_eq!(pairs(text.as_bytes()).is_empty(), text.is_empty());
            }
        }
    }

    #[test]
    fn foreign_text_is_refused_where_it_goes_wrong() {
        let labels = Labels::new(&["a"]);
        for text in
            ["", "a", "a=", "a=\"", "a=\"x", "a=\"x\\", "a=\"x\\\"", "b=\"x\"", "a=\"x\",", "a=\"x\ny\"", "a=\"x\"\n"]
        {
            assert!(!labels.accepts(text.as_bytes()), "{text:?}");
            assert!(text.is_empty() || text.starts_with('b') || !is_rendered(text.as_bytes()), "{text:?}");
        }
        assert!(!labels.accepts(b"a=\"\xff\"") && !is_rendered(b"a=\"\xff\""));
        assert!(
            is_rendered(b"")
                && is_rendered(b"a=\"x\",b=\"\"")
                && !is_rendered(b"a\nb=\"x\"")
                && !is_rendered(b"=\"x\"")
        );
    }

    #[test]
    fn text_is_ordered_by_name_and_escaped() {
        let labels = Labels::new(&["path", "method"]);
        let mut text = Vec::new();
        labels.render(&["a\"b\\c\nd", "GET"], &mut text);
        assert_eq!(text, br#"method="GET",path="a\"b\\c\nd""#);
    }
}
