//! The commands of a test file: `load`, `clear`, `eval` and what they expect.

use ferrometer_promql::parse::duration_ms;
use ferrometer_promql::Labels;
use regex::Regex;

use crate::series::{number, series, Item};

pub enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

pub struct Load {
    pub step_ms: i64,
    /// Classic histograms are also loaded as native ones with custom bounds.
    pub with_custom: bool,
    pub series: Vec<(Labels, Vec<Item>)>,
}

#[derive(Debug, Default)]
pub struct Eval {
    pub line: usize,
    pub expr: String,
    pub is_range: bool,
    pub start_ms: i64,
    pub end_ms: i64,
    pub step_ms: i64,
    pub ordered: bool,
    pub fail: Option<Match>,
    pub warnings: Expected,
    pub infos: Expected,
    pub text: Option<String>,
    pub scalar: Option<f64>,
    pub series: Vec<(Labels, Vec<Item>)>,
    /// What the reader does not understand.
    pub unread: Option<String>,
}

#[derive(Debug, Default)]
pub struct Expected {
    pub none: bool,
    pub some: Vec<Match>,
}

#[derive(Debug)]
pub enum Match {
    Anything,
    Exactly(String),
    Pattern(Regex),
}

impl Match {
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(words) => words == text,
            Self::Pattern(regex) => regex.is_match(text),
        }
    }
}

/// All commands of a file.
pub fn commands(text: &str) -> Vec<Command> {
    let lines: Vec<&str> =
        text.lines().map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let body = lines[at + 1..].iter().take_while(|line| !line.is_empty()).count();
        let block = &lines[at + 1..at + 1 + body];
        if line == "clear" {
            commands.push(Command::Clear);
            at += 1;
        } else if let Some(rest) = line.strip_prefix("load") {
            commands.push(Command::Load(load(rest, block)));
            at += 1 + body;
        } else if line.starts_with("eval") {
            commands.push(Command::Eval(Box::new(eval(line, block, at + 1))));
            at += 1 + body;
        } else {
            assert!(line.is_empty(), "line {}: unknown command {line:?}", at + 1);
            at += 1;
        }
    }
    commands
}

fn load(rest: &str, block: &[&str]) -> Load {
    let with_custom = rest.starts_with("_with_nhcb");
    let step = rest.trim_start_matches("_with_nhcb").trim();
    let step_ms = duration_ms(step).unwrap_or_else(|| panic!("load step {step:?}"));
    let read = |line: &&str| series(line).unwrap_or_else(|words| panic!("{line:?}: {words}"));
    Load { step_ms, with_custom, series: block.iter().map(read).collect() }
}

fn time(text: &str) -> i64 {
    if text == "0" {
        return 0;
    }
    duration_ms(text).unwrap_or_else(|| panic!("time {text:?}"))
}

fn eval(line: &str, block: &[&str], number_of_line: usize) -> Eval {
    let mut eval = Eval { line: number_of_line, ..Eval::default() };
    let words: Vec<&str> = line.splitn(2, char::is_whitespace).collect();
    match words[0] {
        "eval_ordered" => eval.ordered = true,
        "eval_fail" => eval.fail = Some(Match::Anything),
        "eval_warn" => eval.warnings.some.push(Match::Anything),
        "eval_info" => eval.infos.some.push(Match::Anything),
        _ => {}
    }
    let instant = Regex::new(r"^instant\s+(?:at\s+(\S+)\s+)?(.+)$").unwrap();
    let range = Regex::new(r"^range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)$").unwrap();
    let rest = words[1].trim();
    if let Some(found) = range.captures(rest) {
        eval.is_range = true;
        (eval.start_ms, eval.end_ms, eval.step_ms) = (time(&found[1]), time(&found[2]), time(&found[3]));
        eval.expr = found[4].to_owned();
    } else {
        let found = instant.captures(rest).unwrap_or_else(|| panic!("line {number_of_line}: {rest:?}"));
        eval.start_ms = found.get(1).map_or(0, |at| time(at.as_str()));
        eval.end_ms = eval.start_ms;
        eval.expr = found[2].to_owned();
    }
    for line in block {
        if let Err(words) = expectation(&mut eval, line) {
            eval.unread = Some(format!("{line:?}: {words}"));
        }
    }
    eval
}

fn expectation(eval: &mut Eval, line: &str) -> Result<(), String> {
    if let Some(message) = line.strip_prefix("expected_fail_message") {
        eval.fail = Some(Match::Exactly(message.trim().to_owned()));
        return Ok(());
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
        eval.fail = Some(Match::Pattern(Regex::new(pattern.trim()).map_err(|error| error.to_string())?));
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix("expect range vector") {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let ["from", start, "to", end, "step", step] = words[..] else { return Err("range vector".to_owned()) };
        (eval.start_ms, eval.end_ms, eval.step_ms) = (time(start), time(end), time(step));
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix("expect string ") {
        let Ok(ferrometer_promql::ast::Expr::Text(text)) = ferrometer_promql::parse::parse(rest) else {
            return Err("string".to_owned());
        };
        eval.text = Some(text);
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix("expect ") {
        let (what, words) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let wanted = if let Some(words) = words.trim().strip_prefix("msg:") {
            Match::Exactly(words.trim().to_owned())
        } else if let Some(pattern) = words.trim().strip_prefix("regex:") {
            Match::Pattern(Regex::new(pattern.trim()).map_err(|error| error.to_string())?)
        } else {
            Match::Anything
        };
        match what {
            "ordered" => eval.ordered = true,
            "fail" => eval.fail = Some(wanted),
            "warn" => eval.warnings.some.push(wanted),
            "info" => eval.infos.some.push(wanted),
            "no_warn" => eval.warnings.none = true,
            "no_info" => eval.infos.none = true,
            other => return Err(format!("expect {other:?}")),
        }
        return Ok(());
    }
    if let Ok(value) = number(line) {
        eval.scalar = Some(value);
        return Ok(());
    }
    let (labels, items) = series(line)?;
    eval.series.push((labels, items));
    Ok(())
}
