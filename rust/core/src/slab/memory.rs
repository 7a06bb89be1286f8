//! The chunks behind the blocks, and the free lists.

use super::Zeroed;
use crate::sync::{lock, Mutex};
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ptr::{self, NonNull};

/// Blocks are multiples of this; also their alignment.
const GRAIN: usize = 16;
/// Grains of the largest block that is cut from a chunk: an octave of 64-bit bins. Larger ones, the
/// cells of histograms with over a hundred buckets, have an allocation each.
const LARGEST: usize = 64;
const CHUNK: usize = 256 * 1024 / GRAIN;

static SLAB: Mutex<Slab> = Mutex::new(Slab::new());

/// What blocks are made of.
#[repr(C, align(16))]
struct Grain([u8; GRAIN]);

struct Slab {
    /// The uncut rest of the newest chunk, and its length in grains.
    next: *mut Grain,
    left: usize,
    /// By size in grains: freed blocks, each of which begins with the address of the one freed before.
    free: [*mut Grain; LARGEST + 1],
}

// SAFETY: the pointers lead to memory that the slab owns.
unsafe impl Send for Slab {}

impl Slab {
    const fn new() -> Self {
        Slab { next: ptr::null_mut(), left: 0, free: [ptr::null_mut(); LARGEST + 1] }
    }

    fn take(&mut self, grains: usize) -> *mut Grain {
        let freed = self.free[grains];
        if !freed.is_null() {
            // SAFETY: a freed block belongs to the slab, is that long, and begins with a pointer.
            unsafe {
                self.free[grains] = freed.cast::<*mut Grain>().read();
                freed.write_bytes(0, grains);
            }
            return freed;
        }
        if self.left < grains {
            if self.left > 0 {
                self.give(self.next, self.left);
            }
            (self.next, self.left) = (allocate(CHUNK), CHUNK);
        }
        let block = self.next;
        // SAFETY: that many grains are left.
        self.next = unsafe { block.add(grains) };
        self.left -= grains;
        block
    }

    fn give(&mut self, block: *mut Grain, grains: usize) {
        // SAFETY: the block belongs to the slab again, is aligned, and has room for a pointer.
        unsafe { block.cast::<*mut Grain>().write(self.free[grains]) };
        self.free[grains] = block;
    }
}

fn layout(grains: usize) -> Layout {
    Layout::from_size_align(grains * GRAIN, GRAIN).expect("a block smaller than the address space")
}

#[expect(clippy::cast_ptr_alignment, reason = "the layout is a grain's")]
fn allocate(grains: usize) -> *mut Grain {
    // SAFETY: no one asks for zero grains.
    let memory = unsafe { alloc_zeroed(layout(grains)) }.cast::<Grain>();
    if memory.is_null() {
        handle_alloc_error(layout(grains));
    }
    memory
}

fn grains(bytes: usize) -> usize {
    bytes.div_ceil(GRAIN).max(1)
}

fn take<T: Zeroed>(bytes: usize) -> NonNull<T> {
    const { assert!(align_of::<T>() <= GRAIN && !std::mem::needs_drop::<T>()) };
    let grains = grains(bytes);
    let block = if grains > LARGEST { allocate(grains) } else { lock(&SLAB).take(grains) };
    NonNull::new(block.cast()).expect("allocations are not null")
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
    let block = value.cast::<Grain>().as_ptr();
    if grains > LARGEST {
        // SAFETY: `take` allocated it with this layout.
        unsafe { dealloc(block.cast(), layout(grains)) };
    } else {
        lock(&SLAB).give(block, grains);
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
        let taken: Vec<*mut Grain> = (0..CHUNK / 3).map(|_| slab.take(3)).collect();
        let rest = slab.next;
        assert_eq!(slab.left, CHUNK % 3);
        slab.take(LARGEST);
        assert_eq!((slab.take(CHUNK % 3), slab.left), (rest, CHUNK - LARGEST));
        for &block in &taken[..2] {
            // SAFETY: the block is 48 bytes long and ours.
            unsafe { block.write_bytes(0xff, 3) };
            slab.give(block, 3);
        }
        for &block in taken[..2].iter().rev() {
            assert_eq!(slab.take(3), block);
            // SAFETY: as above.
            assert!(unsafe { std::slice::from_raw_parts(block.cast::<u8>(), 3 * GRAIN) }.iter().all(|&byte| byte == 0));
        }
        assert_eq!(slab.left, CHUNK - LARGEST);
        // Or else leak checkers complain: only free lists lead to the full chunk.
        for block in taken {
            slab.give(block, 3);
        }
    }
}
