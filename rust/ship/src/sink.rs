//! What a receiver must be able to do. Log lines and spans are delivered through the same door.

use ferrometer_ring::reader::Record;
use ferrometer_ring::{flags, Head};
use std::time::{Duration, Instant};

/// A record on its way.
#[derive(Debug, Clone)]
pub struct Item {
    /// Tells the process that made it from all others.
    pub ring: [u8; 16],
    /// The process as it sees itself.
    pub pid: u64,
    /// The record.
    pub record: Record,
    /// Whether it may have arrived before.
    pub is_repeated: bool,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Delivery {
    /// So many of its items, from the first on, are settled.
    pub taken: usize,
    /// So many of those were refused for ever.
    pub rejected: usize,
    /// Why, in a sentence, or why the rest is not settled.
    pub trouble: Option<String>,
    /// What to do about the rest; nothing when all is settled.
    pub retry: Option<Retry>,
}

/// How the rest of a batch is to be sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retry {
    /// What the receiver asked for.
    pub after: Option<Duration>,
    /// Whether the rest may have arrived all the same.
    pub may_have_arrived: bool,
}

impl Delivery {
    /// All of it arrived.
    pub fn all(items: &[Item]) -> Self {
        Delivery { taken: items.len(), ..Delivery::default() }
    }

    /// All of it is refused for ever.
    pub fn refused(items: &[Item], trouble: String) -> Self {
        Delivery { taken: items.len(), rejected: items.len(), trouble: Some(trouble), retry: None }
    }

    /// None of it is settled.
    pub fn again(trouble: String, retry: Retry) -> Self {
        Delivery { trouble: Some(trouble), retry: Some(retry), ..Delivery::default() }
    }
}

/// A receiver. Each has a thread of its own, so it may wait, though never beyond `until`.
pub trait Sink: Send {
    /// Whether it takes such a record. What it does not take is skipped.
    fn wants(&self, head: &Head) -> bool {
        head.flags & flags::SPAN == 0
    }

    /// How long to wait for more before a batch that is not full is sent.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// Bytes of a batch, about.
    fn batch_bytes(&self) -> usize {
        256 * 1024
    }

    /// Sends a batch, which is never empty.
    fn send(&mut self, items: &[Item], until: Instant) -> Delivery;
}
