//! Which format a scraper prefers.

use crate::exposition::Format;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_1: &str = "text/plain; version=1.0.0; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// A format and its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The format.
    pub format: Format,
    /// How names are written that are not letters, digits, `_` and `:`.
    pub escaping: &'static str,
    /// The value of `Content-Type`.
    pub media_type: String,
}

/// What of our formats an `Accept` header prefers; text when it names none of them.
///
/// `dots` says whether names can be escaped by that scheme, which changes all names and is Python's.
///
/// Quality values count, and among equals the order of the header, as Prometheus sends it. What makes no
/// sense is passed over.
pub fn choose(accept: Option<&str>, dots: bool) -> Choice {
    let mut best = (0.0, Choice { format: Format::Text, escaping: "underscores", media_type: TEXT.into() });
    for item in accept.unwrap_or_default().split(',') {
        let mut parts = item.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_lowercase();
        let parameters: Vec<String> = parts.map(str::to_lowercase).collect();
        let parameter = |name: &str| {
            let pairs = parameters.iter().rev().filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|&(known, _)| known == name).map_or("", |(_, value)| value)
        };
        let given = parameters.iter().any(|pair| pair.starts_with("q="));
        let quality = if given { parameter("q").trim().parse().unwrap_or(f64::NAN) } else { 1.0 };
        let sensible = best.0 < quality && quality <= 1.0; // NaN is neither
        if let (true, Some(choice)) = (sensible, offer(&media, &parameter, dots)) {
            best = (quality, choice);
        }
    }
    best.1
}

fn offer<'a>(media: &str, parameter: &impl Fn(&str) -> &'a str, dots: bool) -> Option<Choice> {
    let version = parameter("version");
    let mut escaping = match parameter("escaping") {
        "allow-utf-8" => "allow-utf-8",
        "values" => "values",
        "dots" if dots => "dots",
        _ => "underscores", // where the scraper asks for another scheme, the answer says so
    };
    let (format, media_type) = match media {
        "text/plain" if version == "1.0.0" => (Format::Text, format!("{TEXT_1}; escaping={escaping}")),
        "text/plain" | "text/*" | "*/*" => {
            escaping = "underscores";
            (Format::Text, TEXT.into())
        }
        "application/openmetrics-text" if version == "1.0.0" => {
            (Format::OpenMetrics, format!("{OPEN_METRICS}; escaping={escaping}"))
        }
        "application/openmetrics-text" if matches!(version, "" | "0.0.1") => {
            escaping = "underscores";
            (Format::OpenMetrics, OPEN_METRICS.into())
        }
        "application/vnd.google.protobuf"
            if parameter("proto") == "io.prometheus.client.metricfamily" && parameter("encoding") == "delimited" =>
        {
            (Format::Protobuf, PROTOBUF.into())
        }
        _ => return None,
    };
    Some(Choice { format, escaping, media_type })
}

/// Whether an `Accept-Encoding` header allows gzip.
pub fn gzip(accept_encoding: &str) -> bool {
    let header = accept_encoding.to_lowercase();
    let mut codings = header.split(',').map(|item| item.split_once(';').unwrap_or((item, "")));
    codings.find(|(coding, _)| coding.trim() == "gzip").is_some_and(|(_, parameters)| {
        let mut pairs = parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
        let quality = pairs.rfind(|(name, _)| *name == "q").map(|(_, quality)| quality.trim().parse::<f64>());
        !matches!(quality, Some(Ok(quality)) if quality <= 0.0 || quality.is_nan())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    /// The table of `tests/exposition/test_negotiation.py`.
    #[test]
    fn the_scraper_chooses() {
        let escaped = format!("{OPEN_METRICS}; escaping=underscores");
        let utf8 = format!("{OPEN_METRICS}; escaping=allow-utf-8");
        let long = format!("application/openmetrics-text{}", ";x=y".repeat(5000));
        let rest = "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let three = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let table: &[(&str, &str)] = &[
            ("", TEXT),
            (&format!("application/openmetrics-text;version=1.0.0,{rest}"), &escaped),
            (&format!("{ASKED},application/openmetrics-text;version=1.0.0;q=0.8,{rest}"), PROTOBUF),
            (three, &utf8),
            (&format!("{ASKED};escaping=allow-utf-8;q=0.7,{three}"), PROTOBUF),
            (&format!("{ASKED};q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"), PROTOBUF),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", TEXT),
            ("*/*", TEXT),
            ("text/*", TEXT),
            ("text/plain", TEXT),
            ("text/plain;version=1.0.0", &format!("{TEXT_1}; escaping=underscores")),
            ("text/plain;version=1.0.0;escaping=values", &format!("{TEXT_1}; escaping=values")),
            ("text/plain;version=1.0.0;escaping=dots", &format!("{TEXT_1}; escaping=underscores")),
            ("application/openmetrics-text", OPEN_METRICS),
            (" APPLICATION/OpenMetrics-Text ; Version=1.0.0 ", &escaped),
            ("text/plain;q=0.4,application/openmetrics-text;q=0.5", OPEN_METRICS),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.4", TEXT),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", OPEN_METRICS),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.5", TEXT),
            ("text/plain; q=0.001, application/openmetrics-text; q=0", TEXT),
            (&format!("{ASKED};q=0,application/openmetrics-text;q=0.1"), OPEN_METRICS),
            ("application/json", TEXT),
            ("application/openmetrics-text;version=2.0.0", TEXT),
            ("application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.1", &escaped),
            ("application/vnd.google.protobuf", TEXT),
            (&ASKED.replace("delimited", "text"), TEXT),
            (
                &format!("{},application/openmetrics-text;q=0.1", ASKED.replace("delimited", "compact-text")),
                OPEN_METRICS,
            ),
            (&ASKED.replace("MetricFamily", "Other"), TEXT),
            (",,;;,=,", TEXT),
            ("application/openmetrics-text;q=", TEXT),
            ("application/openmetrics-text;q=high", TEXT),
            ("application/openmetrics-text;q=nan", TEXT),
            ("application/openmetrics-text;q=inf", TEXT),
            ("application/openmetrics-text;q=-1", TEXT),
            ("application/openmetrics-text;q=7,text/plain;q=0.1", TEXT),
            ("application/openmetrics-text;q", OPEN_METRICS),
            (&long, OPEN_METRICS),
            ("\u{0}\u{ff}", TEXT),
        ];
        for &(accept, media_type) in table {
            assert_eq!(choose(Some(accept), false).media_type, media_type, "{accept}");
        }
        assert_eq!(choose(None, false).media_type, TEXT);
    }

    #[test]
    fn gzip_when_asked() {
        for (header, zipped) in
            [("gzip", true), ("GZIP;q=0.5, br", true), ("identity", false), ("gzip;q=0", false), ("", false)]
        {
            assert_eq!(gzip(header), zipped, "{header}");
        }
    }
}
