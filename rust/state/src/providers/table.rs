//! All providers and models of an application.

use super::health::{Calls, Settings};
use super::slot::{Slot, WORDS};
use crate::name::hash;
use crate::region::Region;
use crate::time::now_ms;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Pairs of provider and model that a table has room for.
pub const CAPACITY: usize = 512;
const NAME: &str = "providers";
/// The version of its layout.
const VERSION: u32 = 1;
const HEAD: usize = 16;
const BODY: usize = (HEAD + CAPACITY * WORDS) * 8;
const WITHOUT_ROOM: usize = 0;
const IS_SET: usize = 1;
const SETTINGS: usize = 2;

/// The providers of all processes of a directory, or of this one.
pub struct Table {
    /// Its memory.
    pub region: Region,
}

/// What is known of one provider: all of its models together, and each.
pub struct Provider {
    /// All models together.
    pub calls: Calls,
    /// Each model that was called in the window.
    pub models: BTreeMap<String, Calls>,
}

impl Table {
    /// That of a directory; without one, of this process.
    ///
    /// # Errors
    /// When the directory cannot be written or has no room.
    pub fn open(directory: Option<&Path>) -> io::Result<Self> {
        let region = match directory {
            Some(directory) => Region::open(directory, NAME, VERSION, BODY)?,
            None => Region::private(BODY)?,
        };
        Ok(Table { region })
    }

