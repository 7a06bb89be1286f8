//! Names in tables are found by a hash.

/// FNV-1a, which every process of whatever build computes alike; never 0.
pub fn hash(text: &str) -> u64 {
    let hashed = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hashed.max(1)
}
