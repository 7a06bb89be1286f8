//! The connections there are, what each is at, and which one has to go.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// How many there may be.
pub const MOST: usize = 256;

/// How long a connection may be in each phase.
const IDLE: Duration = Duration::from_secs(120);
const ASKING: Duration = Duration::from_secs(10);
const WORKING: Duration = Duration::from_secs(600); // routes have deadlines of their own
const ANSWERED: Duration = Duration::from_secs(30);

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The next request has not begun.
    Idle,
    /// A part of a request is there.
    Asking,
    /// An answer is made that takes its time.
    Working,
    /// The client is to take the answer.
    Answered,
}

impl Phase {
    /// Whether the server is at work, or its answer on the way.
    fn is_busy(self) -> bool {
        matches!(self, Phase::Working | Phase::Answered)
    }

    fn patience(self) -> Duration {
        match self {
            Phase::Idle => IDLE,
            Phase::Asking => ASKING,
            Phase::Working => WORKING,
            Phase::Answered => ANSWERED,
        }
    }
}

/// What one connection is at, and since when.
pub struct State(Cell<(Phase, Instant)>);

impl State {
    /// Of a connection that has just come. It is to ask at once.
    pub fn new() -> Rc<Self> {
        Rc::new(State(Cell::new((Phase::Asking, Instant::now()))))
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.0.get().0
    }

    /// Goes on to another phase.
    pub fn enter(&self, phase: Phase) {
        self.0.set((phase, Instant::now()));
    }
}

/// A connection's task and its state.
type Entry = (AbortHandle, Rc<State>);

/// All connections.
#[derive(Default)]
pub struct Connections(RefCell<Vec<Entry>>);

impl Connections {
    /// Makes room for one more: the one that has waited longest for its client to ask goes. `false` when all
    /// of them are being answered.
    pub fn make_room(&self) -> bool {
        let mut all = self.0.borrow_mut();
        all.retain(|(task, _)| !task.is_finished());
        if all.len() < MOST {
            return true;
        }
        let waiting = all.iter().enumerate().filter(|(_, (_, state))| !state.phase().is_busy());
        match waiting.min_by_key(|(_, (_, state))| state.0.get().1).map(|(index, _)| index) {
            Some(index) => all.swap_remove(index).0.abort(),
            None => return false,
        }
        true
    }

    /// Notes a connection.
    pub fn add(&self, task: AbortHandle, state: Rc<State>) {
        self.0.borrow_mut().push((task, state));
    }

    /// Ends those whose clients have been too slow.
    pub fn end_slow(&self) {
        self.0.borrow_mut().retain(|(task, state)| {
            let (phase, since) = state.0.get();
            let slow = since.elapsed() > phase.patience();
            if slow {
                task.abort();
            }
            !slow && !task.is_finished()
        });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Whether one is being answered.
    pub fn are_busy(&self) -> bool {
        let all = self.0.borrow();
        all.iter().any(|(task, state)| !task.is_finished() && state.phase().is_busy())
    }
}
