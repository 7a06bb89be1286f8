//! Which series were removed, by whichever process, and up to which removal epoch.

use super::record::Tombstone;
use hashbrown::HashMap;

/// The removals that are still to be remembered.
#[derive(Default)]
pub(super) struct Tombstones {
    by_family: HashMap<(Box<str>, Box<str>), Removed>,
    /// How many there were, ever.
    news: u64,
}

#[derive(Default)]
struct Removed {
    /// Every series made before this epoch.
    all: u64,
    /// The series with this text, made before this one.
    texts: HashMap<Box<[u8]>, u64>,
}

/// The removals of one family.
#[derive(Clone, Copy)]
pub(super) struct Fallen<'a>(Option<&'a Removed>);

impl Fallen<'_> {
    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self.0.is_none()
    }

    /// Whether the series with this text, made at this removal epoch, was removed.
    pub(super) fn hides(self, text: &[u8], stamp: u64) -> bool {
        self.0.is_some_and(|removed| stamp < removed.all || removed.texts.get(text).is_some_and(|&at| stamp < at))
    }
}

impl Tombstones {
    /// Remembers a removal. True when it is news.
    pub(super) fn add(&mut self, tombstone: &Tombstone) -> bool {
        let key = (tombstone.scope.as_str().into(), tombstone.name.as_str().into());
        let removed = self.by_family.entry(key).or_default();
        let known = match &tombstone.text {
            None => &mut removed.all,
            Some(text) => removed.texts.entry(text.as_slice().into()).or_default(),
        };
        let is_news = tombstone.stamp > *known;
        *known = tombstone.stamp.max(*known);
        self.news += u64::from(is_news);
        is_news
    }

    /// How many removals were added, ever.
    pub(super) fn news(&self) -> u64 {
        self.news
    }

    /// The removals of a family.
    pub(super) fn of(&self, scope: &str, name: &str) -> Fallen<'_> {
        if self.by_family.is_empty() {
            return Fallen(None);
        }
        Fallen(self.by_family.get(&(scope.into(), name.into())))
    }

    /// Forgets those up to an epoch.
    pub(super) fn forget(&mut self, epoch: u64) {
        self.by_family.retain(|_, removed| {
            removed.texts.retain(|_, &mut at| at > epoch);
            removed.all > epoch || !removed.texts.is_empty()
        });
    }

    /// Those after an epoch, as they are written, in no order.
    pub(super) fn after(&self, epoch: u64) -> Vec<Tombstone> {
        let mut all = Vec::new();
        for ((scope, name), removed) in &self.by_family {
            let mut add = |text: Option<&[u8]>, stamp: u64| {
                if stamp > epoch {
                    let text = text.map(<[u8]>::to_vec);
                    all.push(Tombstone { stamp, scope: scope.to_string(), name: name.to_string(), text });
                }
            };
            add(None, removed.all);
            removed.texts.iter().for_each(|(text, &stamp)| add(Some(text), stamp));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(stamp: u64, name: &str, text: Option<&str>) -> Tombstone {
        let text = text.map(|text| text.as_bytes().to_vec());
        Tombstone { stamp, scope: "default".into(), name: name.into(), text }
    }

    #[test]
    fn what_was_made_before_a_removal_is_hidden() {
        let mut tombstones = Tombstones::default();
        assert!(tombstones.of("default", "a").is_empty());
        assert!(tombstones.add(&tombstone(5, "a", Some("x"))));
        assert!(!tombstones.add(&tombstone(4, "a", Some("x"))));
        let hides =
            |tombstones: &Tombstones, text: &str, stamp| tombstones.of("default", "a").hides(text.as_bytes(), stamp);
        assert!(hides(&tombstones, "x", 4) && !hides(&tombstones, "x", 5) && !hides(&tombstones, "y", 0));
        assert!(tombstones.of("", "a").is_empty() && tombstones.of("default", "b").is_empty());
        assert!(tombstones.add(&tombstone(3, "a", None)));
        assert!(hides(&tombstones, "y", 2) && !hides(&tombstones, "y", 3) && hides(&tombstones, "x", 4));
        assert_eq!(tombstones.after(3), [tombstone(5, "a", Some("x"))]);
        assert_eq!(tombstones.after(0).len(), 2);
        tombstones.forget(4);
        assert!(hides(&tombstones, "x", 4));
        tombstones.forget(5);
        assert!(tombstones.of("default", "a").is_empty());
    }
}
