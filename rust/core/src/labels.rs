//! Label text: rendered once when a series is made, compared as text afterwards.

/// The label names of a family, ready to be joined with values.
///
/// The text is that of the exposition, `method="GET",path="/x"`, in the order of the names' bytes (as
/// `prometheus_client` writes it); values come and go in the order of definition.
pub struct Labels {
    names: Box<[Box<str>]>,
    /// What stands before each value, in text order, and which value that is.
    parts: Box<[(Box<str>, usize)]>,
}

impl Labels {
    /// The labels with these names.
    pub fn new(names: &[&str]) -> Self {
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|&index| names[index]);
        let part = |(position, &index): (usize, &usize)| {
            let comma = if position == 0 { "" } else { "," };
            (format!("{comma}{}=\"", names[index]).into(), index)
        };
        Labels {
            names: names.iter().map(|&name| name.into()).collect(),
            parts: order.iter().enumerate().map(part).collect(),
        }
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

    /// The values behind a text that [`render`](Self::render) made, in the order of definition.
    pub fn values(&self, text: &[u8]) -> Vec<String> {
        let mut values = vec![String::new(); self.names.len()];
        let mut rest = text;
        for (before, index) in &self.parts {
            rest = &rest[before.len()..];
            let end = end_of_value(rest);
            values[*index] = unescape(&rest[..end]);
            rest = &rest[end + 1..];
        }
        values
    }

    /// Cuts a text where a further label named `name` belongs, as its neighbours' two texts.
    pub fn split<'a>(&self, text: &'a [u8], name: &str) -> (&'a [u8], &'a [u8]) {
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
            let mut expected: Vec<_> = names.iter().zip(&values).map(|(n, v)| (n.to_string(), v.to_string())).collect();
            expected.sort();
            prop_assert_eq!(pairs(&text), expected);
            let (before, after) = labels.split(&text, "le");
            let smaller = names.iter().filter(|&&n| n <= "le").count();
            let comma = usize::from(smaller > 0 && smaller < names.len());
            prop_assert_eq!(before.len() + after.len() + comma, text.len());
            prop_assert_eq!(before.is_empty(), smaller == 0);
            prop_assert_eq!(after.is_empty(), smaller == names.len());
        }
    }

    #[test]
    fn text_is_ordered_by_name_and_escaped() {
        let labels = Labels::new(&["path", "method"]);
        let mut text = Vec::new();
        labels.render(&["a\"b\\c\nd", "GET"], &mut text);
        assert_eq!(text, br#"method="GET",path="a\"b\\c\nd""#);
    }
}
