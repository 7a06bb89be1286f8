//! The history's reader under libFuzzer: any bytes as a block and as the frames of a tail.
#![no_main]

use ferrometer_fuzz::history::{make_whole, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    make_whole(&mut bytes);
    read(&bytes);
});
