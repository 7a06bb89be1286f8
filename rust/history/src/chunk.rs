//! The samples of one track in one block: a stream of records, each the difference to the one before.
//!
//! A record says how many ticks it comes after the one before, so what does not change costs nothing. Then: `0` a
//! difference, `10` a sample that does not depend on those before, `11` the end of the series.

use crate::bins::{self, Bins};
use crate::bits::{BitReader, Bits};
use crate::classic::{self, Classic};
use crate::scalar::{self, Scalar};
use crate::track::Shape;

/// A sample of any shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter, a gauge.
    Scalar(Scalar),
    /// Of a histogram's classic buckets.
    Classic(Classic),
    /// Of a histogram's bins.
    Bins(Bins),
}

impl Value {
    /// Whether a counter of it became less.
    pub fn is_reset(&self, before: &Value, is_counter: bool) -> bool {
        match (self, before) {
            (Value::Scalar(now), Value::Scalar(before)) => is_counter && now.value < before.value,
            (Value::Classic(now), Value::Classic(before)) => now.is_reset(before),
            (Value::Bins(now), Value::Bins(before)) => bins::is_reset(now, before),
            _ => true,
        }
    }
}

/// The coder of a track's shape.
#[derive(Clone, Debug)]
pub enum Coder {
    /// Of a counter, a gauge.
    Scalar(scalar::Coder),
    /// Of a histogram's classic buckets.
    Classic(classic::Coder),
    /// Of a histogram's bins.
    Bins(Box<bins::Coder>),
}

impl Coder {
    fn new(shape: &Shape) -> Self {
        match shape {
            Shape::Counter | Shape::Gauge => Coder::Scalar(scalar::Coder::default()),
            Shape::Classic(bounds) => Coder::Classic(classic::Coder::new(bounds.len())),
            Shape::Bins => Coder::Bins(Box::default()),
        }
    }

    /// The sum of a histogram's buckets, which may fall though no count does; 0 of anything else.
    #[inline]
    pub fn sum(&self) -> f64 {
        match self {
            Coder::Classic(coder) => coder.now.sum,
            Coder::Scalar(_) | Coder::Bins(_) => 0.0,
        }
    }
}

/// Writes one chunk.
#[derive(Clone, Debug)]
pub struct Encoder {
    coder: Coder,
    is_counter: bool,
    /// The tick of the record before.
    tick: u32,
    alive: bool,
}

impl Encoder {
    /// An encoder of nothing yet.
    pub fn new(shape: &Shape) -> Self {
        Encoder { coder: Coder::new(shape), is_counter: matches!(shape, Shape::Counter), tick: 0, alive: false }
    }

    /// Begins the next chunk.
    pub fn restart(&mut self) {
        self.tick = 0;
        self.alive = false;
    }

    /// Whether the series has a sample in this chunk and has not ended.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// Whether it is this value that was written last.
    pub fn holds(&self, value: &Value) -> bool {
        self.alive
            && match (&self.coder, value) {
                (Coder::Scalar(coder), Value::Scalar(new)) => {
                    coder.now.value.to_bits() == new.value.to_bits() && !new.has_range()
                }
                (Coder::Classic(coder), Value::Classic(new)) => coder.now == *new,
                (Coder::Bins(coder), Value::Bins(new)) => coder.now == *new,
                _ => false,
            }
    }

    /// The record of a sample at a tick, the first one or later than the last.
    ///
    /// # Panics
    /// When the value is not of the chunk's shape.
    pub fn sample(&mut self, tick: u32, value: &Value, bits: &mut Bits) {
        self.begin(tick, bits);
        let absolute = !self.alive || self.is_reset(value);
        bits.push(if absolute { 0b10 } else { 0 }, if absolute { 2 } else { 1 });
        self.alive = true;
        match (&mut self.coder, value, absolute) {
            (Coder::Scalar(coder), Value::Scalar(new), true) => coder.push_absolute(*new, bits),
            (Coder::Scalar(coder), Value::Scalar(new), false) => coder.push(*new, bits),
            (Coder::Classic(coder), Value::Classic(new), true) => coder.push_absolute(new, bits),
            (Coder::Classic(coder), Value::Classic(new), false) => coder.push(new, bits),
            (Coder::Bins(coder), Value::Bins(new), true) => coder.push_absolute(new, bits),
            (Coder::Bins(coder), Value::Bins(new), false) => coder.push(new, bits),
            _ => unreachable!("a track keeps its shape"),
        }
    }

