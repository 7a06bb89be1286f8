//! How many secrets were taken out of lines: counted in this process by rule, and told to its ring, which all
//! endpoints read and a death does not take along.

use crate::gil::GilCell;
use ferrometer_logs::redact::mark::count;
use ferrometer_logs::redact::Rule;
use ferrometer_ring::{fork, own};

struct Told {
    generation: u64,
    counts: [u64; Rule::ALL.len()],
}

static TOLD: GilCell<Told> = GilCell::new(Told { generation: 0, counts: [0; Rule::ALL.len()] });

/// Before a line. In the child of a fork what its parent has counted is the parent's to tell. The GIL is held.
#[inline]
pub fn begin() {
    let generation = fork::generation();
    // SAFETY: the GIL is held; nothing in here runs Python.
    unsafe {
        TOLD.with(|told| {
            if told.generation != generation {
                *told = Told { generation, counts: Rule::ALL.map(count) };
            }
        });
    }
}

/// After a line: tells the ring what it does not know yet. The GIL is held.
#[inline]
pub fn tell() {
    // SAFETY: the GIL is held; nothing in here runs Python.
    unsafe {
        TOLD.with(|told| {
            for (rule, told) in Rule::ALL.into_iter().zip(&mut told.counts) {
                let now = count(rule);
                if *told != now {
                    own::redacted(rule as usize, now - *told);
                    *told = now;
                }
            }
        });
    }
}
