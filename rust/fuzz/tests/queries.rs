//! A short run of mutated queries; `make fuzz` is the long one.
#![cfg(target_os = "linux")]

use ferrometer_fuzz::queries::{ask, mutate, seeds, store};
use ferrometer_fuzz::random::Random;

#[test]
fn queries_that_nobody_would_write_are_answered_or_refused() {
    let store = store();
    for (number, seed) in (1_u64..).zip(seeds()) {
        for run in 0..20 {
            ask(&store, &mutate(&seed, &mut Random::new((number << 32) | run)));
        }
    }
}
