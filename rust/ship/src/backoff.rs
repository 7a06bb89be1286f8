//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// A receiver that asks for more is asked again all the same.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Attempts in a row that failed.
#[derive(Debug, Default)]
pub struct Backoff(u32);

impl Backoff {
    /// It worked.
    pub fn reset(&mut self) {
        self.0 = 0;
    }

    /// It did not: how long to wait. Twice as long each time, and not in step with others; at least what the
    /// receiver asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let longest = LONGEST.min(FIRST * 2u32.saturating_pow(self.0.min(16)));
        self.0 += 1;
        let own = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        asked.map_or(own, |asked| asked.min(LONGEST_ASKED).max(own.min(FIRST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_limit_and_heeds_what_was_asked() {
        let mut backoff = Backoff::default();
        for attempt in 0..40u32 {
            let full = LONGEST.min(FIRST * 2u32.saturating_pow(attempt.min(16)));
            let wait = backoff.next(None);
            assert!(wait >= full / 2 && wait <= full, "{attempt}: {wait:?}");
        }
        assert_eq!(backoff.next(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.next(Some(Duration::from_secs(9999))), LONGEST_ASKED);
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
    }
}
