//! When samples were taken.

use crate::bits::{unzigzag, zigzag};
use crate::track::{push_number, take_number, Shape};

/// One time of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Whether only series with a record have a sample here: what a coarse level must not lose of a reset or an end.
    pub sparse: bool,
    /// Whether histograms' bins have a sample here.
    pub bins: bool,
}

impl Tick {
    /// Whether a series of this shape that has not changed has a sample here.
    #[inline]
    pub fn implies(self, shape: &Shape) -> bool {
        !self.sparse && (self.bins || *shape != Shape::Bins)
    }

    pub(crate) fn flags(self) -> u8 {
        u8::from(self.sparse) | u8::from(self.bins) << 1
    }

    pub(crate) fn new(time_ms: i64, flags: u8) -> Self {
        Tick { time_ms, sparse: flags & 1 != 0, bins: flags & 2 != 0 }
    }
}

/// Appends the times of a block.
pub fn write(ticks: &[Tick], out: &mut Vec<u8>) {
    let (mut before, mut step) = (0i64, 0i64);
    for tick in ticks {
        let now = tick.time_ms.wrapping_sub(before);
        push_number(zigzag(now.wrapping_sub(step)), out);
        out.push(tick.flags());
        (before, step) = (tick.time_ms, now);
    }
}

/// Reads so many; nothing where they are not there, or not in ascending order.
pub fn read(mut bytes: &[u8], count: usize) -> Option<Vec<Tick>> {
    let (mut before, mut step) = (0i64, 0i64);
    let mut ticks: Vec<Tick> = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        step = step.wrapping_add(unzigzag(take_number(&mut bytes)?));
        before = before.wrapping_add(step);
        let (&flags, rest) = bytes.split_first()?;
        bytes = rest;
        if ticks.last().is_some_and(|last| last.time_ms >= before) {
            return None;
        }
        ticks.push(Tick::new(before, flags));
    }
    Some(ticks)
}
