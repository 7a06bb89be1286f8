//! Numbers as text, in Go's formats.

use std::fmt::Write;

/// Without an exponent: `strconv.FormatFloat(value, 'f', -1, 64)`.
pub fn plain(value: f64) -> String {
    special(value).map_or_else(|| format!("{value}"), str::to_owned)
}

/// As samples are printed in JSON: with an exponent below 1e-6 and from 1e21 on.
pub fn sample(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return plain(value);
    }
    special(value).map_or_else(|| exponential(value), str::to_owned)
}

/// As [`sample`], appended.
pub fn write_sample(to: &mut String, value: f64) {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        // Into what is there already: an answer has thousands of these.
        let _ = write!(to, "{value}");
    } else {
        to.push_str(&sample(value));
    }
}

/// Go's `%g`: with an exponent below 1e-4 and from 1e6 on.
pub fn general(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-4..1e6).contains(&size) {
        return plain(value);
    }
    special(value).map_or_else(|| exponential(value), str::to_owned)
}

/// A number as Go's `strconv.ParseFloat` reads it.
pub fn parse(text: &str) -> Option<f64> {
    match text.as_bytes().first()? {
        b'0'..=b'9' | b'.' | b'+' | b'-' | b'i' | b'I' | b'n' | b'N' => text.parse().ok(),
        _ => None,
    }
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

/// The exponent has a sign and at least two digits.
fn exponential(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_prints() {
        assert_eq!(sample(1e21), "1e+21");
        assert_eq!(sample(1e20), "100000000000000000000");
        assert_eq!(sample(1e-7), "1e-07");
        assert_eq!(sample(0.000_001), "0.000001");
        assert_eq!(sample(-0.0), "-0");
        assert_eq!(sample(f64::NAN), "NaN");
        assert_eq!(sample(f64::INFINITY), "+Inf");
        assert_eq!(plain(1e21), "1000000000000000000000");
        assert_eq!(general(1e21), "1e+21");
        assert_eq!(general(0.000_01), "1e-05");
        assert_eq!(sample(1.5e300), "1.5e+300");
    }
}
