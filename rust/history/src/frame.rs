//! What one tick adds to one level: how the writer tells it, to its own memory and to the file that others follow.

use crate::bits::Bits;
use crate::tick::Tick;
use crate::track::{push_number, take_bytes, take_number, Identity};

/// What one tick adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// When.
    pub tick: Tick,
    /// The tracks that the block did not have yet; their numbers go on from those before.
    pub fresh: Vec<Identity>,
    /// The number of a track and how many bits its record has, in ascending order of the numbers.
    records: Vec<(u32, u32)>,
    /// The records' bits, each from a whole byte on.
    bytes: Vec<u8>,
}

impl Frame {
    /// A frame with no record.
    pub fn new(tick: Tick) -> Self {
        Frame { tick, fresh: Vec::new(), records: Vec::new(), bytes: Vec::new() }
    }

    /// Adds the record of a track.
    pub fn push(&mut self, track: u32, bits: &Bits) {
        self.records.push((track, bits.len() as u32));
        self.bytes.extend_from_slice(bits.bytes());
    }

    /// The records: the number of the track, the bits, and how many.
    pub fn records(&self) -> impl Iterator<Item = (u32, &[u8], usize)> {
        let mut rest = &self.bytes[..];
        self.records.iter().map(move |&(track, bits)| {
            let (bytes, after) = rest.split_at((bits as usize).div_ceil(8));
            rest = after;
            (track, bytes, bits as usize)
        })
    }

    /// Appends it as files have it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tick.time_ms.to_le_bytes());
        out.push(self.tick.flags());
        push_number(self.fresh.len() as u64, out);
        self.fresh.iter().for_each(|identity| identity.write(out));
        push_number(self.records.len() as u64, out);
        let mut before = 0;
        for &(track, bits) in &self.records {
            push_number(u64::from(track.wrapping_sub(before)), out);
            push_number(u64::from(bits), out);
            before = track;
        }
        out.extend_from_slice(&self.bytes);
    }

    /// Reads one; nothing where it makes no sense.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let time = i64::from_le_bytes(take_bytes(bytes, 8)?.try_into().ok()?);
        let flags = take_bytes(bytes, 1)?[0];
        let mut frame = Frame::new(Tick::new(time, flags));
        for _ in 0..take_number(bytes)? {
            frame.fresh.push(Identity::read(bytes)?);
        }
        let (mut track, mut total) = (0u32, 0usize);
        for _ in 0..take_number(bytes)? {
            track = track.wrapping_add(u32::try_from(take_number(bytes)?).ok()?);
            let bits = u32::try_from(take_number(bytes)?).ok()?;
            total = total.checked_add((bits as usize).div_ceil(8))?;
            frame.records.push((track, bits));
        }
        frame.bytes = (bytes.len() == total).then(|| bytes.to_vec())?;
        Some(frame)
    }
}
