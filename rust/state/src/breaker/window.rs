//! What became of the latest calls: counts in ten slices of time, which all workers add to.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed},
};

/// Slices of a window. It looks back between nine and ten of them.
pub const SLICES: usize = 10;
/// Counts of a slice: calls, failures, slow calls.
pub const COUNTS: usize = 3;

const COUNT_BITS: u32 = 40;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// Counts of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls that ended.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that took long.
    pub slow: u64,
}

/// A window in `SLICES * COUNTS` words. Each has the number of its slice of time in its upper bits, so that a slice
/// that is over is told from one that is filled.
pub struct Window<'a>(pub &'a [AtomicU64]);

/// The number of a slice of time, as a word has it: never 0, which no word at rest is taken for.
fn tag(tick: u64) -> u64 {
    (tick & ((1 << 23) - 1)) | 1 << 23
}

fn add(word: &AtomicU64, tag: u64) {
    let seen = word.load(Relaxed);
    if seen >> COUNT_BITS == tag {
        word.fetch_add(1, Relaxed);
        return;
    }
    // The first in a new slice. Of two at once one makes it, and the other adds.
    if word.compare_exchange(seen, tag << COUNT_BITS | 1, AcqRel, Relaxed).is_err() {
        word.fetch_add(1, Relaxed);
    }
}

impl Window<'_> {
    /// Adds a call in the slice `tick`.
    #[inline]
    pub fn add(&self, tick: u64, failed: bool, slow: bool) {
        let words = &self.0[tick as usize % SLICES * COUNTS..][..COUNTS];
        let tag = tag(tick);
        add(&words[0], tag);
        if failed {
            add(&words[1], tag);
        }
        if slow {
            add(&words[2], tag);
        }
    }

    /// The counts of the slices up to `tick`.
    #[inline]
    pub fn totals(&self, tick: u64) -> Totals {
        let mut totals = [0; COUNTS];
        for back in 0..SLICES as u64 {
            let Some(slice) = tick.checked_sub(back) else { break };
            let tag = tag(slice);
            let words = &self.0[slice as usize % SLICES * COUNTS..][..COUNTS];
            for (total, word) in totals.iter_mut().zip(words) {
                let word = word.load(Relaxed);
                if word >> COUNT_BITS == tag {
                    *total += word & COUNT;
                }
            }
        }
        let [calls, failures, slow] = totals;
        Totals { calls, failures, slow }
    }

    /// Forgets all calls.
    pub fn clear(&self) {
        for word in self.0 {
            word.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_counts_what_a_list_of_all_calls_counts(
            calls in proptest::collection::vec((0..4_u64, any::<bool>(), any::<bool>()), 0..300)
        ) {
            let words: Vec<AtomicU64> = (0..SLICES * COUNTS).map(|_| AtomicU64::new(0)).collect();
            let window = Window(&words);
            let (mut tick, mut all) = (0, Vec::new());
            for (step, failed, slow) in calls {
                tick += step;
                window.add(tick, failed, slow);
                all.push((tick, failed, slow));
                let within: Vec<_> = all.iter().filter(|call| call.0 + SLICES as u64 > tick).collect();
                let expected = Totals {
                    calls: within.len() as u64,
                    failures: within.iter().filter(|call| call.1).count() as u64,
                    slow: within.iter().filter(|call| call.2).count() as u64,
                };
                prop_assert_eq!(window.totals(tick), expected);
            }
            prop_assert_eq!(window.totals(tick + SLICES as u64), Totals::default());
        }
    }

    #[test]
    fn workers_lose_no_call_within_a_slice() {
        let words: Vec<AtomicU64> = (0..SLICES * COUNTS).map(|_| AtomicU64::new(0)).collect();
        Window(&words).add(7, false, false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| Window(&words).add(7, true, false)));
            }
        });
        assert_eq!(Window(&words).totals(7), Totals { calls: 40_001, failures: 40_000, slow: 0 });
    }
}
