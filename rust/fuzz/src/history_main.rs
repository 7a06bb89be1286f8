//! Mutates a file of a history and reads it: `histories [runs] [seed]`. What it read when it failed, it says.

use ferrometer_fuzz::history::{block, follow, mutate, read};
use ferrometer_fuzz::random::Random;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: u64| arguments.next().map_or(usual, |text| text.parse().expect("a number"));
    let (runs, seed) = (number(200_000), number(1));
    let whole = block();
    let folder = std::env::temp_dir().join(format!("ferrometer-histories-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    for run in 0..runs {
        let bytes = mutate(&whole, &mut Random::new(seed.wrapping_mul(1 << 40) + run));
        let result = std::panic::catch_unwind(|| {
            read(&bytes);
            if run % 100 == 0 {
                follow(&folder, &bytes);
            }
        });
        assert!(result.is_ok(), "run {run} of seed {seed} failed: {bytes:?}");
        if (run + 1) % (runs / 5).max(1) == 0 {
            println!("{} of {runs} history files", run + 1);
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}
