//! Numbers as `prometheus_client` prints them: Python's `repr`, with Go's early exponents.

use crate::registry::Value;

/// Appends a value.
pub fn write_value(value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Int(count) => write_count(count, out),
        Value::Float(number) => write_float(number, out),
    }
}

/// Appends a count: `12.0`, and from a million on `1.234567e+06`.
#[inline]
pub fn write_count(count: u64, out: &mut Vec<u8>) {
    // Most cells of most scrapes hold one digit.
    if count < 10 {
        return out.extend_from_slice(&[b'0' + count as u8, b'.', b'0']);
    }
    if count < 1_000_000 {
        out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
        return out.extend_from_slice(b".0");
    }
    write_float(count as f64, out);
}

/// Appends a double: shortest digits that read back the same.
pub fn write_float(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        let text: &[u8] = if number.is_nan() {
            b"NaN"
        } else if number > 0.0 {
            b"+Inf"
        } else {
            b"-Inf"
        };
        return out.extend_from_slice(text);
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    let mut buffer = ryu::Buffer::new();
    let (digits, point) = digits(buffer.format_finite(number.abs()));
    let digits = digits.as_slice();
    // At most 17 digits, so the fallback is never taken.
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if (7..=16).contains(&point) && number > 0.0 {
        // Where Python still writes 1000000.0, Go is already at 1e+06.
        write_mantissa(digits, out);
        out.extend_from_slice(if point <= 10 { b"e+0" } else { b"e+" });
        write_int(point - 1, out);
    } else if !(-3..=16).contains(&point) {
        write_mantissa(digits, out);
        out.extend_from_slice(if point > 0 { b"e+" } else { b"e-" });
        let exponent = (point - 1).abs();
        if exponent < 10 {
            out.push(b'0');
        }
        write_int(exponent, out);
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + point.unsigned_abs() as usize, b'0');
        out.extend_from_slice(digits);
    } else if point >= count {
        out.extend_from_slice(digits);
        out.resize(out.len() + (point - count).unsigned_abs() as usize, b'0');
        out.extend_from_slice(b".0");
    } else {
        let (whole, fraction) = digits.split_at(point.unsigned_abs() as usize);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

fn write_int(number: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_mantissa(digits: &[u8], out: &mut Vec<u8>) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
}

struct Digits([u8; 20], usize);

impl Digits {
    fn as_slice(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// The significant digits of ryu's text, and where the decimal point stands relative to them.
fn digits(text: &str) -> (Digits, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().expect("ryu writes a decimal exponent");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = Digits([0; 20], 0);
    let mut point = exponent + i32::try_from(whole.len()).expect("a short text");
    for byte in whole.bytes().chain(fraction.bytes()) {
        if digits.1 == 0 && byte == b'0' {
            point -= 1; // leading zeros are not significant
            continue;
        }
        digits.0[digits.1] = byte;
        digits.1 += 1;
    }
    while digits.1 > 1 && digits.0[digits.1 - 1] == b'0' {
        digits.1 -= 1;
    }
    if digits.1 == 0 {
        return (Digits([b'0'; 20], 1), 1);
    }
    (digits, point)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(number: f64) -> String {
        let mut out = Vec::new();
        write_float(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_look_like_prometheus_clients() {
        for (number, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e-300, "1e-300"),
            (123.456, "123.456"),
            (100_000.0, "100000.0"),
            (999_999.5, "999999.5"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (12_345_678_901.0, "1.2345678901e+10"),
            (1e15, "1e+15"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (-1_000_000.0, "-1000000.0"),
            (-2.5e16, "-2.5e+16"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    proptest! {
        #[test]
        fn every_double_reads_back(number in any::<f64>()) {
            let back: f64 = text(number).replace("Inf", "inf").parse().unwrap();
            prop_assert!(back.to_bits() == number.to_bits() || back.is_nan() && number.is_nan());
        }

        #[test]
        fn counts_are_doubles_without_a_rounding_of_their_own(count in prop_oneof![any::<u64>(), 0u64..3_000_000]) {
            let mut out = Vec::new();
            write_count(count, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), text(count as f64));
        }
    }
}
