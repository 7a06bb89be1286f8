//! Equality of two answers of the query API.

use serde_json::Value;

/// Why two answers are not equal; order matters where the query asks for one.
pub fn equal(query: &str, ours: &str, theirs: &str) -> Result<(), String> {
    let ours: Value = serde_json::from_str(ours).map_err(|error| format!("ours is no JSON: {error}"))?;
    let theirs: Value = serde_json::from_str(theirs).map_err(|error| format!("theirs is no JSON: {error}"))?;
    if ours["status"] != theirs["status"] || ours["errorType"] != theirs["errorType"] {
        return Err(format!(
            "{} {} for {} {}",
            ours["status"], ours["errorType"], theirs["status"], theirs["errorType"]
        ));
    }
    for kind in ["warnings", "infos"] {
        let (ours, theirs) = (notes(&ours[kind]), notes(&theirs[kind]));
        if ours != theirs && !theirs.iter().any(|note| note.contains("omitted")) {
            return Err(format!("{kind}: {ours:?} for {theirs:?}"));
        }
    }
    let (ours, theirs) = (&ours["data"], &theirs["data"]);
    if ours["resultType"] != theirs["resultType"] {
        return Err(format!("type {} for {}", ours["resultType"], theirs["resultType"]));
    }
    match (ours["result"].as_array(), theirs["result"].as_array(), ours["resultType"].as_str()) {
        (Some(ours), Some(theirs), Some("vector" | "matrix")) => series(query, ours, theirs),
        (Some(ours), Some(theirs), _) => value(&ours[1], &theirs[1]),
        _ => Ok(()),
    }
}

/// Without the place in the query and the details that follow.
fn notes(value: &Value) -> Vec<String> {
    let cut = |note: &str| {
        let note = note.split(", from buckets ").next().unwrap_or(note);
        match note.rfind(" (") {
            Some(at) if note.ends_with(')') && note[at..].contains(':') && !note[at..].contains("http") => {
                note[..at].to_owned()
            }
            _ => note.to_owned(),
        }
    };
    let mut notes: Vec<String> = value.as_array().into_iter().flatten().filter_map(Value::as_str).map(cut).collect();
    notes.sort();
    notes.dedup();
    notes
}

fn points(series: &Value) -> Vec<Value> {
    match &series["values"] {
        Value::Array(points) => points.clone(),
        _ => vec![series["value"].clone()],
    }
}

fn series(query: &str, ours: &[Value], theirs: &[Value]) -> Result<(), String> {
    if query.starts_with("topk") || query.starts_with("bottomk") {
        // Which of equal values is kept is nobody's promise.
        let all = |series: &[Value]| {
            let number = |point: &Value| point[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
            let mut all: Vec<Value> = series.iter().flat_map(points).collect();
            all.sort_by(|left, right| {
                let times = left[0].as_f64().unwrap_or(0.0).total_cmp(&right[0].as_f64().unwrap_or(0.0));
                times.then(number(left).total_cmp(&number(right)))
            });
            all
        };
        let (ours, theirs) = (all(ours), all(theirs));
        if ours.len() != theirs.len() {
            return Err(format!("{} points for {}", ours.len(), theirs.len()));
        }
        return ours.iter().zip(&theirs).try_for_each(|(ours, theirs)| value(&ours[1], &theirs[1]));
    }
    if ours.len() != theirs.len() {
        return Err(format!("{} series for {}", ours.len(), theirs.len()));
    }
    if query.starts_with("sort") {
        for (ours, theirs) in ours.iter().zip(theirs) {
            value(&ours["value"][1], &theirs["value"][1]).map_err(|words| format!("order: {words}"))?;
        }
    }
    let key = |value: &Value| value["metric"].to_string();
    let (mut ours, mut theirs): (Vec<&Value>, Vec<&Value>) = (ours.iter().collect(), theirs.iter().collect());
    ours.sort_by_key(|value| key(value));
    theirs.sort_by_key(|value| key(value));
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        if ours["metric"] != theirs["metric"] {
            return Err(format!("{} for {}", ours["metric"], theirs["metric"]));
        }
        let (mine, other) = (points(ours), points(theirs));
        if mine.len() != other.len() {
            return Err(format!("{}: {} points for {}", ours["metric"], mine.len(), other.len()));
        }
        for (mine, other) in mine.iter().zip(&other) {
            if mine[0] != other[0] {
                return Err(format!("{}: time {} for {}", ours["metric"], mine[0], other[0]));
            }
            value(&mine[1], &other[1]).map_err(|words| format!("{} at {}: {words}", ours["metric"], mine[0]))?;
        }
    }
    Ok(())
}

fn value(ours: &Value, theirs: &Value) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let number = |value: &Value| value.as_str().and_then(|text| text.trim_start_matches('+').parse::<f64>().ok());
    match (number(ours), number(theirs)) {
        (Some(mine), Some(other)) if mine.is_nan() && other.is_nan() => Ok(()),
        (Some(mine), Some(other)) if (mine - other).abs() <= (1e-9 * mine.abs().max(other.abs())).max(1e-15) => Ok(()),
        _ => Err(format!("{ours} for {theirs}")),
    }
}
