//! A breaker beside a naive one, callers beside each other, and processes that die.
#![cfg(target_os = "linux")]
#![allow(clippy::cast_sign_loss, clippy::cast_possible_wrap, reason = "small numbers of a test")]

use ferrometer_state::breaker::circuit::{force, reset, Circuit, Clock, Outcome, Permit};
use ferrometer_state::breaker::config::Config;
use ferrometer_state::breaker::table::Table;
use ferrometer_state::breaker::word::State;
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

struct Set(Cell<u64>);

impl Clock for Set {
    fn now(&self) -> u64 {
        self.0.get()
    }
}

/// What the documentation says, with a list of all calls.
struct Naive {
    config: Config,
    state: State,
    epoch: usize,
    row: u32,
    calls: Vec<(u64, bool, bool)>,
    until: u64,
    failed: u32,
    good: u32,
    trials: Vec<(usize, u64)>,
}

impl Naive {
    fn begin(&mut self, id: usize, now: u64) -> Option<(usize, bool)> {
        if self.state == State::Closed {
            return Some((self.epoch, false));
        }
        if self.state == State::Open {
            if now < self.until {
                return None;
            }
            self.state = State::HalfOpen;
            self.epoch += 1;
            self.good = 0;
        }
        self.trials.retain(|trial| trial.1 > now);
        if self.trials.len() >= self.config.trials as usize {
            return None;
        }
        self.trials.push((id, now + self.config.trial_ms));
        Some((self.epoch, true))
    }

