//! A short run over every kind of real file; `make fuzz` is the long one.
#![cfg(target_os = "linux")]

use ferrometer_fuzz::anatomy::Anatomy;
use ferrometer_fuzz::corpus::seeds;
use ferrometer_fuzz::mutation::{mutate, Verdict};
use ferrometer_fuzz::random::Random;
use ferrometer_fuzz::trial::Trial;

/// Runs over each file; fewer where every one takes long.
fn runs() -> u64 {
    std::env::var("FERROMETER_FUZZ").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1500)
}

/// One test: a child of a fork must not have other threads' files.
#[test]
fn broken_files_are_told_of_and_cost_themselves_alone() {
    let trial = Trial::new("smoke");
    for (number, whole) in (1..).zip(seeds()) {
        let anatomy = Anatomy::new(&whole.bytes);
        assert!(anatomy.records.len() > 16 && anatomy.blocks.len() > 14, "{} is no file to break", whole.name);
        trial.run(&whole.name, &whole.bytes, Verdict::Open, true);
        for run in 0..runs() {
            let mut random = Random::new((number << 32) | run);
            let mut bytes = whole.bytes.clone();
            let verdict = mutate(&mut bytes, &anatomy, &mut random);
            trial.run(&whole.name, &bytes, verdict, run % 8 == 0);
        }
    }
}
