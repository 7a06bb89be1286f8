//! Ways to break a file.

use crate::anatomy::{seal_header, seal_record, Anatomy};
use crate::random::Random;
use ferrometer_core::segment::format::{extent, header, GRAIN};

/// What must come of it, besides that the reader lives and the file beside it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be a file as good as any.
    Open,
    /// It must be told of as damaged.
    Damaged,
}

/// Where something of a header lies, and how long it is.
const HEADER: [(usize, usize); 15] = [
    (header::MAGIC, 8),
    (header::VERSION, 4),
    (header::ORDER, 4),
    (header::UUID, 8),
    (header::PID, 8),
    (header::START, 8),
    (header::NAMESPACE, 8),
    (header::BOOT, 8),
    (header::CREATED, 8),
    (header::KIND, 4),
    (header::CHECKSUM, 4),
    (header::LOG, 8),
    (header::ACTED, 8),
    (header::FAULTS, 8),
    (header::REMOVING, 8),
];

/// Breaks a file.
pub fn mutate(bytes: &mut Vec<u8>, anatomy: &Anatomy, random: &mut Random) -> Verdict {
    match random.below(16) {
        0 => flip(bytes, 0..header::FIXED, random),
        1 if !anatomy.records.is_empty() => {
            let record = random.of(&anatomy.records).clone();
            flip(bytes, record, random)
        }
        2 => {
            bytes.truncate(random.below(anatomy.needed));
            Verdict::Damaged
        }
        3 if !anatomy.places.is_empty() => astray(bytes, anatomy, random),
        _ => {
            for _ in 0..=random.below(5) {
                several_ways(bytes, anatomy, random);
            }
            if random.below(8) > 0 {
                seal_header(bytes);
            }
            Verdict::Open
        }
    }
}

/// Another byte in a place that a checksum is about.
fn flip(bytes: &mut [u8], within: std::ops::Range<usize>, random: &mut Random) -> Verdict {
    let at = within.start + random.below(within.len());
    // Of bytes that are no file there are perhaps fewer.
    bytes.get_mut(at).map_or(Verdict::Open, |byte| {
        *byte ^= 1 + random.below(255) as u8;
        Verdict::Damaged
    })
}

/// A block that is said to lie where there is no file any more.
fn astray(bytes: &mut [u8], anatomy: &Anatomy, random: &mut Random) -> Verdict {
    let &(record, at) = random.of(&anatomy.places);
    let end = bytes.len().div_ceil(GRAIN) as u64;
    let place = end + random.any() % (u64::from(u32::MAX) + 1 - end);
    put(bytes, at, &(place as u32).to_le_bytes());
    seal_record(bytes, anatomy.records[record].start);
    Verdict::Damaged
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at.saturating_add(value.len())) {
        place.copy_from_slice(value);
    }
}

/// A number that somebody may have forgotten.
fn number(bytes: &[u8], anatomy: &Anatomy, random: &mut Random) -> u64 {
    let end = bytes.len() as u64 / GRAIN as u64;
    match random.below(12) {
        0 => 0,
        1 => random.any() % 8,
        2 => end.wrapping_add(random.any() % 5).wrapping_sub(2),
        3 => u64::MAX - random.any() % 16,
        4 => u64::from(u32::MAX) - random.any() % 16,
        5 => 1 << random.below(64),
        6 => random.any() % (end + 1),
        7 if !anatomy.blocks.is_empty() => (random.of(&anatomy.blocks).start / GRAIN) as u64,
        // The same as an octave's place: the width is in the lowest bits.
        8 if !anatomy.blocks.is_empty() => (random.of(&anatomy.blocks).start / GRAIN) as u64 * 4 + random.any() % 4,
        9 => (end.wrapping_sub(random.any() % 64) << 2) | (random.any() % 4),
        10 => random.of(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, 1e308, -1.0]).to_bits(),
        _ => random.any(),
    }
}

fn several_ways(bytes: &mut Vec<u8>, anatomy: &Anatomy, random: &mut Random) {
    let value = number(bytes, anatomy, random).to_le_bytes();
    match random.below(12) {
        0 => {
            let &(at, length) = random.of(&HEADER);
            put(bytes, at, &value[..length]);
        }
        1 if !anatomy.extents.is_empty() => {
            let at = random.of(&anatomy.extents) + random.of(&[extent::NEXT, extent::USED, extent::SIZE]);
            put(bytes, at, &value[..4]);
        }
        2..=4 if !anatomy.records.is_empty() => {
            let record = random.of(&anatomy.records).clone();
            let width = *random.of(&[1, 4, 4, 4, 8]);
            // What comes before the texts is where most of the sense is.
            let most = *random.of(&[56, 56, 4096]);
            let field = random.below(record.len().min(most)) / width * width;
            put(bytes, record.start + field, &value[..width]);
            if random.below(8) > 0 && record.end <= bytes.len() {
                seal_record(bytes, record.start);
            }
        }
        5..=8 if !anatomy.blocks.is_empty() => {
            let block = random.of(&anatomy.blocks).clone();
            let width = *random.of(&[4, 4, 8, 8, 2]);
            put(bytes, block.start + random.below(block.len()) / width * width, &value[..width]);
        }
        9 if anatomy.records.len() > 1 => {
            // One record says what another one said, or the beginning of that.
            let (from, to) = (random.of(&anatomy.records).clone(), random.of(&anatomy.records).clone());
            if let Some(copy) = bytes.get(from).map(<[u8]>::to_vec) {
                put(bytes, to.start, &copy[..copy.len().min(to.len())]);
                seal_record(bytes, to.start);
            }
        }
        10 => {
            let end = random.below(bytes.len() + 64);
            bytes.resize(end, value[0]);
        }
        _ => {
            let (at, run) = (random.below(bytes.len()), 1 + random.below(64));
            let end = bytes.len().min(at + run);
            bytes.get_mut(at..end).into_iter().flatten().for_each(|byte| *byte = value[run % 8]);
        }
    }
}
