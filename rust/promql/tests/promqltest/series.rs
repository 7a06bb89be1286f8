//! Series descriptions: `name{label="value"} 1 2+3x5 _ stale {{schema:0 …}}x3`.

use std::sync::Arc;

use ferrometer_promql::{Bin, CounterReset, Histogram, Label, Labels, STALE};

/// One value of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Omitted,
    Float(f64),
    /// The histogram, and whether its counter-reset hint is part of the description.
    Histogram(Box<Histogram>, bool),
}

/// The labels and values of a line.
pub fn series(line: &str) -> Result<(Labels, Vec<Item>), String> {
    let (labels, rest) = metric(line.trim())?;
    Ok((labels, values(rest)?))
}

pub fn number(text: &str) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    match lower.trim_start_matches(['+', '-']) {
        "inf" => return Ok(if lower.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    let (sign, digits) = match lower.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, lower.trim_start_matches('+')),
    };
    if let Some(hex) = digits.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).map(|value| sign * value as f64).map_err(|_| format!("number {text:?}"));
    }
    digits.replace('_', "").parse::<f64>().map(|value| sign * value).map_err(|_| format!("number {text:?}"))
}

fn metric(line: &str) -> Result<(Labels, &str), String> {
    let end = line.find(|letter: char| letter == '{' || letter.is_whitespace()).unwrap_or(line.len());
    let name = Some(&line[..end]).filter(|name| !name.is_empty()).map(Arc::from);
    let rest = &line[end..];
    let Some(mut rest) = rest.strip_prefix('{').filter(|rest| !rest.starts_with('{')) else {
        return Ok((Labels::new(name, []), rest));
    };
    let mut pairs = vec![];
    loop {
        rest = rest.trim_start().trim_start_matches(',').trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((Labels::new(name, pairs), after));
        }
        let (label, after) = match rest.chars().next() {
            Some('"' | '\'' | '`') => quoted(rest)?,
            _ => {
                let end = rest.find(['=', '}', ',']).ok_or("no end of a label")?;
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        let after = after.trim_start();
        let (label, value, after) = match after.strip_prefix('=') {
            Some(after) => {
                let (value, after) = quoted(after.trim_start())?;
                (label, value, after)
            }
            None => ("__name__".to_owned(), label, after),
        };
        pairs.push(Label { name: label.into(), value: value.into() });
        rest = after;
    }
}

/// A quoted string, by the parser of expressions.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let quote = text.chars().next().ok_or("a string is expected")?;
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, letter)| {
        let found = *letter == quote && !escaped;
        escaped = *letter == '\\' && !escaped && quote != '`';
        found
    });
    let end = end.ok_or("no end of a string")?.0 + 1;
    match ferrometer_promql::parse::parse(&text[..end]) {
        Ok(ferrometer_promql::ast::Expr::Text(value)) => Ok((value, &text[end..])),
        other => Err(format!("{other:?}")),
    }
}

fn values(text: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = if rest.starts_with("{{") { histogram_word(rest)? } else { word(rest) };
        if word.starts_with("{{") {
            histograms(word, &mut items)?;
        } else {
            floats(word, &mut items)?;
        }
        rest = after.trim_start();
    }
    Ok(items)
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// `{{…}}`, `{{…}}x5` or `{{…}}+{{…}}x5`.
fn histogram_word(text: &str) -> Result<(&str, &str), String> {
    let mut end = 0;
    loop {
        end += text[end..].find("}}").ok_or("no end of a histogram")? + 2;
        let signs = text[end..].starts_with("+{{") || text[end..].starts_with("-{{");
        if !signs {
            let end = end + text[end..].find(char::is_whitespace).unwrap_or(text.len() - end);
            return Ok(text.split_at(end));
        }
    }
}

fn times(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("repetitions {text:?}"))
}

