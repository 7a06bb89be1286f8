//! What a breaker is told at its construction.

/// The most trial calls at one time that can be asked for.
pub const MAX_TRIALS: u32 = 16;
/// The longest name of a breaker, in bytes.
pub const MAX_NAME: usize = 255;

/// When a breaker opens, for how long, and what closes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// So many failures in a row open it; 0: never.
    pub consecutive: u32,
    /// This share of failures among the window's calls opens it; above 1: never.
    pub failure_rate: f64,
    /// This share of slow calls among the window's calls opens it; above 1: never.
    pub slow_rate: f64,
    /// Seconds from which a call is slow.
    pub slow_seconds: f64,
    /// Milliseconds that the rates look back, at least 100.
    pub window_ms: u64,
    /// Rates say nothing before the window has so many calls.
    pub minimum_calls: u64,
    /// Milliseconds that it stays open for the first time.
    pub open_ms: u64,
    /// And at most, however often its trials fail.
    pub longest_open_ms: u64,
    /// How many times longer after each trial that failed; at least 1.
    pub backoff: f64,
    /// Up to this share of the open time is added at random.
    pub jitter: f64,
    /// Trial calls at one time.
    pub trials: u32,
    /// So many trials must succeed, one after the other or side by side, to close it.
    pub trials_needed: u32,
    /// Milliseconds after which a trial that never ended counts no more.
    pub trial_ms: u64,
    /// Whether it opens even when all others of its group are open.
    pub opens_last: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            consecutive: 5,
            failure_rate: 0.5,
            slow_rate: 2.0,
            slow_seconds: f64::INFINITY,
            window_ms: 60_000,
            minimum_calls: 20,
            open_ms: 30_000,
            longest_open_ms: 300_000,
            backoff: 2.0,
            jitter: 0.1,
            trials: 1,
            trials_needed: 1,
            trial_ms: 60_000,
            opens_last: false,
        }
    }
}

impl Config {
    /// Whether the duration of calls matters.
    pub fn has_slow(&self) -> bool {
        self.slow_rate <= 1.0
    }

    /// Milliseconds to stay open after `failed` trials in a row that failed; `random` is from 0 to 1. A provider that
    /// said when to come back is not asked before.
    pub fn open_time(&self, failed: u32, random: f64, retry_after_ms: Option<u64>) -> u64 {
        let grown = self.open_ms as f64 * self.backoff.powi(failed.min(64).cast_signed());
        let bounded = grown.min(self.longest_open_ms as f64);
        #[expect(clippy::cast_sign_loss, reason = "a product of numbers that are not negative")]
        let jittered = (bounded * (1.0 + self.jitter * random)) as u64;
        jittered.max(retry_after_ms.unwrap_or(0).min(MAX_RETRY_AFTER_MS))
    }

    /// Milliseconds that it is ever open.
    pub fn longest(&self) -> u64 {
        self.open_time(64, 1.0, Some(MAX_RETRY_AFTER_MS))
    }
}

/// A day: nobody's Retry-After shuts a provider out for longer.
const MAX_RETRY_AFTER_MS: u64 = 86_400_000;
