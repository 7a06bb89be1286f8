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