fn floats(word: &str, items: &mut Vec<Item>) -> Result<(), String> {
    if word == "_" {
        items.push(Item::Omitted);
        return Ok(());
    }
    if let Some(count) = word.strip_prefix("_x") {
        items.extend(std::iter::repeat_n(Item::Omitted, times(count)?));
        return Ok(());
    }
    let value = |text: &str| if text == "stale" { Ok(STALE) } else { number(text) };
    // No hexadecimal numbers here: `0x59` is sixty times 0.
    let Some((sequence, count)) = word.rsplit_once('x') else {
        items.push(Item::Float(value(word)?));
        return Ok(());
    };
    // The step's sign is the last one that is no exponent's.
    let bytes = sequence.as_bytes();
    let step = (1..bytes.len())
        .rev()
        .find(|at| matches!(bytes[*at], b'+' | b'-') && !matches!(bytes[*at - 1], b'e' | b'E' | b'+' | b'-'));
    let (start, step) = match step {
        Some(at) => (value(&sequence[..at])?, number(&sequence[at..])?),
        None => (value(sequence)?, 0.0),
    };
    let mut next = start;
    for _ in 0..=times(count)? {
        items.push(Item::Float(next));
        if step != 0.0 {
            next += step;
        }
    }
    Ok(())
}

fn histograms(word: &str, items: &mut Vec<Item>) -> Result<(), String> {
    let end = word.find("}}").ok_or("no end of a histogram")?;
    let (first, hinted) = histogram(&word[2..end])?;
    let rest = &word[end + 2..];
    if rest.is_empty() {
        items.push(Item::Histogram(Box::new(first), hinted));
        return Ok(());
    }
    if let Some(count) = rest.strip_prefix('x') {
        items.extend(std::iter::repeat_n(Item::Histogram(Box::new(first), hinted), times(count)? + 1));
        return Ok(());
    }
    let end = rest.find("}}").ok_or("no end of a histogram")?;
    let (step, _) = histogram(&rest[3..end])?;
    let count = times(rest[end + 2..].trim_start_matches('x'))?;
    let mut next = first;
    for _ in 0..=count {
        items.push(Item::Histogram(Box::new(next.clone()), hinted));
        let combined = if rest.starts_with('+') { next.add(&step) } else { next.subtract(&step) };
        combined.map_err(|_| "incompatible histograms")?;
    }
    Ok(())
}

/// `schema:0 sum:5 count:4 buckets:[1 2 1]`
fn histogram(text: &str) -> Result<(Histogram, bool), String> {
    let mut histogram = Histogram::default();
    let mut hinted = false;
    let (mut offset, mut negative_offset) = (0, 0);
    let (mut buckets, mut negative) = (Vec::new(), Vec::new());
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').ok_or_else(|| format!("{rest:?} has no colon"))?;
        let after = after.trim_start();
        let (value, after) = if after.starts_with('[') {
            let end = after.find(']').ok_or("no end of buckets")? + 1;
            after.split_at(end)
        } else {
            word(after)
        };
        let list = || value.trim_matches(['[', ']']).split_whitespace().map(number).collect::<Result<Vec<_>, _>>();
        let integer = || value.parse::<i32>().map_err(|_| format!("{key} {value:?}"));
        match key.trim() {
            "schema" => histogram.schema = integer()? as i8,
            "sum" => histogram.sum = number(value)?,
            "count" => histogram.count = number(value)?,
            "z_bucket" => histogram.zero_count = number(value)?,
            "z_bucket_w" => histogram.zero_threshold = number(value)?,
            "custom_values" => histogram.bounds = list()?.into(),
            "buckets" => buckets = list()?,
            "n_buckets" => negative = list()?,
            "offset" => offset = integer()?,
            "n_offset" => negative_offset = integer()?,
            "counter_reset_hint" => {
                hinted = true;
                histogram.reset = match value {
                    "reset" => CounterReset::Reset,
                    "not_reset" => CounterReset::NotReset,
                    "gauge" => CounterReset::Gauge,
                    _ => CounterReset::Unknown,
                };
            }
            other => return Err(format!("unknown key {other:?}")),
        }
        rest = after.trim_start();
    }
    let bins = |counts: Vec<f64>, offset: i32| {
        counts.into_iter().zip(offset..).map(|(count, index)| Bin { index, count }).collect()
    };
    histogram.positive = bins(buckets, offset);
    histogram.negative = bins(negative, negative_offset);
    Ok((histogram, hinted))
}
