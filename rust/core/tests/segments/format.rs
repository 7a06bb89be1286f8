//! What is written into a segment file is read back, and nothing else is believed.

use ferrometer_core::mode::Mode;
use ferrometer_core::segment::damage::Damage;
use ferrometer_core::segment::format::{header, hex, Content, Header};
use ferrometer_core::segment::record::{Detail, FamilyRecord, Record, SeriesRecord, Tombstone};
use proptest::collection::vec;
use proptest::prelude::*;

fn detail() -> impl Strategy<Value = Detail> {
    let number = || prop_oneof![any::<f64>().prop_filter("comparable", |n| !n.is_nan()), Just(f64::INFINITY)];
    prop_oneof![
        Just(Detail::Counter),
        Just(Detail::Info),
        prop::sample::select(Mode::EVERY.to_vec()).prop_map(Detail::Gauge),
        vec(number(), 0..20).prop_map(Detail::Histogram),
        vec(number(), 0..5).prop_map(Detail::Summary),
        vec(".{0,6}", 0..5).prop_map(Detail::StateSet),
    ]
}

fn family() -> impl Strategy<Value = FamilyRecord> {
    let texts = (".{0,8}", ".{0,8}", ".{0,20}", ".{0,8}", vec(".{0,5}", 0..4));
    (any::<[u32; 5]>(), texts, detail()).prop_map(|([id, block, generation, max_series, ordinal], texts, detail)| {
        let (scope, name, help, unit, labels) = texts;
        FamilyRecord { id, block, generation, max_series, ordinal, scope, name, help, unit, labels, detail }
    })
}

fn record() -> impl Strategy<Value = Record> {
    let series = (any::<[u32; 4]>(), any::<u64>(), vec(any::<u8>(), 0..40));
    let series = series.prop_map(|([family, generation, block, buckets], stamp, text)| {
        Record::Series(SeriesRecord { family, generation, block, buckets, stamp, text })
    });
    let tombstone = (any::<u64>(), ".{0,8}", ".{0,8}", prop::option::of(vec(any::<u8>(), 0..40)));
    let tombstone =
        tombstone.prop_map(|(stamp, scope, name, text)| Record::Tombstone(Tombstone { stamp, scope, name, text }));
    prop_oneof![family().prop_map(Record::Family), series, tombstone, any::<[u8; 16]>().prop_map(Record::Folded)]
}

fn headers() -> impl Strategy<Value = Header> {
    let content = prop_oneof![Just(Content::Process), Just(Content::Graveyard)];
    (any::<[u8; 16]>(), any::<[u64; 3]>(), any::<[u8; 16]>(), 0f64..1e10, content).prop_map(
        |(uuid, [pid, start, namespace], boot, created, content)| Header {
            uuid,
            pid,
            start,
            namespace,
            boot,
            created,
            content,
        },
    )
}

proptest! {
    #[test]
    fn records_are_read_back(records in vec(record(), 0..6)) {
        let mut bytes = Vec::new();
        for record in &records {
            record.encode(&mut bytes);
        }
        let mut rest = &bytes[..];
        for record in records {
            let (read, length) = Record::parse(rest).unwrap();
            prop_assert_eq!(read, record);
            prop_assert_eq!(length % 8, 0);
            rest = &rest[length..];
        }
        prop_assert!(rest.is_empty());
    }

    /// One wrong bit is told, wherever it is; so is a record that is cut off.
    #[test]
    fn damage_is_told(record in record(), bit in any::<prop::sample::Index>(), end in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        prop_assert!(Record::parse(&bytes[..end.index(bytes.len())]).is_err());
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Record::parse(&bytes).is_err());
    }

    /// Counts and lengths are bounded by what is there, even when the checksum vouches for them.
    #[test]
    fn anything_with_a_good_checksum_is_parsed_or_refused(kind in 0u32..6, words in vec(prop_oneof![any::<u32>(), 0u32..9], 1..40)) {
        let mut bytes = vec![0; 8];
        std::iter::once(&kind).chain(&words).for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let (length, checksum) = (bytes.len() as u32, crc32fast::hash(&bytes[8..]));
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        if let Ok((_, length)) = Record::parse(&bytes) {
            prop_assert_eq!(length, bytes.len());
        }
    }

    #[test]
    fn random_bytes_are_no_record(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Record::parse(&bytes).is_err());
        prop_assert!(Header::parse(&bytes).is_err());
    }

    #[test]
    fn headers_are_read_back(header in headers(), bit in 0..header::FIXED * 8) {
        let mut bytes = header.encode();
        prop_assert_eq!(Header::parse(&bytes), Ok(header));
        prop_assert_eq!(Header::parse(&bytes[..header::FIXED - 1]), Err(Damage::Truncated));
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Header::parse(&bytes).is_err());
    }
}

#[test]
fn what_is_foreign_is_told_apart() {
    let header = Header {
        uuid: *b"0123456789abcdef",
        pid: 7,
        start: 8,
        namespace: 9,
        boot: [1; 16],
        created: 2.0,
        content: Content::Process,
    };
    let change = |at: usize, value: u32| {
        let mut bytes = header.encode();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..header::CHECKSUM]).to_le_bytes();
        bytes[header::CHECKSUM..].copy_from_slice(&checksum);
        Header::parse(&bytes)
    };
    assert_eq!(change(header::MAGIC, 0), Err(Damage::Magic));
    assert_eq!(change(header::VERSION, 2), Err(Damage::Version));
    assert_eq!(change(header::ORDER, 0x0403_0201), Err(Damage::Order));
    assert_eq!(change(header::KIND, 3), Err(Damage::Content));
    assert_eq!(Header::parse(&[]), Err(Damage::Empty));
    assert_eq!(hex(&header.uuid), "30313233343536373839616263646566");
    let mut reasons = Damage::EVERY.map(Damage::reason).to_vec();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), Damage::EVERY.len());
}