    /// The record of the end.
    pub fn end(&mut self, tick: u32, bits: &mut Bits) {
        self.begin(tick, bits);
        bits.push(0b11, 2);
        self.alive = false;
    }

    /// What of the coder can only grow, and did not.
    fn is_reset(&self, value: &Value) -> bool {
        match (&self.coder, value) {
            (Coder::Scalar(coder), Value::Scalar(new)) => self.is_counter && new.value < coder.now.value,
            (Coder::Classic(coder), Value::Classic(new)) => new.is_reset(&coder.now),
            (Coder::Bins(coder), Value::Bins(new)) => bins::is_reset(new, &coder.now),
            _ => true,
        }
    }

    fn begin(&mut self, tick: u32, bits: &mut Bits) {
        // From the tick before the first one, so that the first record's distance is 1 at least.
        bits.push_gamma(u64::from(tick + 1 - self.tick));
        self.tick = tick + 1;
    }
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The coder has a new sample.
    Sample,
    /// The series ended.
    End,
}

/// Reads one chunk.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bits: BitReader<'a>,
    coder: Coder,
    tick: u32,
    ticks: u32,
}

impl<'a> Decoder<'a> {
    /// A decoder of so many bits about so many ticks.
    pub fn new(shape: &Shape, bytes: &'a [u8], length: usize, ticks: usize) -> Self {
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        Decoder { bits: BitReader::new(bytes, length), coder: Coder::new(shape), tick: 0, ticks }
    }

    /// The next record and its tick; nothing at the end, or where the chunk is damaged.
    #[inline]
    pub fn advance(&mut self) -> Option<(u32, Event)> {
        if self.bits.is_done() {
            return None;
        }
        let gap = self.bits.read_gamma();
        let tick = u64::from(self.tick).saturating_add(gap) - 1;
        if tick >= u64::from(self.ticks) {
            return None;
        }
        self.tick = tick as u32 + 1;
        let event = if self.bits.bit() {
            if self.bits.bit() {
                Event::End
            } else {
                match &mut self.coder {
                    Coder::Scalar(coder) => coder.read_absolute(&mut self.bits),
                    Coder::Classic(coder) => coder.read_absolute(&mut self.bits),
                    Coder::Bins(coder) => coder.read_absolute(&mut self.bits),
                }
                Event::Sample
            }
        } else {
            match &mut self.coder {
                Coder::Scalar(coder) => coder.read(&mut self.bits),
                Coder::Classic(coder) => coder.read(&mut self.bits),
                Coder::Bins(coder) => coder.read(&mut self.bits),
            }
            Event::Sample
        };
        (!self.bits.is_overrun()).then_some((tick as u32, event))
    }

    /// How many bits were read.
    pub fn position(&self) -> usize {
        self.bits.position()
    }

    /// The tick of the record that is next, and whether it depends on the one before; nothing at the end.
    #[inline]
    pub fn peek(&self) -> Option<(u32, bool)> {
        let mut bits = self.bits.clone();
        if bits.is_done() {
            return None;
        }
        let tick = u64::from(self.tick).saturating_add(bits.read_gamma()) - 1;
        (tick < u64::from(self.ticks)).then(|| (tick as u32, !bits.bit()))
    }

