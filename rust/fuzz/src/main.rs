//! Mutates real segment files and reads them: `drive [runs] [seed]`. What it was doing when it failed, it says;
//! the file is kept. `drive seeds DIRECTORY` writes the files that it begins with.

use ferrometer_fuzz::anatomy::Anatomy;
use ferrometer_fuzz::corpus::seeds;
use ferrometer_fuzz::mutation::mutate;
use ferrometer_fuzz::random::Random;
use ferrometer_fuzz::trial::Trial;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "seeds").is_some() {
        let directory = PathBuf::from(arguments.next().expect("a directory"));
        for (number, seed) in seeds().into_iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{number}")), seed.bytes).expect("room for the file");
        }
        return;
    }
    let mut number = |usual: u64| arguments.next().map_or(usual, |text| text.parse().expect("a number"));
    let (runs, seed) = (number(1_000_000), number(1));
    let seeds: Vec<_> = seeds().into_iter().map(|seed| (Anatomy::new(&seed.bytes), seed)).collect();
    let trial = Trial::new("drive");
    let begun = Instant::now();
    let mut bytes = Vec::new();
    for run in 0..runs {
        // A run is known by its number alone.
        let mut random = Random::new(seed.wrapping_mul(1 << 40) + run);
        let (anatomy, whole) = random.of(&seeds);
        bytes.clone_from(&whole.bytes);
        let verdict = mutate(&mut bytes, anatomy, &mut random);
        let thorough = run % 4 == 0;
        if catch_unwind(AssertUnwindSafe(|| trial.run(&whole.name, &bytes, verdict, thorough))).is_err() {
            let kept = std::env::temp_dir().join(format!("ferrometer-{run}-{}", whole.name));
            std::fs::write(&kept, &bytes).expect("room for the file");
            eprintln!("run {run} of seed {seed} failed; its file is {}", kept.display());
            std::process::exit(1);
        }
        if (run + 1) % (runs / 20).max(1) == 0 {
            let (done, seconds) = (run + 1, begun.elapsed().as_secs_f64());
            println!("{done} of {runs} files in {seconds:.0} s, {:.0} a second", done as f64 / seconds);
        }
    }
}
