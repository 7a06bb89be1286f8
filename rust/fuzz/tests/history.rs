//! A short run of mutated history files; `make fuzz` is the long one.
#![cfg(target_os = "linux")]

use ferrometer_fuzz::history::{block, follow, mutate, read};
use ferrometer_fuzz::random::Random;

#[test]
fn files_of_a_history_that_nobody_would_write_harm_nobody() {
    let whole = block();
    read(&whole);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for run in 0..3000 {
        let bytes = mutate(&whole, &mut Random::new(run));
        read(&bytes);
        if run % 100 == 0 {
            follow(folder.path(), &bytes);
        }
    }
}
