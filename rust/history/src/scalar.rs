//! The values of one counter or gauge, as differences.

use crate::bits::{unzigzag, zigzag, BitReader, Bits, Golomb};

/// A value, and in coarse levels the least and the greatest one since the sample before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scalar {
    /// The value at the tick.
    pub value: f64,
    /// The least since the last tick of the level.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Scalar {
    /// A value that was the only one since the sample before.
    pub fn new(value: f64) -> Self {
        Scalar { value, min: value, max: value }
    }

    /// Whether there were values beyond the last one.
    pub fn has_range(&self) -> bool {
        self.min < self.value || self.max > self.value
    }
}

/// What writer and reader of one chunk both know.
#[derive(Clone, Debug)]
pub struct Coder {
    /// The sample.
    pub now: Scalar,
    steps: Golomb,
}

impl Default for Coder {
    fn default() -> Self {
        Coder { now: Scalar::new(0.0), steps: Golomb::default() }
    }
}

/// The whole number that a double is, if it is one of those that differences are exact for.
#[inline]
fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = (1u64 << 53) as f64;
    if value.abs() > LIMIT {
        return None;
    }
    let number = value as i64;
    ((number as f64).to_bits() == value.to_bits()).then_some(number)
}

fn push_xor(before: f64, value: f64, bits: &mut Bits) {
    let changed = before.to_bits() ^ value.to_bits();
    let trailing = changed.trailing_zeros().min(63);
    bits.push(u64::from(trailing), 6);
    bits.push_sized(changed >> trailing);
}

fn read_xor(before: f64, bits: &mut BitReader<'_>) -> f64 {
    let trailing = bits.read(6) as u32;
    f64::from_bits(before.to_bits() ^ (bits.read_sized() << trailing))
}

/// A value near another one, without a memory of earlier steps.
fn push_near(near: f64, value: f64, bits: &mut Bits) {
    if let (Some(near), Some(value)) = (whole(near), whole(value)) {
        bits.push(0, 1);
        bits.push_sized(zigzag(value - near));
    } else {
        bits.push(1, 1);
        push_xor(near, value, bits);
    }
}

fn read_near(near: f64, bits: &mut BitReader<'_>) -> f64 {
    if bits.bit() {
        return read_xor(near, bits);
    }
    let step = unzigzag(bits.read_sized());
    (near as i64).wrapping_add(step) as f64
}

impl Coder {
    /// Appends a value that does not depend on those before.
    pub fn push_absolute(&mut self, new: Scalar, bits: &mut Bits) {
        push_near(0.0, new.value, bits);
        self.push_range(new, bits);
        *self = Coder { now: new, ..Coder::default() };
    }

    /// Appends the difference to the value before.
    pub fn push(&mut self, new: Scalar, bits: &mut Bits) {
        if let (Some(before), Some(now)) = (whole(self.now.value), whole(new.value)) {
            bits.push(0, 1);
            self.steps.push(zigzag(now - before), bits);
        } else {
            bits.push(1, 1);
            push_xor(self.now.value, new.value, bits);
        }
        self.push_range(new, bits);
        self.now = new;
    }

    #[expect(clippy::unused_self, reason = "one of the coder's three parts")]
    fn push_range(&self, new: Scalar, bits: &mut Bits) {
        bits.push(u64::from(new.has_range()), 1);
        if new.has_range() {
            push_near(new.value, new.min, bits);
            push_near(new.value, new.max, bits);
        }
    }

    /// Reads what [`push_absolute`](Self::push_absolute) wrote.
    pub fn read_absolute(&mut self, bits: &mut BitReader<'_>) {
        let value = read_near(0.0, bits);
        *self = Coder { now: Coder::read_range(value, bits), ..Coder::default() };
    }

    /// Reads what [`push`](Self::push) wrote.
    pub fn read(&mut self, bits: &mut BitReader<'_>) {
        let before = self.now.value;
        let value = if bits.bit() {
            read_xor(before, bits)
        } else {
            (before as i64).wrapping_add(unzigzag(self.steps.read(bits))) as f64
        };
        self.now = Coder::read_range(value, bits);
    }

    fn read_range(value: f64, bits: &mut BitReader<'_>) -> Scalar {
        if !bits.bit() {
            return Scalar::new(value);
        }
        let min = read_near(value, bits);
        Scalar { value, min, max: read_near(value, bits) }
    }
}
