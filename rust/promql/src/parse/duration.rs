//! Durations of ranges, steps and offsets: literals, and arithmetic with `step()` and `range()`.

use super::lexer::Kind;
use super::mistake::{mistake, Parsed, MAX_DEPTH};
use super::parser::Parser;

/// Seconds, and whether they were written as a literal.
type Seconds = (f64, bool);

/// What Go's nanoseconds can hold, in seconds.
const LONGEST: f64 = 9_223_372_036.854_775;

impl Parser<'_> {
    /// The duration of a range or of a subquery's step, in milliseconds.
    pub(super) fn positive_duration(&mut self) -> Parsed<i64> {
        let at = self.at();
        let duration = self.sum(0)?;
        if duration.0 <= 0.0 {
            return mistake(at, "duration must be greater than 0");
        }
        let ms = milliseconds(duration, at)?;
        if ms == 0 {
            return mistake(at, "a duration below one millisecond selects nothing");
        }
        Ok(ms)
    }

    /// The duration after `offset`, in milliseconds: a single term, or arithmetic that starts in parentheses.
    pub(super) fn offset_duration(&mut self) -> Parsed<i64> {
        let at = self.at();
        if self.peek() == &Kind::Sign("(") {
            return self.sum(0).and_then(|duration| milliseconds(duration, at));
        }
        let minus = self.peek() == &Kind::Sign("-");
        if minus || self.peek() == &Kind::Sign("+") {
            self.advance();
        }
        let (seconds, literal) = self.term()?;
        milliseconds((if minus { -seconds } else { seconds }, literal), at)
    }

    /// Terms and operators that bind at least this tightly.
    fn sum(&mut self, binding: u8) -> Parsed<Seconds> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return mistake(self.at(), format!("the expression is nested more than {MAX_DEPTH} deep"));
        }
        let sign = matches!(self.peek(), Kind::Sign("-" | "+"));
        let mut left = if sign {
            let minus = self.advance() == Kind::Sign("-");
            // As tight as a multiplication: a power inside comes first.
            let (seconds, literal) = self.sum(6)?;
            (if minus { -seconds } else { seconds }, literal)
        } else {
            self.term()?
        };
        while let Kind::Sign(operator @ ("+" | "-" | "*" | "/" | "%" | "^")) = *self.peek() {
            let precedence = match operator {
                "+" | "-" => 4,
                "^" => 6,
                _ => 5,
            };
            if precedence < binding {
                break;
            }
            let at = self.at();
            self.advance();
            let right = self.sum(if operator == "^" { precedence } else { precedence + 1 })?.0;
            if right == 0.0 && matches!(operator, "/" | "%") {
                return mistake(at, if operator == "/" { "division by zero" } else { "modulo by zero" });
            }
            let seconds = match operator {
                "+" => left.0 + right,
                "-" => left.0 - right,
                "*" => left.0 * right,
                "/" => left.0 / right,
                "%" => left.0 % right,
                _ => left.0.powf(right),
            };
            left = (seconds, false);
        }
        self.depth -= 1;
        Ok(left)
    }

    fn term(&mut self) -> Parsed<Seconds> {
        let at = self.at();
        if let Kind::Number(seconds) = *self.peek() {
            self.advance();
            return if seconds.abs() <= LONGEST { Ok((seconds, true)) } else { mistake(at, "duration out of range") };
        }
        if self.accept("(") {
            let inner = self.sum(0)?;
            self.expect(")", " in duration")?;
            return Ok(inner);
        }
        let word = self.word().unwrap_or_default();
        match word.as_str() {
            "step" | "range" => {
                self.advance();
                self.expect("(", " in duration")?;
                self.expect(")", " in duration")?;
                let ms = if word == "step" { self.times.step_ms } else { self.times.range_ms };
                Ok((ms as f64 / 1000.0, false))
            }
            "max_of" | "min_of" => {
                self.advance();
                self.expect("(", " in duration")?;
                let left = self.sum(0)?.0;
                self.expect(",", " in duration")?;
                let right = self.sum(0)?.0;
                self.expect(")", " in duration")?;
                Ok((if word == "max_of" { left.max(right) } else { left.min(right) }, false))
            }
            _ => self.unexpected(", expected a number or a duration"),
        }
    }
}

/// A literal is rounded to nanoseconds and cut to milliseconds, the result of arithmetic is cut.
fn milliseconds((seconds, literal): Seconds, at: usize) -> Parsed<i64> {
    if !seconds.is_finite() {
        return mistake(at, "duration is NaN or infinite");
    }
    if seconds.abs() > LONGEST {
        return mistake(at, "duration is out of range");
    }
    let ms = if literal { (seconds * 1e9).round() / 1e6 } else { seconds * 1000.0 };
    Ok(ms.trunc() as i64)
}
