//! Words that one thread, or process, changes together while others read them.
//!
//! The writer never waits. A reader looks whether something changed meanwhile, and reads again.

use crate::sync::{
    fence, pause, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    Own,
};

/// Tries to read while a change is going on.
pub(crate) const TRIES: u32 = 200;

/// Makes a change that readers see wholly or not at all. One writer at a time.
#[inline]
pub(crate) fn change<T>(sequence: &AtomicU64, change: impl FnOnce() -> T) -> T {
    let odd = sequence.own() | 1;
    sequence.store(odd, Relaxed);
    fence(Release);
    let result = change();
    sequence.store(odd.wrapping_add(1), Release);
    result
}

/// What was read while no change was going on; nothing when one did not end, and was not worth waiting for.
#[inline]
pub(crate) fn undisturbed<T>(
    sequence: &AtomicU64,
    is_worth_waiting: impl Fn() -> bool,
    mut read: impl FnMut() -> T,
) -> Option<T> {
    for tries in 0..TRIES {
        let before = sequence.load(Acquire);
        let result = read();
        fence(Acquire);
        if before.is_multiple_of(2) && sequence.load(Relaxed) == before {
            return Some(result);
        }
        if !is_worth_waiting() {
            return None;
        }
        pause(tries);
    }
    None
}

/// What was read of a block, if it was in this use before and after: a use begins with its generation, the last
/// word that is written, and ends with 0, the first.
#[inline]
pub(crate) fn while_current<T>(generation: &AtomicU32, expected: u32, read: impl FnOnce() -> T) -> Option<T> {
    if generation.load(Acquire) != expected {
        return None;
    }
    let result = read();
    fence(Acquire);
    (generation.load(Relaxed) == expected).then_some(result)
}
