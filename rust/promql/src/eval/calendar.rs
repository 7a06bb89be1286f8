//! Dates: `hour`, `day_of_week` and their relatives, all in UTC.

/// From the first second that Go's calendar knows to 1970.
const SECONDS_BEFORE_1970: i128 = 62_135_596_800 + (292_277_022_400 / 400 * 146_097 + 306) * 86_400;

/// The second of a number: one that Go's conversion makes of it on most machines, within what its calendar holds.
pub(super) fn second(value: f64) -> i128 {
    let seconds = if value.is_nan() || value >= i64::MAX as f64 { i64::MIN } else { value as i64 };
    (i128::from(seconds) + SECONDS_BEFORE_1970).rem_euclid(1 << 64) - SECONDS_BEFORE_1970
}

/// A part of a date by the function's name, from seconds since 1970.
pub(super) fn by_name(name: &str) -> Option<fn(i128) -> i128> {
    Some(match name {
        "minute" => |seconds| seconds.rem_euclid(3600) / 60,
        "hour" => |seconds| seconds.rem_euclid(86_400) / 3600,
        // 1970 began on a Thursday.
        "day_of_week" => |seconds| (seconds.div_euclid(86_400) + 4).rem_euclid(7),
        "day_of_month" => |seconds| date(seconds).2,
        "day_of_year" => |seconds| {
            let (year, _, _) = date(seconds);
            seconds.div_euclid(86_400) - days_until(year, 1) + 1
        },
        "days_in_month" => |seconds| {
            let (year, month, _) = date(seconds);
            let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            days_until(next_year, next_month) - days_until(year, month)
        },
        "month" => |seconds| date(seconds).1,
        "year" => |seconds| date(seconds).0,
        _ => return None,
    })
}

/// Days from 1970 to the first of a month, in the proleptic Gregorian calendar.
fn days_until(year: i128, month: i128) -> i128 {
    // Years start in March: the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day.
fn date(seconds: i128) -> (i128, i128, i128) {
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i128::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for days in (-800_000..800_000).step_by(17) {
            let (year, month, day) = date(days * 86_400);
            assert_eq!(days_until(year, month) + day - 1, days);
        }
        assert_eq!(date(951_782_400), (2000, 2, 29));
        assert_eq!(date(-1), (1969, 12, 31));
    }
}
