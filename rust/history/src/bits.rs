//! Bit streams, most significant bit first, and the codes of whole numbers in them.

/// A stream that is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    /// How many bits there are; the last byte is filled up with zeros.
    length: usize,
}

impl Bits {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bits.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.length = 0;
    }

    /// Appends the low `count` bits of a word, at most 64.
    #[inline]
    pub fn push(&mut self, word: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            let used = (self.length % 8) as u32;
            if used == 0 {
                self.bytes.push(0);
            }
            let room = 8 - used;
            let take = room.min(left);
            let part = (word >> (left - take)) & ((1 << take) - 1);
            let last = self.bytes.len() - 1;
            self.bytes[last] |= (part << (room - take)) as u8;
            left -= take;
            self.length += take as usize;
        }
    }

    /// Elias gamma: a number from 1 on in `2 * log2(n) + 1` bits.
    #[inline]
    pub fn push_gamma(&mut self, number: u64) {
        debug_assert!(number > 0, "gamma codes begin at 1");
        let width = number.ilog2();
        self.push(0, width);
        self.push(number, width + 1);
    }

    /// A number and its length: 7 bits and as many as it has.
    #[inline]
    pub fn push_sized(&mut self, number: u64) {
        let width = u64::BITS - number.leading_zeros();
        self.push(u64::from(width), 7);
        self.push(number, width);
    }

    /// Appends another stream's bits.
    pub fn append(&mut self, bytes: &[u8], length: usize) {
        let whole = length / 8;
        if self.length.is_multiple_of(8) {
            self.bytes.extend_from_slice(&bytes[..whole]);
            self.length += whole * 8;
        } else {
            for &byte in &bytes[..whole] {
                self.push(u64::from(byte), 8);
            }
        }
        let rest = (length % 8) as u32;
        if rest > 0 {
            self.push(u64::from(bytes[whole] >> (8 - rest)), rest);
        }
    }
}

/// A stream that is being read. Beyond its end it reads zeros and says so afterwards.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    overrun: bool,
}

impl<'a> BitReader<'a> {
    /// Reads `length` bits, or as many as the bytes have.
    pub fn new(bytes: &'a [u8], length: usize) -> Self {
        BitReader { bytes, at: 0, end: length.min(bytes.len() * 8), overrun: false }
    }

    /// How many bits were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether everything was read.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// Whether something was read that is not there, or is no code.
    #[inline]
    pub fn is_overrun(&self) -> bool {
        self.overrun
    }

    /// The next 57 bits or more, the first of them on top.
    #[inline]
    fn peek(&self) -> u64 {
        let byte = self.at / 8;
        let word = if let Some(eight) = self.bytes.get(byte..byte + 8) {
            u64::from_be_bytes(eight.try_into().expect("eight bytes"))
        } else {
            let rest = self.bytes.get(byte..).unwrap_or_default();
            let mut eight = [0; 8];
            eight[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(eight)
        };
        word << (self.at % 8)
    }

    #[inline]
    fn skip(&mut self, count: usize) {
        self.at += count;
        self.overrun |= self.at > self.end;
    }

    /// So many bits, at most 64.
    #[inline]
    pub fn read(&mut self, count: u32) -> u64 {
        if count == 0 {
            return 0;
        }
        if count > 56 {
            let high = self.read(count - 32);
            return high << 32 | self.read(32);
        }
        let word = self.peek() >> (64 - count);
        self.skip(count as usize);
        word
    }

    /// One bit.
    #[inline]
    pub fn bit(&mut self) -> bool {
        self.read(1) == 1
    }

    /// The inverse of [`Bits::push_gamma`].
    #[inline]
    pub fn read_gamma(&mut self) -> u64 {
        let word = self.peek();
        let zeros = word.leading_zeros();
        if zeros < 28 {
            self.skip(2 * zeros as usize + 1);
            return word >> (63 - 2 * zeros);
        }
        let mut width = 0;
        while width < 64 && !self.bit() {
            width += 1;
            if self.overrun {
                return 1;
            }
        }
        if width > 63 {
            self.overrun = true;
            return 1;
        }
        1 << width | self.read(width)
    }

    /// The inverse of [`Bits::push_sized`].
    #[inline]
    pub fn read_sized(&mut self) -> u64 {
        let width = self.read(7) as u32;
        if width > 64 {
            self.overrun = true;
            return 0;
        }
        self.read(width)
    }
}

/// A Golomb-Rice code that learns how large its numbers are, with a gamma code where Rice has a unary one: a number
/// that is far too large costs bits, not kilobytes.
#[derive(Clone, Copy, Debug)]
pub struct Golomb {
    /// Sixteen times a running mean.
    mean: u64,
}

/// Larger numbers say no more about the next one.
const MOST: u64 = 1 << 40;

impl Default for Golomb {
    fn default() -> Self {
        Golomb { mean: 16 }
    }
}

impl Golomb {
    /// A code that expects numbers of about this size.
    pub fn expecting(mean: u64) -> Self {
        Golomb { mean: mean * 16 }
    }

