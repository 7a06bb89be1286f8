//! The chunks behind the blocks, and the free lists.

use super::chunk::{Backing, Chunk, Grain, GRAIN};
use super::zeroed::Zeroed;
use crate::descriptor::Descriptor;
use crate::sync::{lock, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The length of the first chunk in grains. Later ones are an eighth of all that there is, so that there
/// are few of them; whole ones are as long as pages get.
const SMALLEST: usize = 128 * 1024 / GRAIN;
const LARGEST: usize = 4 * 1024 * 1024 / GRAIN;

static SLAB: Mutex<Slab> = Mutex::new(Slab::new());

/// Whether a chunk found no place in the file.
static PARTLY_PRIVATE: AtomicBool = AtomicBool::new(false);

struct Slab {
    /// The uncut rest of the newest chunk, and its length in grains.
    next: *mut Grain,
    left: usize,
    /// By size in grains. Not chained through the blocks: a fork leaves those of a child zeroed.
    free: BTreeMap<usize, Vec<*mut Grain>>,
    /// In the order of their addresses.
    chunks: Vec<Chunk>,
    /// The file that the chunks are mapped onto.
    file: Option<Backing>,
}

// SAFETY: the pointers lead to memory that the slab owns.
unsafe impl Send for Slab {}

impl Slab {
    const fn new() -> Self {
        Slab { next: ptr::null_mut(), left: 0, free: BTreeMap::new(), chunks: Vec::new(), file: None }
    }

    fn take(&mut self, grains: usize) -> *mut Grain {
        if let Some(freed) = self.free.get_mut(&grains).and_then(Vec::pop) {
            // SAFETY: a freed block belongs to the slab and is that long.
            unsafe { freed.write_bytes(0, grains) };
            return freed;
        }
        if self.left < grains {
            if self.left > 0 {
                self.give(self.next, self.left);
            }
            self.grow(grains);
        }
        let block = self.next;
        // SAFETY: that many grains are left.
        self.next = unsafe { block.add(grains) };
        self.left -= grains;
        block
    }

    fn give(&mut self, block: *mut Grain, grains: usize) {
        self.free.entry(grains).or_default().push(block);
    }

    /// Makes a chunk with room for a block.
    fn grow(&mut self, grains: usize) {
        let all: usize = self.chunks.iter().map(|chunk| chunk.grains).sum();
        let length = (all / 8).clamp(SMALLEST, LARGEST).max(grains).next_multiple_of(SMALLEST);
        let mut chunk = Chunk::new(length);
        if let Some(file) = &mut self.file {
            // The disk is full: better unseen by others, which is counted where it shows, than a fault in
            // the application.
            if file.place(&mut chunk).and_then(|()| chunk.map(file)).is_err() {
                // What failed half-way may have left nothing at these addresses.
                chunk.map_private(false);
                PARTLY_PRIVATE.store(true, Relaxed);
            }
        }
        (self.next, self.left) = (chunk.start, chunk.grains);
        let position = self.chunks.partition_point(|other| other.start < chunk.start);
        self.chunks.insert(position, chunk);
    }

    fn place_of(&self, address: usize) -> u32 {
        let after = self.chunks.partition_point(|chunk| chunk.start as usize <= address);
        let Some(chunk) = after.checked_sub(1).map(|position| &self.chunks[position]) else { return 0 };
        let within = (address - chunk.start as usize) / GRAIN;
        if chunk.place == 0 || within >= chunk.grains {
            return 0;
        }
        chunk.place + within as u32
    }
}

fn grains(bytes: usize) -> usize {
    bytes.div_ceil(GRAIN).max(1)
}

fn take<T: Zeroed>(bytes: usize) -> NonNull<T> {
    const { assert!(align_of::<T>() <= GRAIN && !std::mem::needs_drop::<T>()) };
    NonNull::new(lock(&SLAB).take(grains(bytes)).cast()).expect("chunks do not begin at null")
}

/// Zeroed memory for one value.
pub(super) fn one<T: Zeroed>() -> NonNull<T> {
    take(size_of::<T>())
}

/// Zeroed memory for several.
pub(super) fn run<T: Zeroed>(length: usize) -> NonNull<[T]> {
    NonNull::slice_from_raw_parts(take(length * size_of::<T>()), length)
}

/// Takes memory back.
///
/// # Safety
/// The value came from `one` or `run`, and is not used again.
pub(super) unsafe fn give<T: ?Sized>(value: NonNull<T>) {
    // SAFETY: the value is still valid.
    let grains = grains(size_of_val(unsafe { value.as_ref() }));
    lock(&SLAB).give(value.cast::<Grain>().as_ptr(), grains);
}

/// Where in the file, in grains from its start, a block lies; 0 when it is in private memory.
pub(crate) fn place_of<T: ?Sized>(block: &T) -> u32 {
    lock(&SLAB).place_of(ptr::from_ref(block).addr())
}

/// Whether some blocks lie in private memory although the others lie in a file: the file system is full.
#[cfg(target_os = "linux")]
pub(crate) fn is_partly_private() -> bool {
    PARTLY_PRIVATE.load(Relaxed)
}

/// Moves all blocks, and those to come, into a file from this offset on, at the addresses that they have.
/// Only with the GIL held: whoever writes into a block meanwhile loses what is written.
///
/// # Errors
/// Without room in the file, or in the address space; nothing has changed then.
pub(crate) fn move_into(file: Descriptor, path: PathBuf, from: u64) -> io::Result<()> {
    let mut slab = lock(&SLAB);
    let slab = &mut *slab;
    let mut file = Backing::new(file, path, from);
    let moved = slab.chunks.iter_mut().try_for_each(|chunk| file.place(chunk));
    let moved = moved.and_then(|()| slab.chunks.iter().try_for_each(|chunk| chunk.map(&file)));
    if moved.is_err() {
        slab.chunks.iter_mut().for_each(|chunk| chunk.map_private(true));
        return moved;
    }
    slab.file = Some(file);
    PARTLY_PRIVATE.store(false, Relaxed);
    Ok(())
}

/// Leaves the file: every block is zero from now on, in private memory. For the child of a fork, whose
/// parent goes on with the file.
pub(crate) fn leave_file() {
    let mut slab = lock(&SLAB);
    if slab.file.take().is_some() {
        PARTLY_PRIVATE.store(false, Relaxed);
        slab.chunks.iter_mut().for_each(|chunk| chunk.map_private(false));
    }
}

/// Takes all blocks back into private memory, as they are.
pub(crate) fn come_back() {
    let mut slab = lock(&SLAB);
    if slab.file.take().is_some() {
        PARTLY_PRIVATE.store(false, Relaxed);
        slab.chunks.iter_mut().for_each(|chunk| chunk.map_private(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last of a chunk is not lost, and freed blocks are handed out again, zeroed, last in first out.
    #[test]
    fn nothing_is_lost_and_everything_is_zeroed() {
        static OWN: Mutex<Slab> = Mutex::new(Slab::new());
        let mut slab = lock(&OWN);
        let taken: Vec<*mut Grain> = (0..SMALLEST / 3).map(|_| slab.take(3)).collect();
        let rest = slab.next;
        assert_eq!(slab.left, SMALLEST % 3);
        slab.take(64);
        assert_eq!((slab.take(SMALLEST % 3), slab.left), (rest, SMALLEST - 64));
        for &block in &taken[..2] {
            // SAFETY: the block is 48 bytes long and ours.
            unsafe { block.write_bytes(0xff, 3) };
            slab.give(block, 3);
        }
        for &block in taken[..2].iter().rev() {
            assert_eq!(slab.take(3), block);
            // SAFETY: the slab has just given these bytes, and nobody else has them.
            assert!(unsafe { std::slice::from_raw_parts(block.cast::<u8>(), 3 * GRAIN) }.iter().all(|&byte| byte == 0));
        }
        assert_eq!(slab.left, SMALLEST - 64);
        assert!(slab.take(LARGEST + 1).is_aligned());
    }
}
