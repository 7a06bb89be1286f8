//! The parameters of a request, as Prometheus reads them.

use ferrometer_promql::parse::{duration_ms, selector};
use ferrometer_promql::{Matcher, QueryError};

/// The parameters of a request.
pub struct Parameters<'a> {
    pairs: &'a [(String, String)],
    now_ms: i64,
}

/// Times beyond these are these: what arithmetic on milliseconds cannot leave.
const FARTHEST_MS: f64 = (1u64 << 52) as f64;

impl<'a> Parameters<'a> {
    /// The parameters; a time that is not given is now.
    pub fn new(pairs: &'a [(String, String)], now_ms: i64) -> Self {
        Parameters { pairs, now_ms }
    }

    /// The first of this name that is not empty.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A time, in seconds since 1970 or by RFC 3339; `None` where it is not given.
    pub fn time(&self, name: &str) -> Result<Option<i64>, QueryError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || invalid(name, &format!("cannot parse {text:?} to a valid timestamp"));
        if let Ok(seconds) = text.parse::<f64>() {
            let ms = (seconds * 1000.0).round();
            // Neither NaN nor infinite, nor "infinity" in letters.
            if ms.abs() <= FARTHEST_MS && text.bytes().all(|byte| !byte.is_ascii_alphabetic() || b"eE".contains(&byte))
            {
                return Ok(Some(ms as i64));
            }
            return Err(wrong());
        }
        rfc3339(text).map(Some).ok_or_else(wrong)
    }

    /// A time; now where it is not given.
    pub fn time_or_now(&self, name: &str) -> Result<i64, QueryError> {
        Ok(self.time(name)?.unwrap_or(self.now_ms))
    }

    /// A time that must be given.
    pub fn needed_time(&self, name: &str) -> Result<i64, QueryError> {
        self.time(name)?.ok_or_else(|| invalid(name, "cannot parse \"\" to a valid timestamp"))
    }

    /// A duration in ms: seconds, or such as `1h30m`.
    pub fn duration(&self, name: &str) -> Result<Option<i64>, QueryError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || invalid(name, &format!("cannot parse {text:?} to a valid duration"));
        if let Ok(seconds) = text.parse::<f64>() {
            let ms = seconds * 1000.0;
            return if ms.abs() <= FARTHEST_MS { Ok(Some(ms as i64)) } else { Err(wrong()) };
        }
        let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        duration_ms(rest).map(|ms| Some(sign * ms)).ok_or_else(wrong)
    }

    /// The seconds that a request may take: `timeout`, `most` at the most.
    pub fn seconds(&self, most: f64) -> Result<f64, QueryError> {
        let asked = self.duration("timeout")?;
        Ok(asked.map_or(most, |ms| most.min(ms.max(0) as f64 / 1000.0)))
    }

    /// A number of things; 0 and nothing are no limit.
    pub fn limit(&self, name: &str) -> Result<Option<usize>, QueryError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number: i64 = text.parse().map_err(|_| invalid(name, &format!("cannot parse {text:?} to a number")))?;
        if number < 0 {
            return Err(invalid(name, "limit must be non-negative"));
        }
        Ok(usize::try_from(number).ok().filter(|&number| number > 0))
    }

    /// A schema of native histograms, -4 to 8.
    pub fn schema(&self, name: &str) -> Result<Option<i8>, QueryError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let schema = text.parse().ok().filter(|schema| (-4..=8).contains(schema));
        schema.map(Some).ok_or_else(|| invalid(name, &format!("{text:?} is no schema from -4 to 8")))
    }

    /// The selectors of `match[]`, each parsed when it is asked for: there may be very many.
    pub fn selectors(&self) -> impl Iterator<Item = Result<Vec<Matcher>, QueryError>> + use<'a> {
        let all = self.pairs.iter().filter(|(name, _)| name == "match[]");
        all.map(|(_, text)| {
            selector(text).map(|selector| selector.matchers).map_err(|error| QueryError {
                message: format!("invalid parameter \"match[]\": {}", error.message),
                ..error
            })
        })
    }

    /// From `start` to `end`; all times where they are not given.
    pub fn range(&self) -> Result<(i64, i64), QueryError> {
        let start = self.time("start")?.unwrap_or(i64::MIN);
        let end = self.time("end")?.unwrap_or(i64::MAX);
        if end < start {
            return Err(invalid("end", "end timestamp must not be before start time"));
        }
        // The window is open on the left.
        Ok((start.saturating_sub(1), end))
    }
}

/// The error of a parameter.
pub fn invalid(name: &str, why: &str) -> QueryError {
    QueryError::bad_data(format!("invalid parameter \"{name}\": {why}"))
}

/// `2026-11-28T09:00:00.5Z`, or with an offset such as `+01:00`, in ms.
fn rfc3339(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let separator = |at: usize, any: &[u8]| text.as_bytes().get(at).filter(|byte| any.contains(byte)).map(|_| ());
    for (at, any) in [(4, b"-"), (7, b"-"), (13, b":"), (16, b":")] {
        separator(at, any)?;
    }
    separator(10, b"Tt")?;
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = &text[19..];
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let padded = format!("{:0<3}", &fraction[..digits]);
        ms = padded[..3].parse().ok()?;
        rest = &fraction[digits..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = match rest.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = rest.get(1..)?.split_once(':')?;
            let is_plain = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            if !is_plain(hours) || !is_plain(minutes) {
                return None;
            }
            sign * (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?)
        }
    };
    // Days since 1970 by Howard Hinnant's algorithm: years begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_rfc_3339() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-28T09:00:00.5Z", 1_795_856_400_500),
            ("2026-11-28T10:00:00.1239+01:00", 1_795_856_400_123),
            ("2024-02-29t23:59:59-00:30", 1_709_252_999_000),
            ("1969-12-31T23:59:59Z", -1000),
        ] {
            assert_eq!(rfc3339(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "+026-01-01T00:00:00Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn times_that_are_none() {
        for text in ["NaN", "inf", "-Infinity", "1e300", "now", "1795844303,5", "\u{661}"] {
            let pairs = [("time".to_owned(), text.to_owned())];
            let error = Parameters::new(&pairs, 0).time("time").unwrap_err();
            assert_eq!(
                error.message,
                format!("invalid parameter \"time\": cannot parse {text:?} to a valid timestamp")
            );
        }
        let pairs = [("time".to_owned(), "1795844303.4555726".to_owned())];
        assert_eq!(Parameters::new(&pairs, 0).time("time").unwrap(), Some(1_795_844_303_456));
    }
}