    /// That of a directory, if there is one. For a process that records nothing there itself.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn existing(directory: &Path) -> io::Result<Option<Self>> {
        let is_there = Region::path(directory, NAME, VERSION).exists();
        is_there.then(|| Self::open(Some(directory))).transpose()
    }

    fn slot(&self, index: usize) -> Slot<'_> {
        Slot { region: &self.region, words: &self.region.body()[HEAD + index * WORDS..][..WORDS] }
    }

    /// The slot of a provider and model, made when it is not there; nothing when the table is full.
    pub fn find_or_add(&self, provider: &str, model: &str) -> Option<Slot<'_>> {
        let key = hash(&format!("{provider}\0{model}"));
        for step in 0..CAPACITY {
            let slot = self.slot((key as usize).wrapping_add(step) % CAPACITY);
            let found = slot.key().compare_exchange(0, key, AcqRel, Acquire);
            if found.is_err_and(|other| other != key) {
                continue;
            }
            match slot.names() {
                Some((one, other)) if one != provider || other != model => continue, // the same hash
                Some(_) => {}
                None => slot.set_names(provider, model),
            }
            return Some(slot);
        }
        None
    }

    /// How many calls were not recorded for want of room.
    pub fn without_room(&self) -> &AtomicU64 {
        &self.region.body()[WITHOUT_ROOM]
    }

    /// Sets what all workers go by from now on.
    pub fn set(&self, settings: &Settings) {
        let words = &self.region.body()[SETTINGS..];
        let bits = [
            settings.window_ms,
            settings.error_weight.to_bits(),
            settings.target_seconds.to_bits(),
            settings.latency_weight.to_bits(),
            settings.unavailable_after,
            settings.healthy_from.to_bits(),
            settings.degraded_from.to_bits(),
        ];
        for (word, bits) in words.iter().zip(bits) {
            word.store(bits, Relaxed);
        }
        self.region.body()[IS_SET].store(1, Release);
    }

    /// What all workers go by.
    pub fn settings(&self) -> Settings {
        if self.region.body()[IS_SET].load(Acquire) == 0 {
            return Settings::default();
        }
        let word = |index: usize| self.region.body()[SETTINGS + index].load(Relaxed);
        let number = |index: usize| f64::from_bits(word(index));
        Settings {
            window_ms: word(0),
            error_weight: number(1),
            target_seconds: number(2),
            latency_weight: number(3),
            unavailable_after: word(4),
            healthy_from: number(5),
            degraded_from: number(6),
        }
    }

    /// Takes over the calls in the window of another table of this process, which shares this one from now on, and its
    /// settings, if it has any.
    pub fn take_over(&self, before: &Table) {
        self.take_over_at(before, now_ms());
    }

    fn take_over_at(&self, before: &Table, now_ms: u64) {
        let from = before.settings();
        if before.region.body()[IS_SET].load(Acquire) != 0 {
            self.set(&from);
        }
        let to = self.settings();
        for old in (0..CAPACITY).map(|index| before.slot(index)) {
            let Some((provider, model)) = old.names() else { continue };
            if let Some(slot) = self.find_or_add(&provider, &model) {
                slot.take_over(old, &from, &to, now_ms);
            } else {
                let calls = old.calls(&from, now_ms);
                self.without_room().fetch_add(calls.judged + calls.caller_faults, Relaxed);
            }
        }
        self.without_room().fetch_add(before.without_room().load(Relaxed), Relaxed);
    }

    /// The providers that were called in the window, by name. Where only callers were at fault there is nothing to say.
    pub fn providers(&self, settings: &Settings, now_ms: u64) -> BTreeMap<String, Provider> {
        let mut all: BTreeMap<String, Provider> = BTreeMap::new();
        for slot in (0..CAPACITY).map(|index| self.slot(index)).filter(|slot| slot.key().load(Acquire) != 0) {
            let calls = slot.calls(settings, now_ms);
            if calls.judged == 0 {
                continue;
            }
            let Some((provider, model)) = slot.names() else { continue };
            let found =
                all.entry(provider).or_insert_with(|| Provider { calls: Calls::default(), models: BTreeMap::new() });
            found.calls.merge(&calls);
            found.models.insert(model, calls);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::health::{Call, Outcome};
    use super::*;
    use proptest::prelude::*;

    fn call(outcome: Outcome) -> Call {
        Call { outcome, seconds: Some(1.0), first_token_seconds: Some(0.5), output_tokens: Some(10) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn windows_count_what_a_list_of_all_calls_counts(
            steps in proptest::collection::vec((0..90_000_u64, 0..3_usize, 0..3_usize), 1..80)
        ) {
            let (table, settings) = (Table::open(None).unwrap(), Settings::default());
            let slice = settings.window_ms / 5;
            let (mut now, mut all) = (7_200_000, Vec::new());
            for (wait, model, outcome) in steps {
                now += wait;
                let outcome = [Outcome::Success, Outcome::Failure, Outcome::Caller][outcome];
                let name = ["a", "b", ""][model];
                table.find_or_add("p", name).unwrap().record(&call(outcome), &settings, now);
                all.push((now, name, outcome));
                let within: Vec<_> = all.iter().filter(|one| now / slice - one.0 / slice < 6).collect();
                let found = table.providers(&settings, now);
                let count = |name: Option<&str>, outcomes: &[Outcome]| {
                    let of_it = |one: &&&(u64, &str, Outcome)| {
                        name.is_none_or(|name| name == one.1) && outcomes.contains(&one.2)
                    };
                    within.iter().filter(of_it).count() as u64
                };
                let judged = [Outcome::Success, Outcome::Failure];
                prop_assert_eq!(found.len(), usize::from(count(None, &judged) > 0));
                for provider in found.values() {
                    prop_assert_eq!(provider.calls.judged, count(None, &judged));
                    prop_assert_eq!(provider.calls.failures, count(None, &[Outcome::Failure]));
                    prop_assert_eq!(provider.calls.tokens, 10 * count(None, &[Outcome::Success]));
                    prop_assert_eq!(provider.calls.available, provider.models.values().any(|one| one.available));
                    for (model, calls) in &provider.models {
                        prop_assert_eq!(calls.judged, count(Some(model), &judged));
                        let last: Vec<_> = all.iter().rev()
                            .filter(|one| one.1 == model && judged.contains(&one.2)).take(5).collect();
                        let down = last.len() == 5 && last.iter().all(|one| one.2 == Outcome::Failure);
                        prop_assert_eq!(calls.available, !down);
                    }
                }
            }
            prop_assert!(table.providers(&settings, now + 2 * settings.window_ms).is_empty());
        }
    }

    #[test]
    fn a_table_has_room_for_its_capacity_and_keeps_its_settings() {
        let table = Table::open(None).unwrap();
        for number in 0..CAPACITY {
            assert!(table.find_or_add("provider", &number.to_string()).is_some());
        }
        assert!(table.find_or_add("provider", "one more").is_none());
        assert!(table.find_or_add("provider", "7").is_some());
        let (provider, model) = ("ä".repeat(64), "x".repeat(256));
        let other = Table::open(None).unwrap();
        assert_eq!(other.find_or_add(&provider, &model).unwrap().names(), Some((provider, model)));
        assert_eq!(other.settings(), Settings::default());
        let settings = Settings { window_ms: 60_000, error_weight: 1.5, unavailable_after: 2, ..Settings::default() };
        other.set(&settings);
        assert_eq!(other.settings(), settings);
    }

    #[test]
    fn a_table_that_begins_to_be_shared_takes_over_the_calls_in_the_window() {
        let (before, after) = (Table::open(None).unwrap(), Table::open(None).unwrap());
        let (from, to) = (before.settings(), Settings { window_ms: 60_000, ..Settings::default() });
        let now = 7_200_000;
        let mine = before.find_or_add("p", "m").unwrap();
        mine.record(&call(Outcome::Success), &from, now - 100_000);
        for outcome in [Outcome::Success, Outcome::Failure, Outcome::Failure, Outcome::Caller] {
            mine.record(&call(outcome), &from, now);
        }
        before.without_room().store(3, Relaxed);
        after.find_or_add("p", "m").unwrap().record(&call(Outcome::Failure), &from, now);
        after.find_or_add("q", "").unwrap().record(&call(Outcome::Success), &from, now);
        after.take_over_at(&before, now);
        let calls = &after.providers(&after.settings(), now)["p"].models["m"];
        let numbers = (calls.judged, calls.failures, calls.caller_faults, calls.tokens, calls.available);
        assert_eq!(numbers, (5, 3, 1, 20, true));
        assert_eq!((calls.whole.count(), calls.first.count()), (2, 6));
        assert_eq!(after.without_room().load(Relaxed), 3);
        // Again after three more failures: six in a row, where five are too many.
        let again = Table::open(None).unwrap();
        again.find_or_add("p", "m").unwrap().record(&call(Outcome::Failure), &from, now);
        for _ in 0..3 {
            mine.record(&call(Outcome::Failure), &from, now);
        }
        again.take_over_at(&before, now);
        assert!(!again.providers(&again.settings(), now)["p"].calls.available);
        // In the shorter window of another application, what is older has passed.
        let short = Table::open(None).unwrap();
        short.set(&to);
        short.take_over_at(&before, now);
        assert_eq!(short.providers(&to, now)["p"].calls.judged, 6);
        assert!(short.providers(&to, now + 2 * to.window_ms).is_empty());
        // Settings come along, as those of the application that started last.
        before.set(&Settings { window_ms: 200_000, ..to });
        short.take_over_at(&before, now);
        assert_eq!(short.settings().window_ms, 200_000);
    }

    #[test]
    fn a_clock_that_jumps_back_counts_nothing_twice() {
        let (table, settings) = (Table::open(None).unwrap(), Settings::default());
        let slot = table.find_or_add("p", "m").unwrap();
        slot.record(&call(Outcome::Success), &settings, 90_060_000);
        slot.record(&call(Outcome::Failure), &settings, 1_000);
        assert_eq!(slot.calls(&settings, 1_000).judged, 1);
        assert_eq!(slot.calls(&settings, 90_060_000).judged, 1);
    }
}
