//! A ring and a naive twin of it, under the same script.

use ferrometer_ring::cursors::Cursor;
use ferrometer_ring::reader::Place;
use ferrometer_ring::region::Region;
use ferrometer_ring::writer::Writer;
use ferrometer_ring::{Head, Level, Outcome, Reason};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

const CAPACITY: u64 = 4096;

#[derive(Debug, Clone)]
enum Step {
    /// Level, payload length, where it is split.
    Append(usize, usize, usize),
    /// A receiver reads so many bytes and settles them.
    Read(usize, usize),
    /// The shipper releases what all have settled.
    Release,
    /// The shipper goes on without the slower receiver.
    PassOver,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..5usize, 0..400usize, 0..50usize).prop_map(|(level, length, split)| Step::Append(level, length, split)),
        2 => (0..2usize, 1..2000usize).prop_map(|(receiver, bytes)| Step::Read(receiver, bytes)),
        2 => Just(Step::Release),
        1 => Just(Step::PassOver),
    ];
    prop::collection::vec(step, 1..200)
}

/// Remembers everything, and computes nothing twice.
#[derive(Default)]
struct Twin {
    head: u64,
    tail: u64,
    /// Records taken: number, where each ends, its bytes.
    taken: Vec<(u64, Vec<u8>, Level)>,
    refused: u64,
}

impl Twin {
    fn append(&mut self, level: Level, payload: &[u8]) -> Outcome {
        let need = 56 + (payload.len() as u64).div_ceil(8) * 8;
        let rest = CAPACITY - self.head % CAPACITY;
        let after = self.head + need + if rest < need { rest } else { 0 };
        let limit = match level {
            Level::Debug => 3072,
            Level::Info | Level::Warn => 3584,
            Level::Error | Level::Fatal => 4096,
        };
        if after - self.tail > limit {
            self.refused += 1;
            return Outcome::Dropped(Reason::Full);
        }
        self.head = after;
        self.taken.push((after, payload.to_vec(), level));
        Outcome::Queued
    }
}

fn payload(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| (number * 31 + index * 7) as u8).collect()
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(if cfg!(miri) { 4 } else { 256 }), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_does_what_its_twin_does(script in steps()) {
        let region = Arc::new(Region::private(CAPACITY as usize));
        let mut writer = Writer::new(region.clone());
        let mut twin = Twin::default();
        let slots = [region.slot(11, &[11, 12]).unwrap(), region.slot(12, &[11, 12]).unwrap()];
        prop_assert_eq!(region.slot(11, &[11, 12]), Some(slots[0]));
        let mut read: [VecDeque<u64>; 2] = [VecDeque::new(), VecDeque::new()];
        for (number, step) in script.into_iter().enumerate() {
            match step {
                Step::Append(level, length, split) => {
                    let (level, bytes) = (Level::ALL[level], payload(number, length));
                    let (a, b) = bytes.split_at(split.min(length));
                    let (b, c) = b.split_at(b.len() / 3);
                    let head = Head { level, flags: number as u16, time_ns: number as u64, trace_id: [level as u8; 16], span_id: [7; 8] };
                    prop_assert_eq!(writer.append(&head, &[a, b, &[], c]), twin.append(level, &bytes));
                }
                Step::Read(receiver, bytes) => {
                    let mut cursor = region.cursor(slots[receiver]);
                    let batch = region.read(cursor.place, bytes);
                    prop_assert_eq!(batch.damaged, 0);
                    for record in &batch.records {
                        let (_, payload, level) = &twin.taken[record.sequence as usize];
                        prop_assert_eq!((&record.payload, record.head.level), (payload, *level));
                        prop_assert_eq!(record.head.trace_id, [*level as u8; 16]);
                        read[receiver].push_back(record.sequence);
                    }
                    cursor.shipped += batch.records.len() as u64;
                    cursor.full += batch.overwritten;
                    cursor.place = batch.end;
                    region.set_cursor(slots[receiver], &cursor);
                    prop_assert_eq!(region.cursor(slots[receiver]), cursor);
                }
                Step::Release | Step::PassOver => {
                    let places = slots.map(|slot| region.cursor(slot).place.position);
                    let slowest = *places.iter().min().unwrap();
                    let fastest = *places.iter().max().unwrap();
                    region.release(if matches!(step, Step::Release) { slowest } else { fastest });
                    twin.tail = twin.tail.max(region.tail());
                }
            }
            // Nothing is counted twice or forgotten, at any moment.
            let counts = region.counts();
            prop_assert_eq!(counts.records(), twin.taken.len() as u64);
            prop_assert_eq!(counts.refused(Reason::Full), twin.refused);
            for slot in slots {
                let Cursor { place, shipped, full, .. } = region.cursor(slot);
                prop_assert_eq!(place.records, shipped + full);
                let waiting = region.read(place, usize::MAX);
                let lost = waiting.overwritten + region.missing_at_end(waiting.end);
                prop_assert_eq!(place.records + lost + waiting.records.len() as u64, counts.records());
            }
        }
        for numbers in read {
            prop_assert!(numbers.iter().zip(numbers.iter().skip(1)).all(|(a, b)| a < b));
        }
    }
}