    fn end(&mut self, id: usize, permit: (usize, bool), outcome: Outcome, slow: bool, now: u64) {
        self.trials.retain(|trial| trial.0 != id);
        if permit.0 != self.epoch || outcome == Outcome::Nothing {
            return;
        }
        let failed = matches!(outcome, Outcome::Failure(_));
        let retry_after = if let Outcome::Failure(wait) = outcome { wait.unwrap_or(0) } else { 0 };
        if permit.1 {
            if failed || slow && self.config.slow_rate <= 1.0 {
                self.failed = (self.failed + 1).min(64);
                let grown = self.config.open_ms as f64 * self.config.backoff.powi(self.failed as i32);
                let open = (grown.min(self.config.longest_open_ms as f64) as u64).max(retry_after);
                (self.state, self.until, self.epoch) = (State::Open, now + open, self.epoch + 1);
                return;
            }
            self.good += 1;
            if self.good == self.config.trials_needed {
                (self.state, self.epoch, self.row, self.failed) = (State::Closed, self.epoch + 1, 0, 0);
                self.calls.clear();
            }
            return;
        }
        self.calls.push((now, failed, slow));
        self.row = if failed { self.row + 1 } else { 0 };
        let slice = self.config.window_ms / 10;
        let within: Vec<_> = self.calls.iter().filter(|call| call.0 / slice + 10 > now / slice).collect();
        let failures = within.iter().filter(|call| call.1).count() as f64;
        let slows = within.iter().filter(|call| call.2).count() as f64;
        let all = within.len() as f64;
        let reached = |part: f64, limit: f64| limit <= 1.0 && part > 0.0 && part >= limit * all;
        let rates = within.len() as u64 >= self.config.minimum_calls
            && (reached(failures, self.config.failure_rate) || reached(slows, self.config.slow_rate));
        if rates || failed && self.config.consecutive > 0 && self.row >= self.config.consecutive {
            let open = self.config.open_ms.min(self.config.longest_open_ms).max(retry_after);
            (self.state, self.until, self.epoch) = (State::Open, now + open, self.epoch + 1);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Begin,
    End(usize, u8, bool, u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Begin),
        4 => (any::<usize>(), 0..6_u8, any::<bool>(), prop_oneof![Just(0), 0..5_000_u64])
            .prop_map(|(which, outcome, slow, wait)| Step::End(which, outcome, slow, wait)),
        2 => (0..400_u64).prop_map(Step::Wait),
        1 => (0..6_000_u64).prop_map(Step::Wait),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let rates = (0..4_u32, prop_oneof![Just(2.0), 0.1..1.0], prop_oneof![Just(2.0), 0.1..1.0], 1..12_u64);
    let times = (500..5_000_u64, 1..2_000_u64, 1..4_000_u64, 1.0..3.0, 1..4_u32, 1..4_u32, 100..3_000_u64);
    (rates, times).prop_map(|((consecutive, failure_rate, slow_rate, minimum_calls), times)| Config {
        consecutive,
        failure_rate,
        slow_rate,
        slow_seconds: 1.0,
        window_ms: times.0,
        minimum_calls,
        open_ms: times.1,
        longest_open_ms: times.2.max(times.1),
        backoff: times.3,
        jitter: 0.0,
        trials: times.4,
        trials_needed: times.5,
        trial_ms: times.6,
        opens_last: false,
    })
}

proptest! {
    #[test]
    fn it_does_what_a_naive_breaker_does(config in config(), steps in proptest::collection::vec(step(), 1..400)) {
        let table = Table::open(None).unwrap();
        let slot = table.find_or_add("provider", "").unwrap();
        let circuit = Circuit { table: &table, slot, config: &config };
        let clock = Set(Cell::new(1_000_000));
        let mut naive = Naive {
            config: config.clone(), state: State::Closed, epoch: 0, row: 0, calls: Vec::new(), until: 0, failed: 0,
            good: 0, trials: Vec::new(),
        };
        let mut open: Vec<(usize, Permit, (usize, bool))> = Vec::new();
        for (id, step) in steps.into_iter().enumerate() {
            let now = clock.now();
            match step {
                Step::Wait(time) => clock.0.set(now + time),
                Step::Begin => {
                    let (ours, theirs) = (circuit.begin(&clock), naive.begin(id, now));
                    prop_assert_eq!(ours.is_ok(), theirs.is_some());
                    if let (Ok((permit, _)), Some(theirs)) = (ours, theirs) {
                        prop_assert_eq!(permit.is_trial(), theirs.1);
                        open.push((id, permit, theirs));
                    }
                }
                Step::End(which, outcome, slow, wait) if !open.is_empty() => {
                    let (id, ours, theirs) = open.swap_remove(which % open.len());
                    let outcome = match outcome {
                        0 | 1 => Outcome::Success,
                        2 => Outcome::Nothing,
                        _ => Outcome::Failure((wait > 0).then_some(wait)),
                    };
                    circuit.end(ours, outcome, slow, &clock);
                    naive.end(id, theirs, outcome, slow, now);
                }
                Step::End(..) => {}
            }
            prop_assert_eq!(slot.state().state(), naive.state);
        }
    }
}

#[test]
fn ten_thousand_callers_at_its_opening_get_as_many_trials_as_are_allowed() {
    let table = Table::open(None).unwrap();
    let config = Config { trials: 3, open_ms: 10, jitter: 0.0, consecutive: 1, ..Config::default() };
    let slot = table.find_or_add("provider", "").unwrap();
    let clock = || Set(Cell::new(5_000));
    let circuit = Circuit { table: &table, slot, config: &config };
    let (permit, _) = circuit.begin(&clock()).unwrap();
    circuit.end(permit, Outcome::Failure(None), false, &clock());
    let through = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let circuit = Circuit { table: &table, slot, config: &config };
                for _ in 0..1_250 {
                    if circuit.begin(&Set(Cell::new(5_020))).is_ok() {
                        through.fetch_add(1, SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(through.load(SeqCst), 3);
    assert_eq!(slot.rejected().load(SeqCst), 10_000 - 3);
}

#[test]
fn one_of_a_group_stays_closed() {
    let table = Table::open(None).unwrap();
    let config = Config { consecutive: 1, ..Config::default() };
    let clock = Set(Cell::new(5_000));
    let slots: Vec<_> = ["a", "b", "c"].iter().map(|name| table.find_or_add(name, "all").unwrap()).collect();
    let alone = table.find_or_add("alone", "").unwrap();
    for &slot in slots.iter().chain([&alone]) {
        let circuit = Circuit { table: &table, slot, config: &config };
        let (permit, _) = circuit.begin(&clock).unwrap();
        circuit.end(permit, Outcome::Failure(None), false, &clock);
    }
    let states: Vec<_> = slots.iter().chain([&alone]).map(|slot| slot.state().state()).collect();
    assert_eq!(states, [State::Open, State::Open, State::Closed, State::Open]);
    assert_eq!(slots[2].kept_closed().load(SeqCst), 1);
    let told = Config { opens_last: true, ..config };
    let circuit = Circuit { table: &table, slot: slots[2], config: &told };
    let (permit, _) = circuit.begin(&clock).unwrap();
    circuit.end(permit, Outcome::Failure(None), false, &clock);
    assert_eq!(slots[2].state().state(), State::Open);
}

#[test]
fn what_is_forced_stays_until_it_is_reset() {
    let table = Table::open(None).unwrap();
    let config = Config { consecutive: 1, open_ms: 1, ..Config::default() };
    let clock = Set(Cell::new(5_000));
    let slot = table.find_or_add("provider", "").unwrap();
    let circuit = Circuit { table: &table, slot, config: &config };
    assert_eq!(force(slot, State::Open), Some((State::Closed, State::Open)));
    clock.0.set(u64::from(u32::MAX));
    assert_eq!(circuit.begin(&clock), Err(None));
    assert_eq!(force(slot, State::Closed), Some((State::Open, State::Closed)));
    for _ in 0..100 {
        let (permit, _) = circuit.begin(&clock).unwrap();
        assert_eq!(circuit.end(permit, Outcome::Failure(None), false, &clock), None);
    }
    assert_eq!(reset(slot), None);
    let (permit, _) = circuit.begin(&clock).unwrap();
    assert!(circuit.end(permit, Outcome::Failure(None), false, &clock).is_some());
}

#[test]
fn a_full_table_says_so() {
    let table = Table::open(None).unwrap();
    let there: Vec<_> = (0..1024).map(|i| table.find_or_add(&format!("provider {i}"), "")).collect();
    assert!(there.iter().all(Option::is_some));
    assert!(table.find_or_add("one more", "").is_none() && table.find_or_add("provider 7", "").is_some());
    assert_eq!(table.without_room().load(SeqCst), 1);
    assert_eq!(table.slots().count(), 1024);
    assert_eq!(table.find("provider 1000").unwrap().name().as_deref(), Some("provider 1000"));
}