    #[inline]
    fn width(self) -> u32 {
        // Two thirds of the mean: the best parameter for a geometric distribution.
        ((self.mean * 11) >> 8).checked_ilog2().unwrap_or(0)
    }

    #[inline]
    fn learn(&mut self, number: u64) {
        self.mean = self.mean - self.mean / 8 + number.min(MOST) * 2;
    }

    /// Appends a number.
    #[inline]
    pub fn push(&mut self, number: u64, bits: &mut Bits) {
        let width = self.width();
        // The quotient of 2^64 - 1 and the one more of a gamma code are still a word, unless the width is 0.
        if number == u64::MAX {
            bits.push_gamma(u64::MAX);
        } else {
            bits.push_gamma((number >> width) + 1);
            bits.push(number & ((1 << width) - 1), width);
        }
        self.learn(number);
    }

    /// Reads one.
    #[inline]
    pub fn read(&mut self, bits: &mut BitReader<'_>) -> u64 {
        let width = self.width();
        let word = bits.peek();
        let zeros = word.leading_zeros();
        let gamma = 2 * zeros + 1;
        if gamma + width <= 56 {
            // All of it lies in one word.
            let quotient = word >> (64 - gamma);
            let rest = (word << gamma) >> 1 >> (63 - width);
            bits.skip((gamma + width) as usize);
            let number = (quotient - 1) << width | rest;
            self.learn(number);
            return number;
        }
        let quotient = bits.read_gamma();
        let number =
            if quotient == u64::MAX { u64::MAX } else { (quotient - 1).wrapping_shl(width) | bits.read(width) };
        self.learn(number);
        number
    }
}

/// Signed numbers as unsigned ones, small for small.
#[inline]
pub fn zigzag(number: i64) -> u64 {
    (number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
#[inline]
pub fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The naive twin is a vector of what was written.
        #[test]
        fn what_was_written_is_read(codes in prop::collection::vec((0u8..4, any::<u64>(), 0u32..64), 0..200)) {
            let mut bits = Bits::default();
            let mut golomb = Golomb::default();
            let codes: Vec<_> = codes.into_iter().map(|(kind, number, shift)| (kind, number >> shift, shift)).collect();
            for &(kind, number, width) in &codes {
                match kind {
                    0 => bits.push(number & ((1 << width) - 1), width),
                    1 => bits.push_gamma(number.max(1)),
                    2 => bits.push_sized(number),
                    _ => golomb.push(number, &mut bits),
                }
            }
            let mut shifted = Bits::default();
            shifted.push(5, 3);
            shifted.append(bits.bytes(), bits.len());
            let mut reader = BitReader::new(shifted.bytes(), shifted.len());
            prop_assert_eq!(reader.read(3), 5);
            let mut golomb = Golomb::default();
            for &(kind, number, width) in &codes {
                match kind {
                    0 => prop_assert_eq!(reader.read(width), number & ((1 << width) - 1)),
                    1 => prop_assert_eq!(reader.read_gamma(), number.max(1)),
                    2 => prop_assert_eq!(reader.read_sized(), number),
                    _ => prop_assert_eq!(golomb.read(&mut reader), number),
                }
            }
            prop_assert!(reader.is_done() && !reader.is_overrun());
            reader.read(1);
            prop_assert!(reader.is_overrun());
        }

        #[test]
        fn signs_come_back(number in any::<i64>()) {
            prop_assert_eq!(unzigzag(zigzag(number)), number);
        }

        #[test]
        fn garbage_ends(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = BitReader::new(&bytes, usize::MAX);
            let mut golomb = Golomb::default();
            for _ in 0..2000 {
                golomb.read(&mut reader);
                reader.read_gamma();
                reader.read_sized();
            }
            prop_assert!(reader.is_overrun());
        }
    }
}
