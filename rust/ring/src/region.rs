//! The memory of a ring: its header and its area, as words.

use crate::layout::HEADER;
use crate::sync::AtomicU64;

/// Where the words lie.
pub enum Region {
    /// In memory of this process alone. A child of a fork has a copy, which is nobody's ring.
    Private(Box<[AtomicU64]>),
    /// In a file.
    #[cfg(all(target_os = "linux", not(loom)))]
    Mapped(crate::mapping::Mapping),
}

impl Region {
    /// A new one in private memory, for so many bytes of records.
    pub fn private(capacity: usize) -> Self {
        let words = HEADER + capacity.div_ceil(8);
        Region::Private((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    fn words(&self) -> &[AtomicU64] {
        match self {
            Region::Private(words) => words,
            #[cfg(all(target_os = "linux", not(loom)))]
            Region::Mapped(mapping) => mapping.words(),
        }
    }

    /// A word of the header.
    #[inline]
    pub(crate) fn header(&self, index: usize) -> &AtomicU64 {
        &self.words()[index]
    }

    /// The words of the records.
    #[inline]
    pub(crate) fn area(&self) -> &[AtomicU64] {
        &self.words()[HEADER..]
    }

    /// Bytes of records that it can hold.
    #[inline]
    pub fn capacity(&self) -> u64 {
        self.area().len() as u64 * 8
    }
}
