//! What lies where in a segment file, as the document has it.

use ferrometer_core::segment::format::{counter, extent, family, header, histogram, GRAIN};
use ferrometer_core::segment::record::{Detail, Record};
use std::collections::HashMap;
use std::ops::Range;

/// Where everything that a reader follows is, in a file that is whole.
#[derive(Default)]
pub struct Anatomy {
    /// The extents of the log.
    pub extents: Vec<usize>,
    /// The records.
    pub records: Vec<Range<usize>>,
    /// Of those, the ones that name a block, and where they name it.
    pub places: Vec<(usize, usize)>,
    /// The blocks of families and series.
    pub blocks: Vec<Range<usize>>,
    /// Before this, no byte can be missing without a reader's noticing.
    pub needed: usize,
}

/// The u32 at an offset.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl Anatomy {
    /// Of a file, as far as it is one.
    pub fn new(bytes: &[u8]) -> Self {
        let mut anatomy = Anatomy { needed: header::SIZE, ..Anatomy::default() };
        let mut kinds: HashMap<u32, Detail> = HashMap::new();
        let mut at = word(bytes, header::LOG).unwrap_or_default() as usize * GRAIN;
        while at != 0 && !anatomy.extents.contains(&at) {
            let (Some(next), Some(used)) = (word(bytes, at + extent::NEXT), word(bytes, at + extent::USED)) else {
                break;
            };
            anatomy.extents.push(at);
            let start = at + extent::RECORDS;
            anatomy.need(start + used as usize);
            anatomy.records_in(bytes, start..start + used as usize, &mut kinds);
            at = next as usize * GRAIN;
        }
        anatomy
    }

    fn records_in(&mut self, bytes: &[u8], range: Range<usize>, kinds: &mut HashMap<u32, Detail>) {
        let mut at = range.start;
        while let Some(Ok((record, length))) = bytes.get(at..range.end).map(Record::parse) {
            match &record {
                Record::Family(about) if word(bytes, about.block as usize * GRAIN) == Some(about.generation) => {
                    kinds.insert(about.id, about.detail.clone());
                    self.block(self.records.len(), at + 16, about.block, family::SIZE);
                }
                Record::Series(about) if word(bytes, about.block as usize * GRAIN) == Some(about.generation) => {
                    let size = match kinds.get(&about.family) {
                        Some(Detail::Histogram(_) | Detail::Summary(_)) => histogram::SIZE,
                        _ => counter::SIZE,
                    };
                    if kinds.contains_key(&about.family) {
                        self.block(self.records.len(), at + 20, about.block, size);
                    }
                }
                _ => {}
            }
            self.records.push(at..at + length);
            at += length;
        }
    }

    fn block(&mut self, record: usize, named: usize, block: u32, size: usize) {
        let start = block as usize * GRAIN;
        self.places.push((record, named));
        self.blocks.push(start..start + size);
        self.need(start + size);
    }

    fn need(&mut self, end: usize) {
        self.needed = self.needed.max(end);
    }
}

/// Puts the header's checksum right.
pub fn seal_header(bytes: &mut [u8]) {
    if bytes.len() >= header::FIXED {
        let sum = crc32fast::hash(&bytes[..header::CHECKSUM]);
        bytes[header::CHECKSUM..header::FIXED].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Puts a record's checksum right, wherever its length says that it ends.
pub fn seal_record(bytes: &mut [u8], at: usize) {
    let Some(Ok(length)) = bytes.get(at..).map(Record::length) else { return };
    let sum = crc32fast::hash(&bytes[at + 8..at + length]);
    bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
}
