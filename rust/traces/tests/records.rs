//! What is written can be read, and nothing that is read can do harm.

use ferrometer_traces::format::REMOTE_PARENT;
use ferrometer_traces::read::{Span, Value};
use ferrometer_traces::write::{self, Beginning, Pairs};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Any {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Any>),
    Map(Vec<(String, Any)>),
}

fn anything() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        Just(Any::None),
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Int),
        (-1e300..1e300f64).prop_map(Any::Float),
        "\\PC{0,20}".prop_map(Any::Text),
        any::<Vec<u8>>().prop_map(Any::Bytes),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Any::List),
            proptest::collection::vec(("[a-z]{1,5}", inner), 0..4).prop_map(Any::Map),
        ]
    })
}

fn put(out: &mut Vec<u8>, value: &Any) {
    match value {
        Any::None => write::none(out),
        Any::Bool(value) => write::truth(out, *value),
        Any::Int(value) => write::int(out, *value),
        Any::Float(value) => write::float(out, *value),
        Any::Text(value) => write::text(out, |out| out.extend_from_slice(value.as_bytes())),
        Any::Bytes(value) => write::bytes(out, value),
        Any::List(values) => write::list(out, |out| {
            for value in values {
                put(out, value);
            }
            values.len() as u32
        }),
        Any::Map(pairs) => write::map(out, |out| {
            for (name, value) in pairs {
                write::short(out, name.as_bytes());
                put(out, value);
            }
            pairs.len() as u32
        }),
    }
}

fn value(of: &Any) -> Value<'_> {
    match of {
        Any::None => Value::None,
        Any::Bool(value) => Value::Bool(*value),
        Any::Int(value) => Value::Int(*value),
        Any::Float(value) => Value::Float(*value),
        Any::Text(value) => Value::Text(value),
        Any::Bytes(bytes) => Value::Bytes(bytes),
        Any::List(values) => Value::List(values.iter().map(value).collect()),
        Any::Map(pairs) => Value::Map(pairs.iter().map(|(name, of)| (name.as_str(), value(of))).collect()),
    }
}

/// The naive twin: a list of pairs, of which a later one replaces an earlier.
fn last_of_each(pairs: &[(String, Any)], most: usize) -> (Vec<(&str, Value<'_>)>, u32) {
    let (mut kept, mut dropped): (Vec<(&str, Value<'_>)>, u32) = (Vec::new(), 0);
    for (name, of) in pairs {
        kept.retain(|(other, _)| other != name);
        if kept.len() == most {
            dropped += 1;
        } else {
            kept.push((name, value(of)));
        }
    }
    (kept, dropped)
}

fn pairs(of: &[(String, Any)], most: u32) -> Pairs {
    let mut pairs = Pairs::default();
    for (name, value) in of {
        pairs.set(name.as_bytes(), most, false, |out| put(out, value));
    }
    pairs
}

fn payload(name: &str, attributes: &Pairs, event: &Pairs, link: &Pairs) -> Vec<u8> {
    let (mut events, mut links) = (Vec::new(), Vec::new());
    write::event(&mut events, 7, b"happened", event);
    write::link(&mut links, &[1; 16], [2; 8], 1, b"a=1", link);
    let mut out = Vec::new();
    Beginning {
        kind: 2,
        status: 2,
        flags: 1 | REMOTE_PARENT,
        parent: [3; 8],
        start_ns: 5,
        dropped: [attributes.dropped(), 8, 9],
        counts: [attributes.count(), 1, 1],
        bytes: [attributes.bytes().len() as u32, events.len() as u32],
        texts: [name.as_bytes(), b"s=1", b"failed", b"scope", b"1.0"],
    }
    .write(&mut out);
    out.extend_from_slice(attributes.bytes());
    out.extend_from_slice(&events);
    out.extend_from_slice(&links);
    out
}

proptest! {
    #[test]
    fn there_and_back(
        name in "\\PC{0,30}",
        attributes in proptest::collection::vec(("[a-d.]{1,3}", anything()), 0..12),
        event in proptest::collection::vec(("[a-d.]{1,3}", anything()), 0..4),
        link in proptest::collection::vec(("[a-d.]{1,3}", anything()), 0..4),
        most in 0..10u32,
    ) {
        let written = payload(&name, &pairs(&attributes, most), &pairs(&event, 99), &pairs(&link, 99));
        let span = Span::read(&written).unwrap();
        let (expected, dropped) = last_of_each(&attributes, most as usize);
        prop_assert_eq!((span.name, span.tracestate, span.message, span.scope), (&name[..], "s=1", "failed", ("scope", "1.0")));
        prop_assert_eq!((span.kind, span.status, span.flags, span.has_remote_parent), (2, 2, 1, true));
        prop_assert_eq!((span.parent, span.start_ns, span.dropped), ([3; 8], 5, [dropped, 8, 9]));
        prop_assert_eq!(span.attributes, expected);
        prop_assert_eq!((span.events[0].time_ns, span.events[0].name), (7, "happened"));
        prop_assert_eq!(&span.events[0].attributes, &last_of_each(&event, 99).0);
        prop_assert_eq!((span.links[0].trace_id, span.links[0].span_id, span.links[0].tracestate), ([1; 16], [2; 8], "a=1"));
        prop_assert_eq!(&span.links[0].attributes, &last_of_each(&link, 99).0);
    }

    #[test]
    fn any_bytes_are_a_span_or_none(bytes: Vec<u8>) {
        let _ = Span::read(&bytes);
        let mut bytes = bytes;
        bytes.insert(0, 1);
        let _ = Span::read(&bytes);
    }

    #[test]
    fn damage_does_no_harm(attributes in proptest::collection::vec(("[a-d]{1,3}", anything()), 0..6), at: prop::sample::Index, byte: u8) {
        let mut written = payload("name", &pairs(&attributes, 99), &pairs(&attributes, 99), &Pairs::default());
        let at = at.index(written.len());
        written[at] = byte;
        let _ = Span::read(&written);
        written.truncate(at);
        prop_assert_eq!(Span::read(&written), None);
    }
}

#[test]
fn a_span_has_an_end() {
    let mut pairs = Pairs::default();
    for number in 0..1000 {
        pairs.set(format!("k{number}").as_bytes(), 2000, true, |out| {
            write::text(out, |out| out.extend_from_slice(&[b'x'; 1000]));
        });
    }
    assert!(pairs.bytes().len() <= ferrometer_traces::limits::LONGEST);
    assert_eq!(u32::from(pairs.count()) + pairs.dropped(), 1000);
    assert!(pairs.count() > 100);
}
