//! What the writer of a ring may overwrite: what all receivers have. One that is away must not hold up the others, so it
//! is passed over when it keeps back too much.

use crate::rings::Known;
use ferrometer_ring::reader::Place;
use ferrometer_ring::Level;
use std::sync::atomic::Ordering::Acquire;

/// Of the ring's bytes, the errors that are kept for one receiver at most: one part in so many.
const PART: usize = 8;
/// Bytes of records that are looked at in one go.
const STEP: usize = 64 * 1024;

/// Allows the writer to overwrite what all receivers have. One that holds back too much is passed over, unless all do.
pub fn release(known: &Known, receivers: &[u64]) {
    let region = &known.region;
    let places: Vec<(usize, Place)> = receivers
        .iter()
        .filter_map(|&name| region.slots().find(|slot| slot.1 == name))
        .map(|(slot, _)| (slot, region.cursor(slot).place))
        .collect();
    if places.len() < receivers.len() {
        // One has not come by yet.
        return;
    }
    let Some(slowest) = places.iter().map(|place| place.1).min_by_key(|place| place.position) else { return };
    let fastest = places.iter().map(|place| place.1.position).max().unwrap_or_default();
    let (head, capacity) = (region.head(), region.capacity());
    // What it was passed over for it does not hold back any more.
    let mut position = slowest.position.max(region.tail());
    // Nobody writes into the ring of a dead process: there is no hurry.
    if head.saturating_sub(position) > capacity / 8 * 5 && !known.is_dead.load(Acquire) {
        position = pass_over(known, &places, slowest, (head - capacity / 2).min(fastest)).min(fastest).max(position);
    }
    region.release(position);
}

/// Goes on to the first end of a record at a position or behind it, and keeps the errors on the way for the receivers
/// that have not had them.
fn pass_over(known: &Known, places: &[(usize, Place)], from: Place, to: u64) -> u64 {
    let most = usize::try_from(known.region.capacity()).unwrap_or(usize::MAX) / PART;
    let mut place = from;
    while place.position < to {
        let batch = known.region.read(place, STEP);
        for record in batch.records {
            if place.position >= to {
                return place.position;
            }
            place = Place { position: record.end, records: record.sequence + 1 };
            if record.head.level >= Level::Error {
                for (slot, behind) in places {
                    known.reserve.keep(*slot, behind.records, &record, most);
                }
            }
        }
        if batch.end.position <= place.position {
            break;
        }
        // Behind what was skipped there are no records yet, or none that can be read.
        place.position = batch.end.position;
    }
    place.position
}
