//! The log of this process: a chain of extents in its file.

use super::format::extent;
use super::log;
use super::own_file::OwnFile;
use super::record::Record;
use crate::slab::{place_of, Block};
use crate::sync::{
    fence, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

/// Room for records in an extent, in bytes.
const EXTENT: usize = 8 * 1024 - extent::RECORDS;

/// A chain of extents, and how full the last one is.
#[derive(Default)]
pub(super) struct Chain {
    extents: Vec<Block<[AtomicU64]>>,
    used: usize,
    /// Bytes of all records.
    written: usize,
    /// How often it was begun anew.
    rewritten: u32,
    /// Where the first extent lies, and whether nobody is to see it before it is whole.
    first: u32,
    is_hidden: bool,
    /// Whether a record found no place.
    is_cut: bool,
    scratch: Vec<u8>,
}

impl Chain {
    /// Appends a record; `false` when the file has no room for it.
    pub(super) fn append(&mut self, record: &Record, own: &OwnFile) -> bool {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        record.encode(&mut bytes);
        let placed = self.make_room(bytes.len(), own);
        if placed {
            let last = self.extents.last().expect("room was made");
            self.used = log::append(last, self.used, &bytes);
            self.written += bytes.len();
        }
        self.scratch = bytes;
        self.is_cut |= !placed;
        placed
    }

    /// An empty one in its place, which nobody sees before it is whole.
    pub(super) fn anew(&self) -> Self {
        Chain { rewritten: self.rewritten.wrapping_add(1), is_hidden: true, ..Chain::default() }
    }

    /// Shows it, in place of the one before. Whoever is still reading that one finds this, before its memory
    /// holds anything else.
    pub(super) fn show(&mut self, own: &OwnFile) {
        self.is_hidden = false;
        own.set_log(self.rewritten, self.first);
        fence(SeqCst);
    }

    /// Whether a record found no place.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Bytes of all records.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Reads it again.
    pub(super) fn for_each(&self, mut visit: impl FnMut(Record)) {
        let mut bytes = Vec::new();
        for extent in &self.extents {
            bytes.clear();
            let (_, used) = log::look(&extent[0]);
            let words = &extent[extent::RECORDS / 8..][..used / 8];
            bytes.extend(words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()));
            let mut rest = &bytes[..];
            while let Ok((record, length)) = Record::parse(rest) {
                visit(record);
                rest = &rest[length..];
            }
        }
    }

    fn make_room(&mut self, bytes: usize, own: &OwnFile) -> bool {
        let room = self.extents.last().map_or(0, |last| last.len() * 8 - extent::RECORDS);
        if self.used + bytes <= room {
            return true;
        }
        let size = EXTENT.max(bytes);
        let fresh = Block::<[AtomicU64]>::run((extent::RECORDS + size) / 8);
        let place = place_of(&*fresh);
        if place == 0 {
            return false;
        }
        fresh[1].store(size as u64, Relaxed);
        if let Some(last) = self.extents.last() {
            log::link(&last[0], self.used, place);
        } else {
            self.first = place;
            if !self.is_hidden {
                own.set_log(self.rewritten, place);
            }
        }
        self.extents.push(fresh);
        self.used = 0;
        true
    }
}
