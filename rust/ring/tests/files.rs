//! Rings as files: what is refused, and the counts of those that are gone.
#![cfg(target_os = "linux")]

use ferrometer_ring::cursors::Cursor;
use ferrometer_ring::file::{create, list, Ring, LEAST};
use ferrometer_ring::reader::Place;
use ferrometer_ring::totals::{hash, snapshot, Totals};
use ferrometer_ring::writer::Writer;
use ferrometer_ring::{Head, Kind, Level, Outcome};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ferrometer-rings-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    folder
}

#[test]
fn damage_costs_the_records_that_it_hits_and_no_others() {
    let directory = folder("damage");
    let own = create(&directory, Kind::Lines, LEAST).unwrap();
    let mut writer = Writer::new(own.region.clone());
    for number in 0..10u8 {
        assert_eq!(writer.append(&Head::default(), &[&[number; 40]]), Outcome::Queued);
    }
    let path = list(&directory, Kind::Lines).unwrap().remove(0);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // The fourth record: a byte of its payload.
    file.write_at(&[99], 4096 + 3 * 96 + 60).unwrap();
    let ring = Ring::open(&path).unwrap();
    assert!(ring.is_alive());
    let batch = ring.region.read(Place::default(), usize::MAX);
    assert_eq!((batch.records.len(), batch.damaged), (3, 0));
    // A gap begins a batch.
    let batch = ring.region.read(batch.end, usize::MAX);
    assert_eq!((batch.records.len(), batch.damaged, batch.end.records), (6, 1, 10));
    // The eighth: its length. What comes behind it cannot be found.
    file.write_at(&[0xff, 0xff, 0xff, 0x0f], 4096 + 7 * 96).unwrap();
    let batch = ring.region.read(Place { position: 3 * 96, records: 3 }, usize::MAX);
    assert_eq!((batch.records.len(), batch.damaged), (3, 1));
    assert_eq!(ring.region.missing_at_end(batch.end), 3);
    drop((own, ring));
    // Not a ring: another length, another header, others' eyes.
    file.write_at(&[1], 20).unwrap();
    assert!(Ring::open(&path).is_err());
    file.write_at(&[0; 64], 0).unwrap();
    assert!(Ring::open(&path).is_err());
    fs::write(directory.join("short.ring"), b"FERRORNG").unwrap();
    assert!(Ring::open(&directory.join("short.ring")).is_err());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(Ring::open(&path).err().unwrap().kind(), std::io::ErrorKind::PermissionDenied);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn counts_of_rings_that_are_gone_stay() {
    let directory = folder("totals");
    assert_eq!(snapshot(&directory, Kind::Lines).unwrap(), None);
    let totals = Totals::open(&directory, Kind::Lines).unwrap();
    assert!(totals.lead().unwrap());
    assert!(!Totals::open(&directory, Kind::Lines).unwrap().lead().unwrap());
    totals.set_namespace("gw");
    assert_eq!(
        (totals.receiver("stdout"), totals.receiver("loki"), totals.receiver("stdout")),
        (Some(0), Some(1), Some(0))
    );
    let own = create(&directory, Kind::Lines, LEAST).unwrap();
    let mut writer = Writer::new(own.region.clone());
    for level in [Level::Info, Level::Error, Level::Error] {
        assert_eq!(writer.append(&Head { level, ..Head::default() }, &[b"{}"]), Outcome::Queued);
    }
    let slot = own.region.slot(hash("stdout"), &[]).unwrap();
    let end = own.region.read(Place::default(), usize::MAX).end;
    own.region.set_cursor(slot, &Cursor { place: end, shipped: 2, rejected: 1, ..Cursor::default() });
    let before = snapshot(&directory, Kind::Lines).unwrap().unwrap();
    assert_eq!((before.lines(Level::Error), before.receivers[0].counts.shipped, before.receivers[0].queued), (2, 2, 0));
    assert_eq!((before.receivers[1].queued, before.receivers[1].counts.shipped), (3, 0));
    drop(own);
    let path = list(&directory, Kind::Lines).unwrap().remove(0);
    let ring = Ring::open(&path).unwrap();
    totals.fold(&ring);
    // Whoever folds may die before it removes the file; the next one folds it again.
    totals.fold(&ring);
    let meanwhile = snapshot(&directory, Kind::Lines).unwrap().unwrap();
    assert_eq!(meanwhile.counts, before.counts);
    fs::remove_file(&path).unwrap();
    let after = snapshot(&directory, Kind::Lines).unwrap().unwrap();
    assert_eq!((&after.namespace[..], after.counts, after.receivers[0].counts.shipped), ("gw", before.counts, 2));
    drop(totals);
    assert!(Totals::open(&directory, Kind::Lines).unwrap().lead().unwrap());
    fs::remove_dir_all(directory).unwrap();
}
