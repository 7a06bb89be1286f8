//! A family that is full, and series that are removed.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(crate) fn counter(labels: &[&str], max_series: usize) -> Arc<Family> {
    Family::new(
        Definition {
            name: "x".into(),
            help: String::new(),
            unit: String::new(),
            kind: Kind::Counter,
            labels: labels.iter().map(|&l| l.into()).collect(),
            max_series,
        },
        "",
    )
}

fn values(family: &Family) -> BTreeMap<Vec<String>, u64> {
    let mut all = BTreeMap::new();
    family.for_each(|series| {
        all.insert(family.labels().values(series.text()), series.counter().parts().0);
    });
    all
}

#[test]
fn a_full_family_folds_further_series_into_one() {
    let family = counter(&["user"], 3);
    for user in 0..10 {
        family.series(&[&user.to_string()]).unwrap().counter().inc();
    }
    assert_eq!(family.len(), 4);
    assert_eq!(values(&family)[&vec![OVERFLOW.to_string()]], 7);
    assert_eq!(family.faults(), (7, 0));
}

#[test]
fn a_removed_series_starts_again_from_zero() {
    let family = counter(&["a"], 100);
    let old = family.series(&["x"]).unwrap();
    old.counter().inc();
    assert_eq!(family.remove(&["x"]), Ok(true));
    assert_eq!(family.remove(&["x"]), Ok(false));
    old.counter().inc();
    assert_eq!(family.series(&["x"]).unwrap().counter().parts().0, 0);
    assert!(family.remove(&[]).is_err());
}

#[test]
fn a_removed_series_has_no_exemplars() {
    let family = counter(&["a"], 100);
    let exemplar = || Exemplar::now(&[("trace_id".into(), "t".into())], 1.0);
    let old = family.series(&["x"]).unwrap();
    family.keep_exemplar(&old, 0, exemplar());
    assert_eq!(family.exemplars().of(old.text()).len(), 1);
    assert!(!old.is_removed());
    family.remove(&["x"]).unwrap();
    family.keep_exemplar(&old, 0, exemplar());
    assert_eq!(family.exemplars().of(old.text()), []);
    let new = family.series(&["x"]).unwrap();
    family.keep_exemplar(&old, 0, exemplar());
    assert_eq!((family.exemplars().of(new.text()), old.is_removed(), new.is_removed()), (vec![], true, false));
    family.keep_exemplar(&new, 0, exemplar());
    family.clear();
    family.keep_exemplar(&new, 0, exemplar());
    assert_eq!((family.exemplars().of(new.text()), family.removals()), (vec![], 2));
}

proptest! {
    /// The oracle: a map.
    #[test]
    fn a_family_is_a_map(script in proptest::collection::vec(("[ab\"\\\\]{0,2}", "[ab\n,]{0,2}", 0u8..10), 0..300)) {
        let family = counter(&["p", "q"], 10_000);
        let mut twin: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for (p, q, action) in script {
            let key = vec![p.clone(), q.clone()];
            match action {
                0 | 1 => prop_assert_eq!(family.remove(&[&p, &q]), Ok(twin.remove(&key).is_some())),
                2 if twin.len() > 8 => { family.clear(); twin.clear(); }
                _ => {
                    family.series(&[&p, &q]).unwrap().counter().inc();
                    *twin.entry(key).or_default() += 1;
                }
            }
            prop_assert_eq!(family.len(), twin.len());
        }
        prop_assert_eq!(values(&family), twin);
    }
}
