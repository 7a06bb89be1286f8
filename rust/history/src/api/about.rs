//! What clients ask before they ask anything else.

use super::parameters::Parameters;
use super::reply::{Answered, Reply};
use crate::history::History;
use ferrometer_promql::json::text;
use std::fmt::Write;

/// The version of Prometheus whose semantics the queries have: clients choose by it what they may ask.
const PROMETHEUS: &str = "3.5.0";

/// `metadata`
pub fn metadata(history: &History, parameters: &Parameters<'_>) -> Answered {
    let (limit, asked) = (parameters.limit("limit")?, parameters.get("metric"));
    let memory = history.store().lock();
    let families = memory.about.iter().filter(|(name, _)| asked.is_none_or(|asked| asked == *name));
    Ok(Reply::data(|body| {
        body.push('{');
        for (at, (name, about)) in families.take(limit.unwrap_or(usize::MAX)).enumerate() {
            if at > 0 {
                body.push(',');
            }
            text(body, name);
            body.push_str(":[{\"type\":");
            text(body, &about.kind);
            body.push_str(",\"help\":");
            text(body, &about.help);
            body.push_str(",\"unit\":");
            text(body, &about.unit);
            body.push_str("}]");
        }
        body.push('}');
    }))
}

/// `targets`: the application itself, which is looked at and not scraped.
pub fn targets(history: &History, job: &str, now_ms: i64) -> Reply {
    let last_ms = history.store().lock().last_ms();
    let is_up = now_ms.saturating_sub(last_ms) < 10_000;
    Reply::data(|body| {
        body.push_str("{\"activeTargets\":[{\"discoveredLabels\":{},\"labels\":{\"job\":");
        text(body, job);
        body.push_str("},\"scrapePool\":");
        text(body, job);
        let _ = write!(
            body,
            ",\"scrapeUrl\":\"\",\"globalUrl\":\"\",\"lastError\":\"{}\",\"lastScrape\":\"{}\",\
             \"lastScrapeDuration\":0,\"health\":\"{}\",\"scrapeInterval\":\"1s\",\"scrapeTimeout\":\"1s\"}}],\
             \"droppedTargets\":[],\"droppedTargetCounts\":{{}}}}",
            if is_up { "" } else { "no process of the application records" },
            if last_ms == i64::MIN { "0001-01-01T00:00:00Z".to_owned() } else { rfc3339(last_ms) },
            if is_up { "up" } else { "down" },
        );
    })
}

/// `status/buildinfo`
pub fn build() -> Reply {
    Reply::data(|body| {
        let _ = write!(
            body,
            "{{\"version\":\"{PROMETHEUS}\",\"revision\":\"ferrometer-{}\",\"branch\":\"HEAD\",\"buildUser\":\"\",\
             \"buildDate\":\"\",\"goVersion\":\"\",\"application\":\"ferrometer\"}}",
            env!("CARGO_PKG_VERSION")
        );
    })
}

/// A time in words, in UTC.
fn rfc3339(time_ms: i64) -> String {
    let (days, ms) = (time_ms.div_euclid(86_400_000), time_ms.rem_euclid(86_400_000));
    // The inverse of what `parameters` does: years begin in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_856_400_500), "2026-11-28T09:00:00.500Z");
        assert_eq!(rfc3339(1_709_251_199_000), "2024-02-29T23:59:59.000Z");
    }
}
