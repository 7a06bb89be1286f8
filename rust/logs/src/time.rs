//! Times as ISO 8601 in UTC.

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Appends a time since 1970 as `2026-01-13T12:34:56.789Z`, with so many digits of the second.
pub fn iso(out: &mut Vec<u8>, time_ns: u64, digits: usize) {
    let seconds = time_ns / SECOND;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    padded(out, year, 4);
    for (before, value) in [(b'-', month), (b'-', day), (b'T', hour), (b':', minute), (b':', second)] {
        out.push(before);
        padded(out, value, 2);
    }
    if digits > 0 {
        out.push(b'.');
        padded(out, time_ns % SECOND / 10u64.pow(9 - digits as u32), digits);
    }
    out.push(b'Z');
}

fn padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of the Gregorian calendar, by days since 1970 (Howard Hinnant's `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::iso;

    fn text(time_ns: u64, digits: usize) -> String {
        let mut out = Vec::new();
        iso(&mut out, time_ns, digits);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments() {
        assert_eq!(text(0, 3), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(1_768_307_696_789_999_999, 3), "2026-01-13T12:34:56.789Z");
        assert_eq!(text(951_782_400_000_000_001, 9), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(text(4_107_542_399_000_000_000, 0), "2100-02-28T23:59:59Z");
    }
}
