//! The process that writes: it looks at the registry and tells its memory and the files.

use crate::bits::Bits;
use crate::block::{Open, Place};
use crate::catalog::Catalog;
use crate::chunk::Decoder;
use crate::files::{Files, Tail};
use crate::recorder::Recorder;
use crate::scan::Scanner;
use crate::store::{Memory, Store};
use crate::telling::Told;
use ferrometer_core::registry::Visited;
use std::sync::Arc;

/// Has everything visited that a scrape would come by.
pub type Visit<'a> = &'a mut dyn FnMut(&mut dyn FnMut(Visited));

/// A clock that goes back by less than this is waited for; by more, what lies in the future is forgotten.
const PATIENCE_MS: i64 = 5000;

/// The writer of one store.
pub struct Writer {
    store: Arc<Store>,
    files: Option<Files>,
    tails: Vec<Option<Tail>>,
    recorder: Recorder,
    scanner: Scanner,
}

impl Writer {
    /// Goes on behind what the store has, into files where there are any.
    pub fn new(store: Arc<Store>, files: Option<Files>) -> Self {
        let last_ms = store.lock().last_ms();
        let mut writer = Writer {
            recorder: Recorder::new(&store.plan, last_ms),
            tails: store.plan.levels.iter().map(|_| None).collect(),
            scanner: Scanner::default(),
            store,
            files,
        };
        writer.seal_all();
        writer
    }

    /// One look. False when the clock says that it is not later than the last one.
    pub fn look(&mut self, time_ms: i64, visit: Visit<'_>) -> bool {
        let last = self.recorder.time_ms();
        if time_ms <= last {
            if last.saturating_sub(time_ms) < PATIENCE_MS {
                return false;
            }
            self.step_back(time_ms);
        }
        self.recorder.begin(time_ms);
        let Writer { recorder, scanner, .. } = self;
        visit(&mut |visited| scanner.visit(&visited, recorder));
        let told = self.recorder.finish();
        self.write(&told);
        if told.iter().any(|told| told.begins) {
            self.recorder.forget_ended();
        }
        true
    }

    /// The clock was put back: what was recorded later than now was never then.
    fn step_back(&mut self, time_ms: i64) {
        let mut memory = self.store.lock();
        let Memory { levels, catalog, .. } = &mut *memory;
        for blocks in levels {
            blocks.open.truncate(time_ms.saturating_sub(1), catalog);
            while blocks.sealed.back().is_some_and(|block| block.last_ms() >= time_ms) {
                if let Some(path) = blocks.sealed.pop_back().as_ref().and_then(|block| block.path()) {
                    Files::remove(path);
                }
            }
        }
        drop(memory);
        self.seal_all();
        self.recorder = Recorder::new(&self.store.plan, time_ms - 1);
    }

    /// Seals what is open: what comes next depends on nothing before.
    fn seal_all(&mut self) {
        let store = self.store.clone();
        let mut memory = store.lock();
        for level in 0..memory.levels.len() {
            self.seal(&mut memory, level);
            self.tails[level] = None;
        }
    }

    fn seal(&self, memory: &mut Memory, level: usize) {
        let first_ms = memory.levels[level].open.ticks.first().map(|tick| tick.time_ms);
        let (Some(bytes), Some(first_ms)) = (memory.seal(level), first_ms) else { return };
        let place = match &self.files {
            None => Some(Place::Memory(bytes.clone().into())),
            Some(files) => files.write_block(level, first_ms, &bytes).ok(),
        };
        match place {
            Some(place) => {
                memory.push_sealed(level, &bytes, place);
            }
            None => memory.unwritten += 1,
        }
    }

    fn write(&mut self, told: &[Told]) {
        let store = self.store.clone();
        let mut memory = store.lock();
        let unwritten = memory.unwritten;
        for Told { level, begins, frame } in told {
            if *begins {
                self.seal(&mut memory, *level);
                self.tails[*level] = self.files.as_ref().and_then(|files| files.begin_tail(*level).ok());
                memory.unwritten += u64::from(self.files.is_some() && self.tails[*level].is_none());
            }
            memory.apply(*level, frame);
            if let Some(tail) = &mut self.tails[*level] {
                if tail.append(frame).is_err() {
                    // What follows would hang in the air for those who read it.
                    self.tails[*level] = None;
                    memory.unwritten += 1;
                }
            }
        }
        if memory.unwritten > unwritten {
            memory.drop_oldest(|block| {
                if let Some(path) = block.path() {
                    Files::remove(path);
                }
            });
        }
        memory.expire(&store.plan, |block| {
            if let Some(path) = block.path() {
                Files::remove(path);
            }
        });
        if let Some(about) = self.scanner.news() {
            memory.about.clone_from(about);
            if let Some(files) = &self.files {
                let _ = files.write_families(about); // told again at the next change
            }
        }
    }
}

impl Open {
    /// Forgets the ticks after a time.
    fn truncate(&mut self, last_ms: i64, catalog: &Catalog) {
        let kept = self.ticks.partition_point(|tick| tick.time_ms <= last_ms);
        if kept == self.ticks.len() {
            return;
        }
        Arc::make_mut(&mut self.ticks).truncate(kept);
        for (id, bits) in &mut self.tracks {
            let mut decoder = Decoder::new(&catalog.get(*id).identity.shape, bits.bytes(), bits.len(), kept);
            let mut end = decoder.position();
            while decoder.advance().is_some() {
                end = decoder.position();
            }
            let mut short = Bits::default();
            short.append(bits.bytes(), end);
            *bits = Arc::new(short);
        }
    }
}
