//! Mutates expressions and asks them: `queries [runs] [seed]`. What it asked when it failed, it says.

use ferrometer_fuzz::queries::{ask, mutate, seeds, store};
use ferrometer_fuzz::random::Random;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: u64| arguments.next().map_or(usual, |text| text.parse().expect("a number"));
    let (runs, seed) = (number(200_000), number(1));
    let (store, seeds) = (store(), seeds());
    for run in 0..runs {
        let mut random = Random::new(seed.wrapping_mul(1 << 40) + run);
        let mut query = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(3) {
            query = mutate(&query, &mut random);
        }
        ask(&store, &query);
        if (run + 1) % (runs / 5).max(1) == 0 {
            println!("{} of {runs} queries", run + 1);
        }
    }
}
