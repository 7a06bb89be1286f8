//! What happens at a call's begin and end.

use super::config::Config;
use super::slot::Slot;
use super::table::Table;
use super::trials;
use super::word::{State, Word};
use crate::process::{in_turn, owner};
use crate::{fork::generation, time};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// Leave for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// The epoch in which it began.
    epoch: u32,
    /// The fork generation, the lease's index and its word, of a trial.
    trial: Option<(u32, u8, u64)>,
}

impl Permit {
    /// Whether it is a trial.
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// With an answer.
    Success,
    /// By the provider's fault; perhaps it said after how many milliseconds to come back.
    Failure(Option<u64>),
    /// Without saying anything about the provider: cancelled, or the caller's own fault.
    Nothing,
}

/// Milliseconds of one clock for all processes.
pub trait Clock {
    /// Now.
    fn now(&self) -> u64;

    /// Now, or a few milliseconds ago.
    fn coarse(&self) -> u64 {
        self.now()
    }
}

/// The clock of this machine.
pub struct Machine;

impl Clock for Machine {
    #[inline]
    fn now(&self) -> u64 {
        time::now_ms()
    }

    #[inline]
    fn coarse(&self) -> u64 {
        time::coarse_ms()
    }
}

/// A change of state that this call made.
pub type Change = Option<(State, State)>;

/// One breaker as this process uses it.
pub struct Circuit<'a> {
    /// The table that it is in.
    pub table: &'a Table,
    /// Its words.
    pub slot: Slot<'a>,
    /// Its settings.
    pub config: &'a Config,
}

