//! The writer, a reader that releases, and a reader that is overtaken, in every interleaving.

use crate::head::{Head, Level, Outcome};
use crate::reader::Place;
use crate::region::Region;
use crate::writer::Writer;
use std::sync::Arc;

fn head(number: u64) -> Head {
    Head { level: Level::Error, time_ns: number, ..Head::default() }
}

/// What is read is what was appended, in order, and nothing is read twice or half, also where the ring wraps.
#[test]
fn model_records_are_read_whole_and_once() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        // Two records of 8 bytes fill it.
        let region = Arc::new(Region::private(2 * 64));
        let reader = {
            let region = region.clone();
            loom::thread::spawn(move || {
                let mut place = Place::default();
                let mut seen = Vec::new();
                for _ in 0..2 {
                    let batch = region.read(place, 1);
                    assert_eq!((batch.overwritten, batch.damaged), (0, 0));
                    for record in &batch.records {
                        assert_eq!(record.head.time_ns, record.sequence);
                        assert_eq!(record.payload, record.sequence.to_le_bytes());
                        seen.push(record.sequence);
                    }
                    place = batch.end;
                    region.release(place.position);
                }
                seen
            })
        };
        let mut writer = Writer::new(region.clone());
        let mut taken = 0u64;
        for _ in 0..3 {
            if writer.append(&head(taken), &[&taken.to_le_bytes()]) == Outcome::Queued {
                taken += 1;
            }
        }
        let seen = reader.join().unwrap();
        assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>());
        let counts = region.counts();
        assert_eq!(counts.records(), taken);
        assert_eq!(counts.lines(Level::Error), 3);
    });
}

/// A reader that the shipper does not wait for sees whole records or counts them as overwritten.
#[test]
fn model_who_is_overtaken_reads_nothing_torn() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let region = Arc::new(Region::private(2 * 64));
        let mut writer = Writer::new(region.clone());
        for number in 0..2u64 {
            assert_eq!(writer.append(&head(number), &[&number.to_le_bytes()]), Outcome::Queued);
        }
        let reader = {
            let region = region.clone();
            loom::thread::spawn(move || {
                let batch = region.read(Place::default(), 1);
                for record in &batch.records {
                    assert_eq!(record.payload, record.sequence.to_le_bytes());
                }
                assert_eq!(batch.damaged, 0);
                batch.overwritten + batch.records.len() as u64 == batch.end.records
            })
        };
        region.release(64);
        let _ = writer.append(&head(2), &[&2u64.to_le_bytes()]);
        assert!(reader.join().unwrap());
    });
}
