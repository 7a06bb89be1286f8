//! How many queries run at a time: of all clients, and of one.

use ferrometer_promql::QueryError;
use hashbrown::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What one query, and what one client, may take.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiLimits {
    /// Seconds of one query.
    pub seconds: f64,
    /// Samples that one query reads and makes; of a list of series or labels, the label sets that it looks at.
    pub samples: u64,
    /// Bytes of one query's results.
    pub bytes: usize,
    /// Queries of one client at a time.
    pub per_client: usize,
    /// Queries of all clients at a time; further ones wait.
    pub at_once: usize,
}

impl Default for ApiLimits {
    fn default() -> Self {
        ApiLimits { seconds: 10.0, samples: 20_000_000, bytes: 128 << 20, per_client: 4, at_once: 4 }
    }
}

/// The gate.
pub struct Gate {
    at_once: usize,
    per_client: usize,
    /// Running queries by client.
    running: Mutex<HashMap<String, usize>>,
    left: Condvar,
}

/// A query that runs.
pub struct Pass<'a> {
    gate: &'a Gate,
    client: String,
}

impl Gate {
    /// A gate for so many.
    pub fn new(at_once: usize, per_client: usize) -> Self {
        Gate {
            at_once: at_once.max(1),
            per_client: per_client.max(1),
            running: Mutex::new(HashMap::new()),
            left: Condvar::new(),
        }
    }

    /// Lets a query in, as soon as there is room, or refuses it after so many seconds.
    pub fn enter(&self, client: &str, seconds: f64) -> Result<Pass<'_>, QueryError> {
        let deadline = Instant::now() + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let of_client = running.get(client).copied().unwrap_or(0);
            if of_client < self.per_client && running.values().sum::<usize>() < self.at_once {
                *running.entry(client.to_owned()).or_insert(0) += 1;
                return Ok(Pass { gate: self, client: client.to_owned() });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (all, one) = (self.at_once, self.per_client);
                return Err(QueryError::timed_out(&format!("query queue: {all} run at a time, {one} of one client")));
            }
            running = self.left.wait_timeout(running, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut running = self.gate.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.client);
            }
        }
        self.gate.left.notify_all();
    }
}
