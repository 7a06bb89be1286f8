//! Files of a history that nobody would write, made of one that somebody did.

use std::path::Path;
use std::sync::Arc;

use ferrometer_history::block::Place;
use ferrometer_history::files::{frames, Files};
use ferrometer_history::follower::Follower;
use ferrometer_history::level::Plan;
use ferrometer_history::recorder::Recorder;
use ferrometer_history::store::Store;
use ferrometer_history::track::Shape;
use ferrometer_promql::{Samples, Storage};

use crate::random::Random;

/// Where the checksum of a block is.
const CHECKSUM: usize = 16;

/// A sealed block of every shape, with a reset and an end.
///
/// # Panics
/// Never: it has samples.
pub fn block() -> Vec<u8> {
    let store = Store::new(Plan::default());
    let mut recorder = Recorder::new(&store.plan, 0);
    let bounds = Shape::Classic([0.1, 1.0, f64::INFINITY].into());
    let names: Vec<Arc<str>> = ["a_total", "b", "c"].map(Arc::from).into();
    for second in 1..50_u32 {
        recorder.begin(1_700_000_000_000 + i64::from(second) * 1000);
        recorder.scalar(&Shape::Counter, &names[0], "x=\"y\"", f64::from(second % 17));
        if second < 30 {
            recorder.scalar(&Shape::Gauge, &names[1], "", f64::from(second) * 0.37);
        }
        let counts = [u64::from(second), u64::from(second / 3), 1];
        recorder.classic(&names[2], "x=\"y\"", &bounds, &counts, f64::from(second));
        let bins = vec![(262_000 + second % 5, u64::from(second)), (262_100, 1)];
        recorder.bins(&names[2], "x=\"y\"", Some(&bins));
        store.add(&recorder.finish());
    }
    let mut memory = store.lock();
    memory.seal(0).expect("an open block")
}

/// Changes a few bytes, or cuts it off; the checksum is right afterwards, half of the time.
pub fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.below(256) as u8,
            _ if random.below(8) == 0 => bytes.truncate(at),
            _ => {}
        }
    }
    if random.below(2) == 0 {
        make_whole(&mut bytes);
    }
    bytes
}

/// Gives a block the checksum of what it has.
pub fn make_whole(bytes: &mut [u8]) {
    if bytes.len() >= CHECKSUM + 4 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..CHECKSUM]);
        hasher.update(&bytes[CHECKSUM + 4..]);
        bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
}

/// Reads them as a block and as the frames of a tail, and every sample that is in them.
///
/// # Panics
/// When samples do not ascend.
pub fn read(bytes: &[u8]) {
    let store = Store::new(Plan::default());
    for level in 0..4 {
        store.lock().push_sealed(level, bytes, Place::Memory(bytes.into()));
    }
    for frame in &frames(bytes).0 {
        store.lock().apply(0, frame);
    }
    read_all(&store);
}

/// Reads them as the files of a folder, as processes that follow do.
///
/// # Panics
/// When the folder cannot be written, or samples do not ascend.
pub fn follow(folder: &Path, bytes: &[u8]) {
    let files = Files::of(folder);
    files.make().expect("a folder of this process");
    for name in ["0-1700000001000.block", "1.tail", "families"] {
        std::fs::write(files.folder().join(name), bytes).expect("room");
    }
    let store = Store::new(Plan::default());
    Follower::new(files).refresh(&store);
    read_all(&store);
}

fn read_all(store: &Store) {
    let selection = store.select(&[], i64::MIN, i64::MAX).expect("memory can be read");
    for series in 0..selection.count().min(1000) {
        let mut samples = Samples::default();
        selection.read(series, i64::MIN, i64::MAX, &mut samples).expect("memory can be read");
        assert!(samples.floats.windows(2).all(|two| two[0].time_ms < two[1].time_ms), "samples ascend");
    }
}
