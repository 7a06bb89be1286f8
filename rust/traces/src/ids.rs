//! Trace ids and span ids: random numbers that are not zero.

use std::fs::File;
use std::io::Read;

/// All zero for none.
pub type TraceId = [u8; 16];
/// All zero for none.
pub type SpanId = [u8; 8];

/// Makes ids. Not secret: xoshiro256++ (Blackman, Vigna 2019) over 32 bytes of the operating system's randomness, so that
/// no two processes walk the same road.
#[derive(Debug, Clone, Default)]
pub struct Generator {
    state: [u64; 4],
}

impl Generator {
    /// With a seed of the operating system; with the address and the time where it gives none.
    pub fn seeded() -> Self {
        let mut seed = [0; 32];
        let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
        let mut state = [1; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        if read.is_err() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            state =
                [now.map_or(1, |now| now.as_nanos() as u64), u64::from(std::process::id()), 1, &raw const seed as u64];
        }
        Generator { state }
    }

    fn next(&mut self) -> u64 {
        let state = &mut self.state;
        let number = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        number
    }

    /// A new trace id.
    pub fn trace_id(&mut self) -> TraceId {
        let mut id = [0; 16];
        // Zero once in 2^128: then the next one.
        while id == [0; 16] {
            id[..8].copy_from_slice(&self.next().to_ne_bytes());
            id[8..].copy_from_slice(&self.next().to_ne_bytes());
        }
        id
    }

    /// A new span id.
    pub fn span_id(&mut self) -> SpanId {
        let mut id = [0; 8];
        while id == [0; 8] {
            id = self.next().to_ne_bytes();
        }
        id
    }
}

/// Writes bytes as lower-case hexadecimal digits; `out` is twice as long.
pub fn write_hex(bytes: &[u8], out: &mut [u8]) {
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
}

/// Reads lower-case hexadecimal digits, twice as many as bytes; `false` for anything else.
pub fn read_hex(digits: &[u8], out: &mut [u8]) -> bool {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if digits.len() != out.len() * 2 {
        return false;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else { return false };
        *byte = high << 4 | low;
    }
    true
}

/// As a text.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = vec![0; bytes.len() * 2];
    write_hex(bytes, &mut out);
    out.iter().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_also_between_generators() {
        let mut generators: Vec<Generator> = (0..8).map(|_| Generator::seeded()).collect();
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            for generator in &mut generators {
                assert!(seen.insert(generator.trace_id()));
                assert_ne!(generator.span_id(), [0; 8]);
            }
        }
    }

    #[test]
    fn digits_there_and_back() {
        let bytes = [0, 1, 0xab, 0xff];
        assert_eq!(hex(&bytes), "0001abff");
        let mut back = [9; 4];
        assert!(read_hex(b"0001abff", &mut back));
        assert_eq!(back, bytes);
        assert!(
            !read_hex(b"0001ABFF", &mut back) && !read_hex(b"0001abf", &mut back) && !read_hex(b"0001abfg", &mut back)
        );
    }
}
