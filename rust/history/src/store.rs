//! What is remembered: of each level the sealed blocks and the open one.

use crate::block::{Open, Place, Sealed};
use crate::catalog::Catalog;
use crate::frame::Frame;
use crate::level::{Plan, LONG};
use crate::telling::Told;
use crate::track::About;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One level's blocks, in the order of time.
#[derive(Debug, Default)]
pub struct Blocks {
    /// Those that never change again.
    pub sealed: VecDeque<Block>,
    /// The one that grows.
    pub open: Open,
    /// How many went before their time, for want of bytes.
    pub dropped: u64,
}

/// A sealed block, shared with those who read it.
pub type Block = std::sync::Arc<Sealed>;

/// Everything that is remembered.
#[derive(Debug, Default)]
pub struct Memory {
    /// By level.
    pub levels: Vec<Blocks>,
    /// All series.
    pub catalog: Catalog,
    /// The families' types and helps, by the names of their samples.
    pub about: BTreeMap<String, About>,
    /// Files that could not be read, and why; each once.
    pub damage: BTreeMap<String, &'static str>,
    /// Blocks that could not be written.
    pub unwritten: u64,
}

/// A store; asked by many threads.
#[derive(Debug)]
pub struct Store {
    /// What is kept.
    pub plan: Plan,
    memory: Mutex<Memory>,
}

impl Store {
    /// An empty store.
    pub fn new(plan: Plan) -> Self {
        let levels = plan.levels.iter().map(|_| Blocks::default()).collect();
        Store { plan, memory: Mutex::new(Memory { levels, ..Memory::default() }) }
    }

    /// The memory, for as short as one tick takes.
    pub fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what a look told, in memory alone.
    pub fn add(&self, told: &[Told]) {
        let mut memory = self.lock();
        for told in told {
            if told.begins {
                let bytes = memory.seal(told.level);
                if let Some(bytes) = bytes {
                    let place = Place::Memory(bytes.clone().into());
                    memory.push_sealed(told.level, &bytes, place);
                }
            }
            memory.apply(told.level, &told.frame);
        }
        memory.expire(&self.plan, |_| ());
    }
}

impl Memory {
    /// Takes the open block of a level out, as bytes; nothing when it is empty.
    pub fn seal(&mut self, level: usize) -> Option<Vec<u8>> {
        let open = std::mem::take(&mut self.levels[level].open);
        (!open.ticks.is_empty()).then(|| open.seal(level, &self.catalog))
    }

    /// Adds a sealed block. False for bytes that are none, or that do not follow.
    pub fn push_sealed(&mut self, level: usize, bytes: &[u8], place: Place) -> bool {
        let Ok(block) = Sealed::read(bytes, place, &mut self.catalog) else { return false };
        let follows = self.levels[level].sealed.back().is_none_or(|last| last.last_ms() < block.first_ms());
        if block.level == level && follows {
            self.levels[level].sealed.push_back(block.into());
            return true;
        }
        false
    }

    /// Adds a tick to the open block of a level. False for one that does not follow.
    pub fn apply(&mut self, level: usize, frame: &Frame) -> bool {
        let Memory { levels, catalog, .. } = self;
        levels[level].open.apply(frame, catalog)
    }

    /// The time of the newest sample.
    pub fn last_ms(&self) -> i64 {
        self.levels.iter().map(Blocks::last_ms).max().unwrap_or(i64::MIN)
    }

    /// All bytes of all levels.
    pub fn bytes(&self) -> usize {
        self.levels.iter().map(Blocks::bytes).sum()
    }

    /// Lets go of blocks whose time is over, and, beyond the budget, of the oldest of the finest level that has any;
    /// `gone` is told of each.
    pub fn expire(&mut self, plan: &Plan, mut gone: impl FnMut(&Sealed)) {
        let now = self.last_ms();
        let mut is_changed = false;
        for (blocks, level) in self.levels.iter_mut().zip(&plan.levels) {
            let oldest = now.saturating_sub(level.keep_ms);
            while blocks.sealed.front().is_some_and(|block| block.last_ms() < oldest) {
                let Some(block) = blocks.sealed.pop_front() else { break };
                gone(&block);
                is_changed = true;
            }
        }
        let mut bytes = self.bytes();
        while bytes > plan.budget {
            let Some(size) = self.drop_oldest(&mut gone) else { break };
            bytes -= size;
        }
        if is_changed {
            self.forget_series();
        }
    }

    /// Lets go of the oldest block of the finest level that has any, and tells its size.
    pub fn drop_oldest(&mut self, mut gone: impl FnMut(&Sealed)) -> Option<usize> {
        let blocks = self.levels.iter_mut().take(LONG).find(|blocks| !blocks.sealed.is_empty())?;
        let block = blocks.sealed.pop_front()?;
        blocks.dropped += 1;
        gone(&block);
        self.forget_series();
        Some(block.bytes_in_all())
    }

    /// Forgets the series that no block has any more.
    pub fn forget_series(&mut self) {
        let mut is_used = vec![false; self.catalog.capacity()];
        for blocks in &self.levels {
            let sealed = blocks.sealed.iter().flat_map(|block| block.ids.iter());
            for &id in sealed.chain(blocks.open.tracks.iter().map(|(id, _)| id)) {
                is_used[id as usize] = true;
            }
        }
        self.catalog.retain(&is_used);
    }
}

impl Blocks {
    /// The time of the first sample; the greatest for none.
    pub fn first_ms(&self) -> i64 {
        let open = self.open.ticks.first().map_or(i64::MAX, |tick| tick.time_ms);
        self.sealed.front().map_or(open, |block| block.first_ms())
    }

    /// The time of the last sample; the least for none.
    pub fn last_ms(&self) -> i64 {
        let sealed = self.sealed.back().map_or(i64::MIN, |block| block.last_ms());
        self.open.ticks.last().map_or(sealed, |tick| tick.time_ms)
    }

    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.sealed.iter().map(|block| block.bytes_in_all()).sum::<usize>() + self.open.bytes
    }
}
