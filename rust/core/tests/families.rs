//! A scrape prints every series that was there all the time, and no label set twice, whatever is made
//! and removed meanwhile.
#![cfg(not(loom))]

use ferrometer_core::family::{Definition, Family, Kind, OVERFLOW};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;

fn family(max_series: usize) -> Arc<Family> {
    Family::new(
        Definition {
            name: "x".into(),
            help: String::new(),
            unit: String::new(),
            kind: Kind::Counter,
            labels: vec!["n".into()],
            max_series,
        },
        "",
    )
}

fn make(family: &Family, n: usize) {
    family.series(&[&n.to_string()]).unwrap();
}

fn remove(family: &Family, n: usize) -> bool {
    family.remove(&[&n.to_string()]).unwrap()
}

fn number(family: &Family, text: &[u8]) -> usize {
    family.labels().values(text)[0].parse().unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Make(usize),
    Remove(usize),
    /// Half of all, so that the table is compacted.
    RemoveEven,
    Clear,
    /// Another scrape within this one.
    Visit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..1500).prop_map(Step::Make),
        6 => (0usize..1500).prop_map(Step::Remove),
        1 => Just(Step::RemoveEven),
        1 => Just(Step::Clear),
        1 => Just(Step::Visit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 128 }))]

    /// The family changes under a scrape at any visit: the oracle is the set of series that were there
    /// at the start and were never removed.
    #[test]
    fn a_scrape_sees_what_stayed_once(
        before in 0usize..1200,
        script in proptest::collection::btree_map(0usize..1200, proptest::collection::vec(step(), 1..20), 0..20),
    ) {
        let before = if cfg!(miri) { before / 4 } else { before };
        let family = family(100_000);
        (0..before).for_each(|n| make(&family, n));
        let mut stayed: BTreeSet<usize> = (0..before).collect();
        let mut seen = Vec::new();
        let mut visits = 0;
        family.for_each(|series| {
            seen.push(number(&family, series.text()));
            for step in script.get(&visits).into_iter().flatten() {
                match step {
                    Step::Make(n) => make(&family, *n),
                    Step::Remove(n) => {
                        remove(&family, *n);
                        stayed.remove(n);
                    }
                    Step::RemoveEven => {
                        (0..1500).step_by(2).for_each(|n| { remove(&family, n); });
                        stayed.retain(|n| n % 2 == 1);
                    }
                    Step::Clear => {
                        family.clear();
                        stayed.clear();
                    }
                    Step::Visit => {
                        let mut inner = 0;
                        family.for_each(|_| inner += 1);
                        assert_eq!(inner, family.len());
                    }
                }
            }
            visits += 1;
        });
        let distinct: BTreeSet<usize> = seen.iter().copied().collect();
        prop_assert_eq!(distinct.len(), seen.len(), "a label set was visited twice");
        prop_assert!(distinct.is_superset(&stayed), "skipped {:?}", stayed.difference(&distinct));
        prop_assert!(distinct.iter().all(|&n| n < before), "a later one was visited");
        // Afterwards the family is what it should be, holes closed.
        let mut after = BTreeSet::new();
        family.for_each(|series| assert!(after.insert(number(&family, series.text()))));
        prop_assert_eq!(after.len(), family.len());
        prop_assert!(after.is_superset(&stayed));
    }
}

#[test]
fn scrapes_on_threads_beside_churn() {
    const KEPT: usize = if cfg!(miri) { 20 } else { 1000 };
    const ROUNDS: usize = if cfg!(miri) { 2 } else { 200 };
    let family = family(100_000);
    // Kept series lie among those that come and go.
    (0..3 * KEPT).for_each(|n| make(&family, n));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let mut seen = BTreeSet::new();
                    family.for_each(|series| {
                        let n = number(&family, series.text());
                        assert!(seen.insert(n), "{n} was visited twice");
                    });
                    assert!((0..KEPT).all(|n| seen.contains(&(3 * n))), "a series was skipped");
                }
            });
        }
        for _ in 0..ROUNDS {
            let coming_and_going = || (0..3 * KEPT).filter(|n| n % 3 != 0);
            coming_and_going().for_each(|n| assert!(remove(&family, n)));
            coming_and_going().for_each(|n| make(&family, n));
        }
        done.store(true, Relaxed);
    });
    assert_eq!(family.len(), 3 * KEPT);
}

#[test]
fn a_panicking_visit_leaves_the_family_whole() {
    let family = family(100_000);
    (0..10).for_each(|n| make(&family, n));
    let visit = std::panic::AssertUnwindSafe(|| family.for_each(|_| panic!("on purpose")));
    assert!(std::panic::catch_unwind(visit).is_err());
    (0..10).for_each(|n| assert!(remove(&family, n)));
    (20..30).for_each(|n| make(&family, n));
    let mut seen = Vec::new();
    family.for_each(|series| seen.push(number(&family, series.text())));
    assert_eq!(seen, (20..30).collect::<Vec<_>>());
}

#[test]
fn the_overflow_series_takes_no_place() {
    let family = family(3);
    (0..5).for_each(|n| make(&family, n));
    assert_eq!((family.len(), family.faults().0), (4, 2));
    assert!(remove(&family, 0));
    make(&family, 7);
    make(&family, 8);
    assert_eq!((family.len(), family.faults().0), (4, 3));
    let mut seen = BTreeSet::new();
    family.for_each(|series| {
        seen.insert(family.labels().values(series.text()).remove(0));
    });
    assert_eq!(seen, ["1", "2", "7", OVERFLOW].map(String::from).into());
}