#[test]
fn errors_find_room_when_nothing_else_does() {
    let region = Arc::new(Region::private(CAPACITY as usize));
    let mut writer = Writer::new(region.clone());
    let append = |writer: &mut Writer, level| writer.append(&Head { level, ..Head::default() }, &[&[1; 64]]);
    for level in [Level::Debug, Level::Info, Level::Error] {
        let before = region.counts().records();
        while append(&mut writer, level) == Outcome::Queued {}
        assert!(region.counts().records() > before, "{level:?} found no room");
    }
    let refused = region.counts().refused[Reason::Full as usize];
    assert_eq!((refused[0], refused[1], refused[3]), (1, 1, 1));
    assert_eq!(writer.append(&Head::default(), &[&vec![0; 300_000]]), Outcome::Dropped(Reason::TooLong));
    assert_eq!(writer.append(&Head::default(), &[&vec![0; 2100]]), Outcome::Dropped(Reason::TooLong));
    assert_eq!(region.counts().lines(Level::Info), region.counts().accepted[1] + 3);
}

#[test]
fn who_only_looks_sees_what_is_not_yet_overwritten() {
    let region = Arc::new(Region::private(2 << 20));
    let mut writer = Writer::new(region.clone());
    let mut follower = Place::default();
    let mut seen = 0;
    for number in 0..40_000u64 {
        let head = Head { level: Level::Error, time_ns: number, ..Head::default() };
        assert_eq!(writer.append(&head, &[&payload(number as usize, number as usize % 300)]), Outcome::Queued);
        if number % 100 == 0 {
            region.release(region.head());
            let batch = region.recall(follower, usize::MAX);
            assert_eq!((batch.overwritten, batch.damaged), (0, 0));
            seen += batch.records.len();
            follower = batch.end;
        }
    }
    assert_eq!(seen as u64, follower.records);
    // Who comes late finds what is left, from the middle on.
    let late = region.recall(Place::default(), usize::MAX);
    assert_eq!(late.end.records, 40_000);
    assert_eq!(late.overwritten + late.records.len() as u64, 40_000);
    assert!(late.records.len() > 4_000, "{}", late.records.len());
    for record in late.records {
        assert_eq!(record.payload, payload(record.sequence as usize, record.sequence as usize % 300));
    }
}

#[test]
fn what_is_released_is_not_read_again() {
    let region = Arc::new(Region::private(CAPACITY as usize));
    let mut writer = Writer::new(region.clone());
    for _ in 0..10 {
        assert_eq!(writer.append(&Head::default(), &[&[1; 8]]), Outcome::Queued);
    }
    let place = region.read(Place::default(), 130).end;
    assert_eq!(place, Place { position: 192, records: 3 });
    region.release(place.position);
    let batch = region.read(Place::default(), usize::MAX);
    assert_eq!((batch.overwritten, batch.records.len(), batch.records[0].sequence), (3, 7, 3));
}
