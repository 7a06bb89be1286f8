//! A writer that is killed at random, with everything it acknowledged found behind it.
#![cfg(target_os = "linux")]

use ferrometer_ring::file::{create, list, Ring};
use ferrometer_ring::reader::Place;
use ferrometer_ring::writer::Writer;
use ferrometer_ring::{Head, Kind, Level, Outcome, Reason};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const WORKER: &str = "FERROMETER_RING_WORKER";

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ferrometer-ring-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&folder).unwrap();
    folder
}

fn payload(number: u64) -> Vec<u8> {
    let length = 20 + (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(length, number as u8);
    bytes
}

/// Appends until it is killed, and acknowledges every record on stdout once it is in.
fn work(directory: &Path) -> ! {
    let ring = create(directory, Kind::Lines, 1 << 20).unwrap();
    let mut writer = Writer::new(ring.region.clone());
    let mut out = std::io::stdout().lock();
    for number in 0u64.. {
        let level = Level::ALL[(number % 5) as usize];
        if writer.append(&Head { level, time_ns: number, ..Head::default() }, &[&payload(number)]) == Outcome::Queued {
            out.write_all(&number.to_le_bytes()).unwrap();
            out.flush().unwrap();
        } else {
            // Full: nobody reads. The kill will come.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    unreachable!()
}

fn kill_once(directory: &Path, after: Duration) -> u64 {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program)
        .args(["--exact", "a_killed_writer_leaves_what_it_acknowledged", "--nocapture"])
        .env(WORKER, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    // The test harness prints a few lines before the worker begins.
    let mut acknowledged = Vec::new();
    let reader = std::thread::spawn(move || {
        out.read_to_end(&mut acknowledged).unwrap();
        acknowledged
    });
    let begun = std::time::Instant::now();
    while list(directory, Kind::Lines).unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the worker made no ring");
        std::thread::sleep(Duration::from_micros(200));
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    let acknowledged = reader.join().unwrap();
    let start = acknowledged.windows(8).position(|bytes| bytes == [0; 8]).unwrap_or(acknowledged.len());
    let told: Vec<u64> =
        acknowledged[start..].chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect();
    let path = list(directory, Kind::Lines).unwrap().remove(0);
    let ring = Ring::open(&path).unwrap();
    assert!(!ring.is_alive());
    let batch = ring.region.read(Place::default(), usize::MAX);
    assert_eq!((batch.damaged, batch.overwritten), (0, 0));
    let found: Vec<u64> = batch.records.iter().map(|record| record.head.time_ns).collect();
    for record in &batch.records {
        assert_eq!(record.payload, payload(record.head.time_ns), "record {}", record.sequence);
    }
    let lost: Vec<_> = told.iter().filter(|number| found.binary_search(number).is_err()).collect();
    assert!(lost.is_empty(), "acknowledged, and not there: {lost:?}");
    // At most the one that was not yet acknowledged is there besides.
    assert!(found.len() - told.len() <= 1, "{} found, {} acknowledged", found.len(), told.len());
    let counts = ring.region.counts();
    assert_eq!(counts.records(), found.len() as u64);
    assert_eq!(ring.region.missing_at_end(batch.end), 0);
    assert_eq!(counts.refused(Reason::TooLong), 0);
    std::fs::remove_file(path).unwrap();
    told.len() as u64
}

#[test]
fn a_killed_writer_leaves_what_it_acknowledged() {
    if let Some(directory) = std::env::var_os(WORKER) {
        work(Path::new(&directory));
    }
    let times: u64 = std::env::var("FERROMETER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let directory = folder("killed");
    let mut told = 0;
    for kill in 0..times {
        // Up to 8 ms: thousands of records, wherever the kill meets them.
        let after = Duration::from_micros(kill.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 51);
        told += kill_once(&directory, after);
    }
    println!("{times} kills, {told} records acknowledged, 0 lost");
    assert!(told > 0);
    std::fs::remove_dir_all(directory).unwrap();
}