    /// The sample of the latest record.
    pub fn coder(&self) -> &Coder {
        &self.coder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::kept;
    use proptest::prelude::*;

    /// The naive twin: the values as they were written, by tick.
    fn round_trip(shape: &Shape, script: &[(u32, Option<Value>)]) {
        let (mut bits, mut encoder, mut tick) = (Bits::default(), Encoder::new(shape), 0);
        let mut twin = Vec::new();
        for (gap, value) in script {
            tick += gap;
            match value {
                Some(value) => encoder.sample(tick, value, &mut bits),
                None => encoder.end(tick, &mut bits),
            }
            twin.push((tick, value.clone()));
            tick += 1;
        }
        let mut decoder = Decoder::new(shape, bits.bytes(), bits.len(), tick as usize);
        for (tick, value) in twin {
            let (found, event) = decoder.advance().expect("as many records as were written");
            assert_eq!(found, tick);
            let Some(value) = value else {
                assert_eq!(event, Event::End);
                continue;
            };
            match (decoder.coder(), value) {
                (Coder::Scalar(coder), Value::Scalar(value)) => {
                    assert_eq!(coder.now.value.to_bits(), value.value.to_bits());
                    assert_eq!((coder.now.min, coder.now.max), (value.min, value.max));
                }
                (Coder::Classic(coder), Value::Classic(value)) => assert_eq!(coder.now, value),
                (Coder::Bins(coder), Value::Bins(value)) => assert_eq!(coder.now, value),
                _ => panic!("another shape"),
            }
        }
        assert!(decoder.advance().is_none());
        // Half of it, and noise, end and do not panic.
        let mut decoder = Decoder::new(shape, bits.bytes(), bits.len() / 2, tick as usize);
        while decoder.advance().is_some() {}
        let noise: Vec<u8> = bits.bytes().iter().map(|byte| byte.wrapping_mul(167).wrapping_add(13)).collect();
        let mut decoder = Decoder::new(shape, &noise, noise.len() * 8, 1000);
        while decoder.advance().is_some() {}
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-1_000_000i64..1_000_000).prop_map(|number| number as f64),
            any::<f64>().prop_filter("min and max need an order", |number| !number.is_nan()),
            Just(0.0),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(9_007_199_254_740_993.0),
        ]
    }

    proptest! {
        #[test]
        fn scalars_come_back(
            script in prop::collection::vec((0u32..9, prop::option::weighted(0.9, (number(), number(), number()))), 0..60),
            counter in any::<bool>(),
        ) {
            let script: Vec<_> = script
                .into_iter()
                .map(|(gap, value)| {
                    (gap, value.map(|(a, b, c)| Value::Scalar(Scalar { value: a, min: a.min(b), max: a.max(c) })))
                })
                .collect();
            round_trip(if counter { &Shape::Counter } else { &Shape::Gauge }, &script);
        }

        #[test]
        fn buckets_come_back(
            script in prop::collection::vec(
                (0u32..9, prop::option::weighted(0.95, (prop::collection::vec((0u32..60).prop_map(|s| (1u64 << s) >> 12), 7), number()))), 0..60),
            grows in any::<bool>(),
        ) {
            let mut total = vec![0u64; 7];
            let script: Vec<_> = script
                .into_iter()
                .map(|(gap, value)| (gap, value.map(|(counts, sum)| {
                    if grows {
                        for (total, more) in total.iter_mut().zip(&counts) {
                            *total += more >> 8;
                        }
                    } else {
                        total.clone_from(&counts);
                    }
                    Value::Classic(Classic { counts: total.clone(), sum: kept(sum) })
                })))
                .collect();
            round_trip(&Shape::Classic([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, f64::INFINITY].into()), &script);
        }

        #[test]
        fn bins_come_back(
            script in prop::collection::vec(
                (0u32..9, prop::option::weighted(0.95, prop::collection::btree_map(0u32..600_000, 1u64..1000, 0..40))), 0..40),
            grows in any::<bool>(),
        ) {
            let mut total = std::collections::BTreeMap::new();
            let script: Vec<_> = script
                .into_iter()
                .map(|(gap, value)| (gap, value.map(|bins| {
                    if !grows {
                        total.clear();
                    }
                    for (place, more) in bins {
                        *total.entry(place).or_insert(0) += more;
                    }
                    Value::Bins(total.iter().map(|(&place, &count)| (place, count)).collect())
                })))
                .collect();
            round_trip(&Shape::Bins, &script);
        }

        /// What is kept of a sum never falls when the sum does not, and is kept as it is the second time.
        #[test]
        fn kept_sums_keep_their_order(a in number(), b in number()) {
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(kept(low) <= kept(high));
            prop_assert_eq!(kept(kept(a)).to_bits(), kept(a).to_bits());
        }
    }
}
