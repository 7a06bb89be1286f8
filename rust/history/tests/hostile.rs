//! Files that somebody else wrote: whatever is in them, with a right checksum too, is read or refused, and harms nobody.

use ferrometer_history::block::{Place, Sealed};
use ferrometer_history::catalog::Catalog;
use ferrometer_history::files::frames;
use ferrometer_history::level::Plan;
use ferrometer_history::recorder::Recorder;
use ferrometer_history::store::Store;
use ferrometer_history::track::Shape;
use ferrometer_promql::{Samples, Storage};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

/// A whole block of every shape.
fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let store = Store::new(Plan::default());
        let mut recorder = Recorder::new(&store.plan, 0);
        let bounds = Shape::Classic([0.1, 1.0, f64::INFINITY].into());
        let names: Vec<Arc<str>> = ["a_total", "b", "c"].map(Arc::from).into();
        for second in 1..40u32 {
            recorder.begin(1_700_000_000_000 + i64::from(second) * 1000);
            recorder.scalar(&Shape::Counter, &names[0], "x=\"y\"", f64::from(second % 17));
            recorder.scalar(&Shape::Gauge, &names[1], "", f64::from(second) * 0.37);
            let counts = [u64::from(second), u64::from(second / 3), 1];
            recorder.classic(&names[2], "x=\"y\"", &bounds, &counts, f64::from(second));
            let bins = vec![(262_000 + second % 5, u64::from(second)), (262_100, 1)];
            recorder.bins(&names[2], "x=\"y\"", Some(&bins));
            store.add(&recorder.finish());
        }
        let mut memory = store.lock();
        memory.seal(0).expect("an open block")
    })
}

fn with_checksum(bytes: &mut [u8]) {
    if bytes.len() >= 64 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..16]);
        hasher.update(&bytes[20..]);
        let checksum = hasher.finalize().to_le_bytes();
        bytes[16..20].copy_from_slice(&checksum);
    }
}

/// Everything that is in it is read.
fn look(bytes: &[u8]) {
    let store = Store::new(Plan::default());
    for level in 0..4 {
        store.lock().push_sealed(level, bytes, Place::Memory(bytes.into()));
    }
    let selection = store.select(&[], i64::MIN, i64::MAX).expect("memory can be read");
    for series in 0..selection.count().min(1000) {
        let mut samples = Samples::default();
        selection.read(series, i64::MIN, i64::MAX, &mut samples).expect("memory can be read");
        assert!(samples.floats.windows(2).all(|two| two[0].time_ms < two[1].time_ms));
    }
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(2000), ..ProptestConfig::default() })]

    #[test]
    fn changed_blocks(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>(), is_cut in any::<bool>()) {
        let mut bytes = block().to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        prop_assume!(bytes != block());
        let _ = Sealed::read(&bytes, Place::Memory(bytes.clone().into()), &mut Catalog::default());
        with_checksum(&mut bytes);
        look(&bytes);
    }

    #[test]
    fn noise(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Sealed::read(&bytes, Place::Memory(bytes.clone().into()), &mut Catalog::default());
        let (found, used) = frames(&bytes);
        prop_assert!(used <= bytes.len() && found.len() <= bytes.len());
        // With a length and a checksum that are right.
        let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
        framed.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        framed.extend_from_slice(&bytes);
        let (found, _) = frames(&framed);
        let store = Store::new(Plan::default());
        for frame in &found {
            store.lock().apply(0, frame);
        }
    }
}

#[test]
fn the_block_itself_is_whole() {
    let mut catalog = Catalog::default();
    let sealed = Sealed::read(block(), Place::Memory(block().into()), &mut catalog).expect("a block");
    assert_eq!((sealed.ids.len(), sealed.ticks.len()), (4, 39));
    look(block());
}
