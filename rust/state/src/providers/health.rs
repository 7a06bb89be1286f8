//! How well a provider does: the one definition of availability, error rate, health score and status.

use super::times::Times;

/// What the score is made of. All workers of a directory go by what was set last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Milliseconds that are looked back on.
    pub window_ms: u64,
    /// What the error rate is multiplied with before it is taken from 1.
    pub error_weight: f64,
    /// The p99 of the first token, in seconds, up to which the score is not lowered.
    pub target_seconds: f64,
    /// The exponent of `target / p99`; 0: times do not matter.
    pub latency_weight: f64,
    /// So many failures in a row, and none that went well since, make a model unavailable.
    pub unavailable_after: u64,
    /// From this score on a provider is healthy.
    pub healthy_from: f64,
    /// From this score on it is degraded, and below it unhealthy.
    pub degraded_from: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            window_ms: 300_000,
            error_weight: 2.0,
            target_seconds: 2.0,
            latency_weight: 1.0,
            unavailable_after: 5,
            healthy_from: 0.8,
            degraded_from: 0.5,
        }
    }
}

/// What a call's end says about its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Success,
    /// It failed, by its own fault.
    Failure,
    /// It refused what the caller had done wrong: it is there, and neither good nor bad.
    Caller,
}

/// What is known of a call that ended.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, in seconds.
    pub seconds: Option<f64>,
    /// Seconds until the first token of a streamed answer.
    pub first_token_seconds: Option<f64>,
    /// Tokens of the answer.
    pub output_tokens: Option<u64>,
}

/// The calls of a window: of a model, or of all models of a provider.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// Those that say something about the provider.
    pub judged: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those that failed by the caller's fault.
    pub caller_faults: u64,
    /// Tokens of the answers whose number is known.
    pub tokens: u64,
    /// Milliseconds that these tokens took.
    pub token_ms: u64,
    /// Times of the first token.
    pub first: Times,
    /// Times of whole calls.
    pub whole: Times,
    /// Whether a model of it is available.
    pub available: bool,
}

impl Calls {
    /// Adds those of another model.
    pub fn merge(&mut self, other: &Self) {
        self.judged += other.judged;
        self.failures += other.failures;
        self.caller_faults += other.caller_faults;
        self.tokens += other.tokens;
        self.token_ms += other.token_ms;
        self.first.merge(&other.first);
        self.whole.merge(&other.whole);
        self.available |= other.available;
    }

    /// The share of failures; nothing without calls that say something.
    pub fn error_rate(&self) -> Option<f64> {
        (self.judged > 0).then(|| self.failures as f64 / self.judged as f64)
    }

    /// Tokens of answers per second that it took to make them.
    pub fn tokens_per_second(&self) -> Option<f64> {
        (self.token_ms > 0).then(|| self.tokens as f64 * 1000.0 / self.token_ms as f64)
    }

    /// From 0 to 1; nothing without calls that say something. Where no first token was seen, times do not matter.
    pub fn score(&self, settings: &Settings) -> Option<f64> {
        let errors = (1.0 - settings.error_weight * self.error_rate()?).clamp(0.0, 1.0);
        let times = self.first.quantile(0.99).map_or(1.0, |p99| (settings.target_seconds / p99).min(1.0));
        let available = if self.available { 1.0 } else { 0.0 };
        Some(available * errors * times.powf(settings.latency_weight))
    }
}

/// `healthy`, `degraded` or `unhealthy`.
pub fn status(score: f64, settings: &Settings) -> &'static str {
    if score >= settings.healthy_from {
        "healthy"
    } else if score >= settings.degraded_from {
        "degraded"
    } else {
        "unhealthy"
    }
}

#[cfg(test)]
mod tests {
    use super::super::times::bin;
    use super::*;

    fn calls(failures: u64, p99: Option<f64>) -> Calls {
        let mut calls = Calls { judged: 100, failures, available: true, ..Calls::default() };
        if let Some(p99) = p99 {
            calls.first.add(bin(p99), 100);
        }
        calls
    }

    #[test]
    fn the_score_is_the_formula_of_the_documentation() {
        let settings = Settings::default();
        for (failures, p99, expected) in
            [(2, None, 0.96), (15, None, 0.7), (5, None, 0.9), (50, None, 0.0), (90, None, 0.0), (0, Some(4.0), 0.5)]
        {
            let score = calls(failures, p99).score(&settings).unwrap();
            assert!((score - expected).abs() < 0.03, "{failures} {p99:?}: {score}");
        }
        assert_eq!(Calls { available: false, ..calls(0, None) }.score(&settings), Some(0.0));
        assert_eq!(Calls::default().score(&settings), None);
        let without = Settings { latency_weight: 0.0, ..settings };
        assert_eq!(calls(0, Some(40.0)).score(&without), Some(1.0));
        assert_eq!(["healthy", "degraded", "unhealthy"], [0.8, 0.5, 0.49].map(|score| status(score, &settings)));
    }
}