impl Circuit<'_> {
    /// Asks for leave; when there is none, says in how many milliseconds to ask again: nothing where only somebody's
    /// reset opens the way.
    ///
    /// # Errors
    /// While the breaker is open, or all its trials are under way.
    #[inline]
    pub fn begin(&self, clock: &impl Clock) -> Result<(Permit, Change), Option<u64>> {
        let word = self.slot.state();
        if word.is_closed() {
            return Ok((Permit { epoch: word.epoch(), trial: None }, None));
        }
        self.begin_trial(clock.now())
    }

    #[cold]
    fn begin_trial(&self, now: u64) -> Result<(Permit, Change), Option<u64>> {
        let mut change = None;
        let refused = loop {
            let word = self.slot.state();
            match word.state() {
                State::Closed => return Ok((Permit { epoch: word.epoch(), trial: None }, change)),
                State::Open if word.is_forced() => break None,
                State::Open => {
                    let left = word.until().saturating_sub(now);
                    // A clock that was set back must not keep it open for longer than any setting allows.
                    if left > 0 && left <= self.config.longest() {
                        break Some(left);
                    }
                    if self.turn(word, State::HalfOpen, 0) {
                        change = Some((State::Open, State::HalfOpen));
                    }
                }
                State::HalfOpen => match self.take_trial(word, now) {
                    Some(permit) => return Ok((permit, change)),
                    None if self.slot.state() != word => {}
                    None => break Some(trials::first_end(self.slot, self.config.trials, now)),
                },
            }
        };
        self.slot.rejected().fetch_add(1, Relaxed);
        Err(refused)
    }

    fn take_trial(&self, word: Word, now: u64) -> Option<Permit> {
        let owner = owner(&self.table.region).ok()?;
        let config = self.config;
        let (index, mine) =
            trials::take(self.slot, &self.table.region, owner, config.trials, now, config.trial_ms.max(1))?;
        // The state may have changed since: then this was no trial of it.
        if self.slot.state() != word {
            trials::give_back(self.slot, index, mine);
            return None;
        }
        Some(Permit { epoch: word.epoch(), trial: Some((generation(), index, mine)) })
    }

    /// Records how a call ended; says what it changed.
    #[inline]
    pub fn end(&self, permit: Permit, outcome: Outcome, slow: bool, clock: &impl Clock) -> Change {
        if permit.trial.is_none() {
            if outcome == Outcome::Nothing {
                return None;
            }
            let word = self.slot.state();
            // It began before the breaker opened or was reset: too late to say anything about what is now.
            if !word.is_closed() || word.epoch() != permit.epoch {
                return None;
            }
            return self.record(word, outcome, slow, clock);
        }
        self.end_trial(permit, outcome, slow, clock.now())
    }

    #[inline]
    fn record(&self, word: Word, outcome: Outcome, slow: bool, clock: &impl Clock) -> Change {
        let config = self.config;
        let slice_ms = (config.window_ms / super::window::SLICES as u64).max(1);
        let tick = clock.coarse() / slice_ms;
        let retry_after = match outcome {
            Outcome::Failure(retry_after) => Some(retry_after),
            _ => None,
        };
        let failed = retry_after.is_some();
        self.slot.window().add(tick, failed, slow);
        let mut opens = false;
        if failed {
            let row = self.slot.consecutive().fetch_add(1, AcqRel) + 1;
            opens = config.consecutive > 0 && row >= u64::from(config.consecutive);
        } else if self.slot.consecutive().load(Relaxed) != 0 {
            self.slot.consecutive().store(0, Relaxed);
        }
        if !opens && (config.failure_rate <= 1.0 || config.has_slow()) {
            let totals = self.slot.window().totals(tick);
            let share = |part: u64, limit: f64| part > 0 && part as f64 >= limit * totals.calls as f64;
            opens = totals.calls >= config.minimum_calls.max(1)
                && (share(totals.failures, config.failure_rate) || share(totals.slow, config.slow_rate));
        }
        if opens && !word.is_forced() {
            return self.open(word, clock.now(), retry_after.flatten());
        }
        None
    }

    #[cold]
    fn open(&self, word: Word, now: u64, retry_after: Option<u64>) -> Change {
        let open_ms = self.config.open_time(0, random(now), retry_after);
        let group = self.slot.group().load(Relaxed);
        let opened = if group == 0 || self.config.opens_last {
            self.turn(word, State::Open, now + open_ms)
        } else {
            // Two of a group must not open at once, each in the belief that the other is there.
            in_turn(&self.table.region, || {
                if self.table.is_not_last(self.slot) {
                    return self.turn(word, State::Open, now + open_ms);
                }
                self.slot.kept_closed().fetch_add(1, Relaxed);
                false
            })
        };
        opened.then_some((State::Closed, State::Open))
    }

    #[cold]
    fn end_trial(&self, permit: Permit, outcome: Outcome, slow: bool, now: u64) -> Change {
        let (forks, index, mine) = permit.trial?;
        if forks != generation() {
            return None; // the parent's trial
        }
        trials::give_back(self.slot, index, mine);
        let word = self.slot.state();
        if word.state() != State::HalfOpen || word.epoch() != permit.epoch || word.is_forced() {
            return None;
        }
        let config = self.config;
        let retry_after = match outcome {
            Outcome::Nothing => return None,
            Outcome::Success if !(slow && config.has_slow()) => {
                return self.count_good_trial(word);
            }
            Outcome::Success => None,
            Outcome::Failure(retry_after) => retry_after,
        };
        let failed = self.slot.failed_trials().load(Relaxed).saturating_add(1).min(64);
        let until = now + config.open_time(failed as u32, random(now), retry_after);
        if self.turn(word, State::Open, until) {
            self.slot.failed_trials().store(failed, Relaxed);
            return Some((State::HalfOpen, State::Open));
        }
        None
    }

    fn count_good_trial(&self, word: Word) -> Change {
        let epoch = u64::from(word.epoch());
        let counted = self
            .slot
            .good_trials()
            .fetch_update(AcqRel, Acquire, |seen| Some(if seen >> 32 == epoch { seen + 1 } else { epoch << 32 | 1 }));
        let before = counted.map_or(0, |seen| if seen >> 32 == epoch { seen & 0xffff_ffff } else { 0 });
        if before + 1 < u64::from(self.config.trials_needed) {
            return None;
        }
        self.forget_calls();
        self.turn(word, State::Closed, 0).then_some((State::HalfOpen, State::Closed))
    }

    fn forget_calls(&self) {
        self.slot.window().clear();
        self.slot.consecutive().store(0, Relaxed);
        self.slot.failed_trials().store(0, Relaxed);
    }

    fn turn(&self, from: Word, to: State, until: u64) -> bool {
        turn(self.slot, from, from.changed(to, false, until))
    }
}

fn turn(slot: Slot<'_>, from: Word, to: Word) -> bool {
    let turned = slot.word().compare_exchange(from.0, to.0, AcqRel, Relaxed).is_ok();
    if turned && from.state() != to.state() {
        slot.changes()[(to.0 & 3) as usize].fetch_add(1, Relaxed);
    }
    turned
}

/// Makes a breaker stay as it is told, open or closed, until it is reset.
pub fn force(slot: Slot<'_>, state: State) -> Change {
    change(slot, state, true)
}

/// Closes a breaker, forced or not, and forgets its calls.
pub fn reset(slot: Slot<'_>) -> Change {
    slot.window().clear();
    slot.consecutive().store(0, Relaxed);
    slot.failed_trials().store(0, Relaxed);
    change(slot, State::Closed, false)
}

fn change(slot: Slot<'_>, state: State, is_forced: bool) -> Change {
    loop {
        let word = slot.state();
        if turn(slot, word, word.changed(state, is_forced, u64::MAX)) {
            return (word.state() != state).then_some((word.state(), state));
        }
    }
}

/// Trials that are under way.
pub fn trials_under_way(slot: Slot<'_>, now: u64) -> usize {
    trials::held(slot, now)
}

/// From 0 to 1; two workers that open at the same millisecond differ by their ids.
fn random(now: u64) -> f64 {
    // SplitMix64: the jitter spreads retries, and needs no better source.
    let mut bits = (now << 20 ^ u64::from(std::process::id())).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ bits >> 31) as f64 / u64::MAX as f64
}
