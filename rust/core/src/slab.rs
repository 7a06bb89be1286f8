//! Memory for cells: zeroed, 16-byte aligned blocks that never move, handed out of large chunks.
//!
//! Cells live here and not in `Box`es for three reasons: a counter takes 16 bytes and no allocator
//! header; a handle may keep a cell's address for ever; and a chunk can be moved onto a file that
//! other processes read, at the same address, without any handle noticing.

mod block;
#[cfg(not(loom))]
mod chunk;
#[cfg(not(loom))]
mod memory;
#[cfg(loom)]
#[path = "slab/model.rs"]
mod memory;
mod zeroed;

pub(crate) use block::Block;
pub(crate) use memory::place_of;
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) use memory::{come_back, is_partly_private, leave_file, move_into};
pub(crate) use zeroed::Zeroed;
