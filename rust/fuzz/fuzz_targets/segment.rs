//! The reader under libFuzzer: any bytes as a segment file, as they are and with their checksums put right.
#![no_main]

use ferrometer_fuzz::anatomy::Anatomy;
use ferrometer_fuzz::mutation::mutate;
use ferrometer_fuzz::random::Random;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| ferrometer_core::segment::fuzz::fuzz(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(u64::from(seed));
    // By what it knows of all bytes, or by what we know of these.
    if random.below(3) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut bytes = data[..size].to_vec();
    let anatomy = Anatomy::new(&bytes);
    mutate(&mut bytes, &anatomy, &mut random);
    let length = bytes.len().min(max_size);
    data[..length].copy_from_slice(&bytes[..length]);
    length
});
