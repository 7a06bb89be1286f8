//! What a list of series or labels may take: the same limits as a query's.

use super::gate::ApiLimits;
use ferrometer_promql::{Labels, QueryError};
use std::time::{Duration, Instant};

/// Label sets between two looks at the clock.
const BETWEEN_LOOKS: u64 = 64;

/// What is left of the limits of one request.
pub struct Budget {
    /// None where the limit is too long to be a time.
    deadline: Option<Instant>,
    most: ApiLimits,
    looked_at: u64,
    held: usize,
}

impl Budget {
    /// All of it, for so many seconds from now.
    pub fn new(most: &ApiLimits, seconds: f64) -> Self {
        let time =
            Duration::try_from_secs_f64(seconds).unwrap_or(if seconds > 0.0 { Duration::MAX } else { Duration::ZERO });
        Budget { deadline: Instant::now().checked_add(time), most: most.clone(), looked_at: 0, held: 0 }
    }

    /// Whether there is time left.
    pub fn check_time(&self) -> Result<(), QueryError> {
        if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(QueryError::timed_out("the list of series"));
        }
        Ok(())
    }

    /// One label set is looked at.
    pub fn look(&mut self) -> Result<(), QueryError> {
        self.looked_at += 1;
        if self.looked_at > self.most.samples {
            return Err(QueryError::too_many_samples());
        }
        if self.looked_at.is_multiple_of(BETWEEN_LOOKS) {
            self.check_time()?;
        }
        Ok(())
    }

    /// So many bytes of the answer are kept.
    pub fn keep(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.most.bytes {
            return Err(QueryError::too_many_bytes(self.most.bytes));
        }
        Ok(())
    }
}

/// The bytes of a label set in an answer, about: its texts, each with quotes and a comma or a colon, and the set itself.
pub fn bytes_of(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len() + 6).sum::<usize>() + size_of::<Labels>() + 2
}
