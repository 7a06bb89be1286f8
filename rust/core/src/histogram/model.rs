//! Every interleaving of a writer and a reader, under the C++ memory model: run by
//! `RUSTFLAGS="--cfg loom" cargo test -p ferrometer-core --release model`.

use super::octave::{Octave, REPLACED};
use super::{grid, Buckets, Histogram, Layout};
use loom::{sync::Arc, thread};

/// Values in the first bin of their octaves, the only ones that the model's octaves have.
const LOW: f64 = 1.001;
const HIGH: f64 = 2.001;

/// Counts in two buckets as a reader saw them, first and then again.
fn read_beside(
    prepare: impl Fn(&Histogram) + Sync + Send + 'static,
    write: fn(&Histogram),
    allowed: &'static [[u64; 2]],
) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 20_000;
    // Every interleaving with up to two interruptions: all would take hours.
    model.preemption_bound = Some(2);
    model.check(move || {
        let histogram = Arc::new(Histogram::new(Layout::new(&[1.5]).unwrap()));
        prepare(&histogram);
        let writer = {
            let histogram = histogram.clone();
            thread::spawn(move || write(&histogram))
        };
        let mut last = 0;
        let mut buckets = Buckets::default();
        for _ in 0..2 {
            histogram.read_buckets(&mut buckets);
            let seen = allowed.iter().position(|allowed| *allowed == buckets.counts[..]);
            let seen = seen.unwrap_or_else(|| panic!("a reader saw {:?}", buckets.counts));
            assert!(seen >= last, "a reader saw {:?} after {:?}", allowed[seen], allowed[last]);
            last = seen;
        }
        writer.join().unwrap();
        histogram.read_buckets(&mut buckets);
        assert_eq!(buckets.counts, allowed[allowed.len() - 1]);
    });
}

#[test]
fn held_events_move_at_once() {
    read_beside(
        |histogram| assert!(histogram.record_sample(LOW)),
        |histogram| {
            histogram.hold();
            histogram.record_sample(HIGH);
        },
        &[[1, 0], [2, 0], [2, 1]],
    );
}

#[test]
fn events_before_the_first_sample_come_with_it() {
    read_beside(
        Histogram::hold,
        |histogram| {
            histogram.record_sample(HIGH);
            histogram.hold();
        },
        &[[0, 0], [0, 2], [0, 3]],
    );
}

#[test]
fn an_event_is_held_for_the_sample_before_it() {
    read_beside(
        |histogram| assert!(histogram.record_sample(LOW)),
        |histogram| {
            histogram.record_sample(HIGH);
            histogram.hold();
        },
        &[[1, 0], [1, 1], [1, 2]],
    );
}

#[test]
fn a_reset_is_seen_wholly() {
    read_beside(
        |histogram| {
            histogram.record(LOW);
            histogram.record(HIGH);
        },
        Histogram::reset,
        &[[1, 1], [0, 0]],
    );
}

fn add(octave: &Octave, bin: usize, count: u64) {
    if !octave.add(bin, count) {
        octave.widen(bin, count, |_| {});
    }
}

/// A reader beside a widening sees the old bins or the new ones, never a freed block, and counts that
/// only grow.
#[test]
fn a_widening_octave_is_read_whole() {
    loom::model(|| {
        let octave = Arc::new(Octave::empty());
        add(&octave, 0, 65_534);
        add(&octave, 1, 7);
        let writer = {
            let octave = octave.clone();
            thread::spawn(move || (0..3).for_each(|_| add(&octave, 0, 1)))
        };
        let mut last = 0;
        for _ in 0..2 {
            let _reading = REPLACED.read();
            let mut counts = [0; grid::BINS];
            assert!(octave.read(&mut counts));
            assert!(
                (65_534..=65_537).contains(&counts[0]) && counts[0] >= last && counts[1] == 7,
                "{:?}",
                &counts[..2]
            );
            last = counts[0];
        }
        writer.join().unwrap();
        let mut counts = [0; grid::BINS];
        assert!(octave.read(&mut counts));
        assert_eq!(counts[..2], [65_537, 7]);
    });
}
