//! The protobuf wire format, and the messages that every family has.

/// `MetricType`.
pub(super) mod kind {
    pub const COUNTER: u64 = 0;
    pub const GAUGE: u64 = 1;
    pub const SUMMARY: u64 = 2;
    pub const UNTYPED: u64 = 3;
    pub const HISTOGRAM: u64 = 4;
    pub const GAUGE_HISTOGRAM: u64 = 5;
}

/// Wire types.
const VARINT: u64 = 0;
const DOUBLE: u64 = 1;
const BYTES: u64 = 2;

pub(super) fn metric(out: &mut Vec<u8>, labels: &[(&str, &str)], value: impl FnOnce(&mut Vec<u8>)) {
    nested(4, out, |out| {
        for (name, value) in labels {
            label(name, value, out);
        }
        value(out);
    });
}

pub(super) fn label(name: &str, value: &str, out: &mut Vec<u8>) {
    nested(1, out, |out| {
        bytes(1, name.as_bytes(), out);
        bytes(2, value.as_bytes(), out);
    });
}

pub(super) fn gauge(value: f64, out: &mut Vec<u8>) {
    nested(2, out, |out| double(1, value, out));
}

pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

pub(super) fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3 | VARINT, out);
    varint(value, out);
}

pub(super) fn signed(field: u64, value: i64, out: &mut Vec<u8>) {
    number(field, zigzag(value), out);
}

pub(super) fn double(field: u64, value: f64, out: &mut Vec<u8>) {
    varint(field << 3 | DOUBLE, out);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | BYTES, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

pub(super) fn nested(field: u64, out: &mut Vec<u8>, message: impl FnOnce(&mut Vec<u8>)) {
    varint(field << 3 | BYTES, out);
    delimited(out, message);
}

/// A message behind its length. Nearly all are below 128 bytes, so one byte is left for the length, and
/// a longer message is moved up by what its length takes more.
pub(super) fn delimited(out: &mut Vec<u8>, message: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    message(out);
    let length = out.len() - start - 1;
    if length < 128 {
        out[start] = length as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(10);
    varint(length as u64, &mut prefix);
    out.splice(start..=start, prefix);
}

/// What a field of a message holds; the numbers of smaller ones are not told apart.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Number(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// The text, if it is one.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Field::Bytes(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
}

/// The fields of a message in its order, up to the first that makes no sense.
#[derive(Clone)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Fields(message)
    }

    /// The message behind its length that begins here.
    pub(super) fn delimited(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let &[byte] = self.take(1)? else { return None };
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Field::Number(self.varint()?),
            DOUBLE => Field::Double(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            BYTES => Field::Bytes(self.delimited()?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}
