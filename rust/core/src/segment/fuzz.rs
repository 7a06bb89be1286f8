//! Any bytes at all as a segment: nothing that reads them may panic, hang or leave the file.

use super::fold::fold;
use super::format::{extent, header, hex, GRAIN, GRAVEYARD, MAGIC, ORDER, SUFFIX, VERSION};
use super::inspect::inspect;
use super::record::Record;
use super::view::View;
use crate::histogram::Buckets;
use crate::reading::Reading;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Reads these bytes in every way there is: as they are, and with their checksums put right, without which
/// few of them would come far.
///
/// # Panics
/// When there is something to find.
pub fn fuzz(bytes: &[u8]) {
    let folder = Folder::new();
    read(&folder.0, bytes);
    let mut repaired = bytes.to_vec();
    repair(&mut repaired);
    read(&folder.0, &repaired);
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let root = Some(PathBuf::from("/dev/shm")).filter(|shared| shared.is_dir());
        let name = format!("ferrometer-fuzz-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = root.unwrap_or_else(std::env::temp_dir).join(name);
        fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory of our own");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Puts the header's and the records' checksums right.
fn repair(bytes: &mut [u8]) {
    if bytes.len() < header::SIZE {
        return;
    }
    bytes[header::MAGIC..][..8].copy_from_slice(&MAGIC);
    bytes[header::VERSION..][..4].copy_from_slice(&VERSION.to_le_bytes());
    bytes[header::ORDER..][..4].copy_from_slice(&ORDER.to_le_bytes());
    let kind = if bytes[header::KIND].is_multiple_of(2) { 2u32 } else { 1 };
    bytes[header::KIND..][..4].copy_from_slice(&kind.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..header::CHECKSUM]).to_le_bytes();
    bytes[header::CHECKSUM..][..4].copy_from_slice(&checksum);
    let word = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let mut at = word(bytes, header::LOG).unwrap_or_default() * GRAIN;
    for _ in 0..64 {
        let (Some(next), Some(used)) = (word(bytes, at + extent::NEXT), word(bytes, at + extent::USED)) else { return };
        let Some(records) = bytes.get_mut(at + extent::RECORDS..at + extent::RECORDS + used) else { return };
        let mut rest = records;
        while let Ok(length) = Record::length(rest) {
            let (record, after) = rest.split_at_mut(length);
            let checksum = crc32fast::hash(&record[8..]).to_le_bytes();
            record[4..8].copy_from_slice(&checksum);
            rest = after;
        }
        at = next * GRAIN;
        if at == 0 {
            return;
        }
    }
}

/// Reads a file of these bytes, folds it, and reads what became of it.
fn read(directory: &Path, bytes: &[u8]) {
    let uuid: [u8; 16] = bytes.get(header::UUID..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    let is_graveyard = bytes.get(header::KIND) == Some(&2);
    let name = if is_graveyard { GRAVEYARD.into() } else { format!("{}{SUFFIX}", hex(&uuid)) };
    let path = directory.join(name);
    fs::write(&path, bytes).expect("room for the file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
    let mut view = View::open(directory).expect("our own directory");
    view.refresh();
    read_all(&view);
    assert_eq!(inspect(directory).expect("our own directory").len(), 1);
    let folded = fold(directory);
    assert!(folded.is_ok() || view.is_graveyard_unknown(), "{folded:?}");
    view.refresh();
    read_all(&view);
    for file in fs::read_dir(directory).expect("our own directory").flatten() {
        let _ = fs::remove_file(file.path());
    }
    view.refresh();
    read_all(&view);
}

fn read_all(view: &View) {
    let mut buckets = Buckets::default();
    for family in view.families("default").chain(view.families("")) {
        let (definition, labels) = (family.definition(), family.labels());
        family.for_each(&mut |series| {
            let named = labels.named(series.text());
            assert!(labels.is_open() || named.len() == definition.labels.len());
            labels.split(series.text(), "le");
            series.created();
            series.counter();
            series.gauge();
            series.buckets(&mut buckets);
            series.snapshot().quantile(0.5);
            if let Some(text) = series.info() {
                crate::labels::pairs(text.as_bytes());
            }
            series.exemplars();
        });
        family.faults();
    }
    view.unreadable();
    view.conflicts();
}

#[cfg(test)]
mod tests {
    use super::super::format::{Content, Header};
    use super::super::image::{Image, GENERATION};
    use super::super::record::{Detail, FamilyRecord, SeriesRecord, Tombstone};
    use super::*;
    use crate::exemplar::Exemplar;
    use crate::histogram::{Histogram, Layout};
    use crate::mode::Mode;
    use proptest::prelude::*;

    /// A file with one of everything.
    fn seed(content: Content) -> Vec<u8> {
        let mut image = Image::new();
        let details = [
            Detail::Counter,
            Detail::Gauge(Mode::All),
            Detail::Gauge(Mode::Sum),
            Detail::Histogram(vec![1.0, f64::INFINITY]),
            Detail::Summary(vec![0.5]),
            Detail::Info,
            Detail::StateSet(vec!["on".into(), "off".into()]),
        ];
        for (id, detail) in (1..).zip(details) {
            let block = image.family((1, 2));
            image.record(&Record::Family(FamilyRecord {
                id,
                block,
                generation: GENERATION,
                max_series: 10,
                ordinal: 0,
                scope: "default".into(),
                name: format!("f{id}"),
                help: "help".into(),
                unit: String::new(),
                labels: vec!["a".into()],
                detail: detail.clone(),
            }));
            for value in ["x", "y"] {
                let (block, buckets) = match &detail {
                    Detail::Counter => (image.counter(1.0, (5, 0.5)), 0),
                    Detail::Gauge(_) | Detail::StateSet(_) => (image.gauge(1.0, (1.0, 2.0)), 0),
                    Detail::Info => (image.info(1.0, ("b=\"c\"", 2.0)), 0),
                    Detail::Histogram(_) | Detail::Summary(_) => {
                        let bounds: &[f64] = if matches!(detail, Detail::Summary(_)) { &[] } else { &[1.0] };
                        let histogram = Histogram::new(Layout::new(bounds).unwrap());
                        for value in [0.5, 3.0, 1e-300, 1e300, 0.0, -1.0] {
                            histogram.record_many(value, 70_000);
                        }
                        image.histogram(1.0, &histogram.snapshot())
                    }
                };
                let exemplar = Exemplar { labels: "t=\"1\"".into(), value: 1.0, timestamp: 2.0 };
                image.exemplars(block, 1, &[Some(exemplar)]);
                let is_whole = content == Content::Graveyard && matches!(detail, Detail::Gauge(Mode::All));
                let text = if is_whole { format!("a=\"{value}\",pid=\"7\"") } else { format!("a=\"{value}\"") };
                let (family, generation, text) = (id, GENERATION, text.into_bytes());
                let series = SeriesRecord { family, generation, block, buckets, stamp: 3, text };
                image.record(&Record::Series(series));
            }
        }
        let (scope, text) = ("default".into(), Some(b"a=\"x\"".to_vec()));
        image.record(&Record::Tombstone(Tombstone { stamp: 9, scope, name: "f1".into(), text }));
        if content == Content::Graveyard {
            image.record(&Record::Folded([3; 16]));
        }
        let (boot, created) = ([0; 16], 5.0);
        let head = Header { uuid: [1; 16], pid: 7, start: 1, namespace: 0, boot, created, content };
        image.finish(&head, 1).unwrap()
    }

    /// Where something is that others follow: the header, and all that the log says.
    fn interesting(seed: &[u8], index: usize) -> usize {
        let log = u32::from_le_bytes(seed[header::LOG..][..4].try_into().unwrap()) as usize * GRAIN;
        let spans = [0..160, header::SIZE..log, log..seed.len(), log..seed.len()];
        let span = spans[index % 4].clone();
        span.start + (index / 4) % span.len()
    }

    #[test]
    fn the_seeds_are_read_wholly() {
        for content in [Content::Process, Content::Graveyard] {
            let folder = Folder::new();
            let name =
                if content == Content::Graveyard { GRAVEYARD.into() } else { format!("{}.seg", "01".repeat(16)) };
            fs::write(folder.0.join(name), seed(content)).unwrap();
            fs::set_permissions(
                fs::read_dir(&folder.0).unwrap().next().unwrap().unwrap().path(),
                fs::Permissions::from_mode(0o600),
            )
            .unwrap();
            let mut view = View::open(&folder.0).unwrap();
            view.refresh();
            assert_eq!(view.unreadable(), []);
            let mut series = 0;
            view.families("default").for_each(|family| family.for_each(&mut |_| series += 1));
            // All but the one that was removed.
            assert_eq!(series, 13, "{content:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        /// With each of them twice, ten thousand files.
        #[test]
        fn whatever_the_bytes_are(
            graveyard in any::<bool>(),
            changes in proptest::collection::vec((any::<u32>(), prop_oneof![
                any::<u8>(), Just(0), Just(0xff), Just(1), Just(16)
            ], 1usize..5), 0..12),
            end in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        ) {
            let seed = seed(if graveyard { Content::Graveyard } else { Content::Process });
            let mut bytes = seed.clone();
            for (at, byte, run) in changes {
                let at = interesting(&seed, at as usize);
                let end = bytes.len().min(at + run);
                bytes[at..end].fill(byte);
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len()));
            }
            fuzz(&bytes);
        }
    }
}
