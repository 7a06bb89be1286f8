//! Trial calls of a half-open breaker: each holds a lease, a word with its owner and its deadline.

use super::slot::Slot;
use crate::process::{is_alive, Owner};
use crate::region::Region;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Milliseconds between two looks for dead owners: asking the kernel costs a microsecond each.
const LOOK_MS: u64 = 50;

/// The deadline above, in milliseconds modulo 2^32, and the owner below.
fn lease(owner: Owner, deadline: u64) -> u64 {
    deadline << 32 | u64::from(owner.bits())
}

/// Milliseconds that are left of it; nothing when it is over. Not more than 2^31: a clock of another boot.
fn left(lease: u64, now: u64) -> Option<u64> {
    let left = ((lease >> 32) as u32).wrapping_sub(now as u32).cast_signed();
    u64::try_from(left).ok().filter(|&left| left > 0)
}

/// Takes one of the first `most` leases: its index and its word.
pub(super) fn take(
    slot: Slot<'_>,
    region: &Region,
    owner: Owner,
    most: u32,
    now: u64,
    length: u64,
) -> Option<(u8, u64)> {
    let mine = lease(owner, now.wrapping_add(length));
    let leases = &slot.leases()[..most as usize];
    let take = |may_take: &dyn Fn(u64) -> bool| {
        leases.iter().enumerate().find_map(|(index, word)| {
            let seen = word.load(Acquire);
            let taken = may_take(seen) && word.compare_exchange(seen, mine, AcqRel, Relaxed).is_ok();
            taken.then_some((index as u8, mine))
        })
    };
    if let Some(taken) = take(&|lease| lease == 0 || left(lease, now).is_none()) {
        return Some(taken);
    }
    let looked = slot.looked().load(Relaxed);
    if now.abs_diff(looked) < LOOK_MS || slot.looked().compare_exchange(looked, now, AcqRel, Relaxed).is_err() {
        return None;
    }
    take(&|lease| lease == 0 || Owner::of_bits(lease as u32).is_none_or(|owner| !is_alive(region, owner)))
}

/// Gives a lease back, unless somebody else has it by now.
pub(super) fn give_back(slot: Slot<'_>, index: u8, mine: u64) -> bool {
    slot.leases()[index as usize].compare_exchange(mine, 0, Release, Relaxed).is_ok()
}

/// Milliseconds until the first lease ends by itself.
pub(super) fn first_end(slot: Slot<'_>, most: u32, now: u64) -> u64 {
    let leases = slot.leases()[..most as usize].iter().map(|word| word.load(Relaxed));
    leases.map(|lease| left(lease, now).unwrap_or(0)).min().unwrap_or(0)
}

/// Leases that are held.
pub(super) fn held(slot: Slot<'_>, now: u64) -> usize {
    slot.leases().iter().filter(|word| left(word.load(Relaxed), now).is_some()).count()
}
