//! The one word that is a breaker's state.

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Lets all through.
    Closed,
    /// Lets none through.
    Open,
    /// Lets a bounded number of trials through.
    HalfOpen,
}

impl State {
    /// All of them, as they are printed.
    pub const ALL: [State; 3] = [State::Closed, State::Open, State::HalfOpen];

    /// Its name as a label value.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
        }
    }
}

/// Two bits of state, one that says whether somebody forced it, 21 of an epoch that each change of state raises, and
/// 40 for the millisecond at which the open time ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(pub u64);

const EPOCH: u64 = (1 << 21) - 1;

impl Word {
    /// The state. A word that nobody wrote reads as closed.
    #[inline]
    pub fn state(self) -> State {
        match self.0 & 3 {
            1 => State::Open,
            2 => State::HalfOpen,
            _ => State::Closed,
        }
    }

    /// Whether it stays as it is until somebody resets it.
    #[inline]
    pub fn is_forced(self) -> bool {
        self.0 & 4 != 0
    }

    /// How many changes there were, modulo 2^21.
    #[inline]
    pub fn epoch(self) -> u32 {
        (self.0 >> 3 & EPOCH) as u32
    }

    /// The millisecond at which its open time ends.
    #[inline]
    pub fn until(self) -> u64 {
        self.0 >> 24
    }

    /// Whether calls go through without another look: closed, forced or not.
    #[inline]
    pub fn is_closed(self) -> bool {
        self.state() == State::Closed
    }

    /// The word after a change of state.
    #[must_use]
    pub fn changed(self, state: State, is_forced: bool, until: u64) -> Self {
        let code = match state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
        };
        let epoch = u64::from(self.epoch()).wrapping_add(1) & EPOCH;
        Word(code | u64::from(is_forced) << 2 | epoch << 3 | until.min((1 << 40) - 1) << 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_comes_back() {
        let mut word = Word(0);
        assert_eq!((word.state(), word.is_forced(), word.epoch(), word.until()), (State::Closed, false, 0, 0));
        for turn in 1..(1 << 21) + 5_u64 {
            let state = State::ALL[turn as usize % 3];
            word = word.changed(state, turn % 2 == 0, turn << 10);
            assert_eq!(word.state(), state);
            assert_eq!(word.is_forced(), turn % 2 == 0);
            assert_eq!(u64::from(word.epoch()), turn % (1 << 21));
            assert_eq!(word.until(), turn << 10);
            assert_eq!(word.is_closed(), state == State::Closed);
        }
        assert_eq!(Word(0).changed(State::Open, false, u64::MAX).until(), (1 << 40) - 1);
    }
}
