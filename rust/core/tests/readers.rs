//! Scrapes beside the single writer, on real threads. (The model checker sees more interleavings of
//! less code; this sees the real code.)
#![cfg(not(loom))]

use ferrometer_core::histogram::{Buckets, Histogram, Layout};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Miri runs the same code a few hundred times slower.
const ROUNDS: u32 = if cfg!(miri) { 100 } else { 100_000 };

/// Runs `read` again and again while `write` runs once.
fn beside(write: impl FnOnce() + Send, mut read: impl FnMut()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            write();
            done.store(true, Relaxed);
        });
        while !done.load(Relaxed) {
            read();
        }
    });
}

#[test]
fn quantiles_beside_resets_lie_among_the_values() {
    let histogram = Histogram::new(Layout::new(&[1.0, 8.0]).unwrap());
    let values = [2.0, 3.0, 6.0];
    beside(
        || {
            for round in 0..ROUNDS {
                for value in values {
                    histogram.record_many(value, 70_000);
                }
                if round % 2 == 0 {
                    histogram.reset();
                }
            }
        },
        || {
            let snapshot = histogram.snapshot();
            for q in [0.0, 0.5, 1.0] {
                let quantile = snapshot.quantile(q);
                assert!(quantile.is_nan() || (1.98..6.04).contains(&quantile), "{quantile} at {q}");
            }
        },
    );
}

#[test]
fn no_bucket_goes_backwards_beside_a_sampled_writer() {
    for _ in 0..if cfg!(miri) { 3 } else { 300 } {
        let histogram = Histogram::new(Layout::new(&[1.0, 2.0, 3.0]).unwrap());
        let (mut before, mut now) = (Buckets::default(), Buckets::default());
        histogram.read_buckets(&mut before);
        beside(
            || {
                for round in 0..ROUNDS / 100 {
                    histogram.hold();
                    histogram.hold();
                    histogram.record_sample(f64::from(round % 4));
                }
            },
            || {
                histogram.read_buckets(&mut now);
                let forwards = now.counts.iter().zip(&before.counts).all(|(now, before)| now >= before);
                assert!(forwards, "{before:?} became {now:?}");
                std::mem::swap(&mut before, &mut now);
            },
        );
        histogram.read_buckets(&mut now);
        assert_eq!(now.counts.iter().sum::<u64>(), u64::from(ROUNDS / 100 * 3));
    }
}
