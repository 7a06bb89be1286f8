//! A process that forks. Its program runs no other test: a child has every descriptor of its parent for a moment, and with
//! them the locks of tests beside it.
#![cfg(target_os = "linux")]

use ferrometer_ring::file::{list, Ring, LEAST};
use ferrometer_ring::reader::Place;
use ferrometer_ring::{own, Head, Kind, Level, Outcome};
use std::fs;
use std::os::unix::fs::DirBuilderExt;

#[test]
fn a_forked_child_has_a_ring_of_its_own() {
    let directory = std::env::temp_dir().join(format!("ferrometer-rings-fork-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
    let log = |text: &str| {
        // SAFETY: this program has one test, on one thread.
        unsafe { own::append(Kind::Lines, &Head::default(), &[text.as_bytes()]) }
    };
    assert!(matches!(log("too early"), Outcome::Dropped(_)));
    assert_eq!(own::closed(Kind::Lines, Level::Info), 1);
    // SAFETY: one thread, and no ring is open yet.
    unsafe { own::open(Kind::Lines, None, LEAST).unwrap() };
    assert_eq!(log("before it is shared"), Outcome::Queued);
    // SAFETY: one thread; nobody uses the first ring meanwhile.
    unsafe { own::open(Kind::Lines, Some(&directory), LEAST).unwrap() };
    assert_eq!(log("parent"), Outcome::Queued);
    // SAFETY: the child runs nothing but this, and ends without unwinding.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let is_fresh = !own::is_open(Kind::Lines);
        let outcome = log("child");
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!(is_fresh && outcome == Outcome::Queued && own::is_open(Kind::Lines)))) };
    }
    let mut status = 0;
    // SAFETY: the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(log("parent again"), Outcome::Queued);
    let rings: Vec<Ring> =
        list(&directory, Kind::Lines).unwrap().iter().map(|path| Ring::open(path).unwrap()).collect();
    let texts = |ring: &Ring| -> Vec<String> {
        let batch = ring.region.read(Place::default(), usize::MAX);
        batch.records.into_iter().map(|record| String::from_utf8(record.payload).unwrap()).collect()
    };
    let mut found: Vec<_> = rings.iter().map(|ring| (ring.is_alive(), texts(ring))).collect();
    found.sort();
    assert_eq!(
        found,
        [
            (false, vec!["child".to_owned()]),
            (true, vec!["before it is shared".into(), "parent".into(), "parent again".into()])
        ]
    );
    fs::remove_dir_all(directory).unwrap();
}
