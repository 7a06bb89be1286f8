//! The writer's memory: what every series was at the last look, and what each level has been told of it.

use crate::bins::{self, Bins};
use crate::bits::Bits;
use crate::chunk::{Encoder, Value};
use crate::classic::{kept, Classic};
use crate::frame::Frame;
use crate::level::{Level, Plan};
use crate::scalar::Scalar;
use crate::tick::Tick;
use crate::track::{Identity, Shape};
use hashbrown::HashMap;
use std::sync::Arc;

/// What one level has been told of a track.
struct Slot {
    /// Its number in the open block.
    number: Option<u32>,
    encoder: Encoder,
    /// Whether something has happened that the level has not been told.
    is_dirty: bool,
    /// The least and greatest value since the level's last tick.
    range: Option<(f64, f64)>,
}

struct Track {
    identity: Identity,
    now: Value,
    /// The look at which it was seen last.
    seen: u64,
    alive: bool,
    /// One for each level that takes it.
    slots: Vec<Option<Slot>>,
}

/// Where a level stands.
struct Progress {
    level: Level,
    /// Ticks in the open block.
    ticks: u32,
    /// Of those, the ones at which all series have a sample.
    wholes: u32,
    tracks: u32,
    /// The time of the last tick.
    last_ms: i64,
    /// The time of the last tick at which all series have a sample.
    last_whole_ms: i64,
    last_bins_ms: i64,
    /// Looks since the level's last tick, this one included.
    since: u32,
    dirty: Vec<u32>,
    scratch: Bits,
}

/// Where there is no open block.
const NONE: u32 = u32::MAX;

/// What a level is told at one look.
pub struct Told {
    /// Which level.
    pub level: usize,
    /// Whether a new block begins with it.
    pub begins: bool,
    /// The tick.
    pub frame: Frame,
}

/// A track whose value became less, or that ended, and what it was before.
struct Break {
    track: u32,
    before: Value,
}

/// The writer.
pub struct Recorder {
    plan: Plan,
    tracks: Vec<Track>,
    by_key: HashMap<(u8, Arc<str>, Arc<str>), u32>,
    free: Vec<u32>,
    levels: Vec<Progress>,
    look: u64,
    time_ms: i64,
    before_ms: i64,
    /// The tracks in the order of the last look, and how far this one has come: it is nearly always the same.
    order: Vec<u32>,
    visited: Vec<u32>,
    changed: Vec<u32>,
    breaks: Vec<Break>,
}

fn shape_key(shape: &Shape) -> u8 {
    match shape {
        Shape::Counter => 0,
        Shape::Gauge => 1,
        Shape::Classic(_) => 2,
        Shape::Bins => 3,
    }
}

impl Recorder {
    /// A recorder that has seen nothing. What a store already has up to `since_ms` stays as it is.
    pub fn new(plan: &Plan, since_ms: i64) -> Self {
        let progress = |level: &Level| Progress {
            level: level.clone(),
            ticks: 0,
            wholes: NONE,
            tracks: 0,
            last_ms: since_ms,
            last_whole_ms: since_ms,
            last_bins_ms: since_ms,
            since: 0,
            dirty: Vec::new(),
            scratch: Bits::default(),
        };
        Recorder {
            levels: plan.levels.iter().map(progress).collect(),
            plan: plan.clone(),
            tracks: Vec::new(),
            by_key: HashMap::new(),
            free: Vec::new(),
            look: 0,
            time_ms: since_ms,
            before_ms: since_ms,
            order: Vec::new(),
            visited: Vec::new(),
            changed: Vec::new(),
            breaks: Vec::new(),
        }
    }

    /// The time of the last look.
    pub fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// Begins a look, later than the one before.
    pub fn begin(&mut self, time_ms: i64) {
        debug_assert!(time_ms > self.time_ms, "looks ascend");
        self.before_ms = self.time_ms;
        self.time_ms = time_ms;
        self.look += 1;
        self.visited.clear();
    }

    /// A counter's or gauge's value.
    pub fn scalar(&mut self, shape: &Shape, name: &Arc<str>, text: &str, value: f64) {
        let track = self.find(shape, name, text);
        let is_counter = *shape == Shape::Counter;
        let Track { now, alive, .. } = &mut self.tracks[track as usize];
        let Value::Scalar(before) = *now else { return };
        if *alive && before.value.to_bits() == value.to_bits() {
            return;
        }
        if *alive && is_counter && value < before.value {
            self.breaks.push(Break { track, before: Value::Scalar(before) });
        }
        if !is_counter && *alive {
            let old = before.value;
            for (slot, level) in self.tracks[track as usize].slots.iter_mut().zip(&self.levels) {
                let Some(slot) = slot else { continue };
                let (low, high) = slot.range.unwrap_or((value, value));
                let (low, high) = (low.min(value), high.max(value));
                // The old value was a sample since the level's tick, unless this look is the first after it.
                slot.range = Some(if level.since > 0 { (low.min(old), high.max(old)) } else { (low, high) });
            }
        }
        self.tracks[track as usize].now = Value::Scalar(Scalar::new(value));
        self.change(track);
    }

    /// A histogram's buckets. Tells whether they changed, so that the bins need be read.
    pub fn classic(&mut self, name: &Arc<str>, text: &str, bounds: &Shape, counts: &[u64], sum: f64) -> bool {
        let track = self.find(bounds, name, text);
        let sum = kept(sum);
        let Track { now, alive, .. } = &mut self.tracks[track as usize];
        let Value::Classic(before) = now else { return false };
        if *alive && before.counts == counts && before.sum.to_bits() == sum.to_bits() {
            return false;
        }
        let new = Classic { counts: counts.to_vec(), sum };
        let is_reset = *alive && new.is_reset(before);
        let before = std::mem::replace(now, Value::Classic(new));
        if is_reset {
            self.breaks.push(Break { track, before });
        }
        self.change(track);
        true
    }

    /// A histogram's bins; none when they are as they were.
    pub fn bins(&mut self, name: &Arc<str>, text: &str, new: Option<&Bins>) {
        let track = self.find(&Shape::Bins, name, text);
        let Some(new) = new else { return };
        let Track { now, alive, .. } = &mut self.tracks[track as usize];
        let Value::Bins(before) = now else { return };
        if *alive && before == new {
            return;
        }
        let is_reset = *alive && bins::is_reset(new, before);
        let before = std::mem::replace(now, Value::Bins(new.clone()));
        if is_reset {
            self.breaks.push(Break { track, before });
        }
        self.change(track);
    }

    fn change(&mut self, track: u32) {
        self.tracks[track as usize].alive = true;
        self.changed.push(track);
    }

    /// The track of a series, seen at this look.
    fn find(&mut self, shape: &Shape, name: &Arc<str>, text: &str) -> u32 {
        let is_it = |track: &Track| {
            *track.identity.text == *text
                && (Arc::ptr_eq(&track.identity.name, name) || track.identity.name == *name)
                && track.identity.shape == *shape
        };
        let expected = self.order.get(self.visited.len()).copied();
        let track = match expected.filter(|&track| is_it(&self.tracks[track as usize])) {
            Some(track) => track,
            None => self.look_up(shape, name, text),
        };
        self.tracks[track as usize].seen = self.look;
        self.visited.push(track);
        track
    }

    fn look_up(&mut self, shape: &Shape, name: &Arc<str>, text: &str) -> u32 {
        let key = (shape_key(shape), name.clone(), Arc::from(text));
        if let Some(&track) = self.by_key.get(&key) {
            if self.tracks[track as usize].identity.shape == *shape {
                return track;
            }
            // Other bounds under the same name: another series.
            self.tracks[track as usize].seen = 0;
        }
        let (_, name, text) = key.clone();
        let now = match shape {
            Shape::Counter | Shape::Gauge => Value::Scalar(Scalar::new(0.0)),
            Shape::Classic(bounds) => Value::Classic(Classic { counts: vec![0; bounds.len()], sum: 0.0 }),
            Shape::Bins => Value::Bins(Vec::new()),
        };
        let takes = |level: &Progress| {
            let Level { schema, marked_only, .. } = level.level;
            (*shape != Shape::Bins || schema.is_some()) && (!marked_only || self.plan.is_marked(&name))
        };
        let slot = |level| {
            takes(level).then(|| Slot { number: None, encoder: Encoder::new(shape), is_dirty: false, range: None })
        };
        let slots = self.levels.iter().map(slot).collect();
        let identity = Identity { shape: shape.clone(), name, text };
        let new = Track { identity, now, seen: self.look, alive: false, slots };
        let track = if let Some(track) = self.free.pop() {
            self.tracks[track as usize] = new;
            track
        } else {
            self.tracks.push(new);
            self.tracks.len() as u32 - 1
        };
        self.by_key.insert(key, track);
        track
    }

    /// Ends a look: what each level is told.
    pub fn finish(&mut self) -> Vec<Told> {
        let ended = self.ended();
        for &track in self.changed.iter().chain(&ended) {
            for (slot, level) in self.tracks[track as usize].slots.iter_mut().zip(&mut self.levels) {
                if let Some(slot) = slot.as_mut().filter(|slot| !slot.is_dirty) {
                    slot.is_dirty = true;
                    level.dirty.push(track);
                }
            }
        }
        let mut told = Vec::new();
        for index in 0..self.levels.len() {
            // What is shown of a coarser level ends where the first block of this one begins. A block therefore begins
            // after a tick of both: between two ticks of the coarser level their extremes would be lost.
            let coarser_ms = self.levels.get(index + 1).map(|coarser| coarser.last_whole_ms);
            let progress = &mut self.levels[index];
            progress.since += 1;
            let may_begin = coarser_ms.is_none_or(|coarser_ms| coarser_ms == progress.last_whole_ms);
            let due =
                self.time_ms.div_euclid(progress.level.step_ms) > progress.last_ms.div_euclid(progress.level.step_ms);
            let begins = due && progress.wholes >= progress.level.block_ticks && (may_begin || progress.wholes == NONE);
            if !self.breaks.is_empty() && progress.wholes != NONE {
                told.extend(self.before_breaks(index));
                if begins {
                    told.extend(self.after_breaks(index, true));
                } else if !due {
                    told.extend(self.after_breaks(index, false));
                }
            }
            if due {
                told.push(self.whole(index, begins));
            }
        }
        self.breaks.clear();
        self.changed.clear();
        std::mem::swap(&mut self.order, &mut self.visited);
        told
    }

    /// The tracks that were there at the look before and are not any more.
    fn ended(&mut self) -> Vec<u32> {
        let look = self.look;
        let is_over = |&track: &u32| {
            let track: &Track = &self.tracks[track as usize];
            track.alive && track.seen != look
        };
        let ended: Vec<u32> = self.order.iter().copied().filter(is_over).collect();
        for &index in &ended {
            let track = &mut self.tracks[index as usize];
            track.alive = false;
            self.breaks.push(Break { track: index, before: track.now.clone() });
        }
        ended
    }

    /// A tick of a level: everything that has changed since the one before; at the beginning of a block, everything.
    fn whole(&mut self, index: usize, begins: bool) -> Told {
        let progress = &mut self.levels[index];
        let Level { schema, bins_step_ms, .. } = progress.level;
        let bins = schema.is_some()
            && (begins || self.time_ms.div_euclid(bins_step_ms) > progress.last_bins_ms.div_euclid(bins_step_ms));
        let tick = Tick { time_ms: self.time_ms, sparse: false, bins };
        let mut frame = Frame::new(tick);
        let mut wanted = std::mem::take(&mut progress.dirty);
        if begins {
            (progress.ticks, progress.wholes, progress.tracks) = (0, 0, 0);
            wanted.clear();
            for (number, track) in self.tracks.iter_mut().enumerate() {
                if let Some(slot) = &mut track.slots[index] {
                    slot.number = None;
                    slot.encoder.restart();
                    if track.alive {
                        wanted.push(number as u32);
                    }
                    slot.is_dirty = false;
                }
            }
        }
        let schema = schema.unwrap_or(7);
        let mut numbered: Vec<(u32, u32)> = Vec::with_capacity(wanted.len());
        let mut later = Vec::new();
        for track in wanted {
            let Track { identity, alive, slots, .. } = &mut self.tracks[track as usize];
            let Some(slot) = &mut slots[index] else { continue };
            if identity.shape == Shape::Bins && !bins && *alive {
                later.push(track);
                continue;
            }
            slot.is_dirty = false;
            if !*alive && !slot.encoder.is_alive() {
                slot.range = None;
                continue;
            }
            let number = *slot.number.get_or_insert_with(|| {
                frame.fresh.push(identity.clone());
                progress.tracks += 1;
                progress.tracks - 1
            });
            numbered.push((number, track));
        }
        progress.dirty = later;
        numbered.sort_unstable();
        for (number, track) in numbered {
            let Track { now, alive, slots, .. } = &mut self.tracks[track as usize];
            let Some(slot) = &mut slots[index] else { continue };
            progress.scratch.clear();
            if *alive {
                let value = at_level(now, schema, slot.range.take());
                if !slot.encoder.holds(&value) {
                    slot.encoder.sample(progress.ticks, &value, &mut progress.scratch);
                }
            } else {
                slot.encoder.end(progress.ticks, &mut progress.scratch);
            }
            slot.range = None;
            if !progress.scratch.is_empty() {
                frame.push(number, &progress.scratch);
            }
        }
        progress.ticks += 1;
        progress.wholes += 1;
        (progress.last_ms, progress.last_whole_ms) = (self.time_ms, self.time_ms);
        progress.since = 0;
        if bins {
            progress.last_bins_ms = self.time_ms;
        }
        Told { level: index, begins, frame }
    }

    /// The broken tracks that the open block of a level has, by their numbers in it.
    fn broken(&self, index: usize) -> Vec<(u32, usize)> {
        let mut numbered = Vec::new();
        for (position, Break { track, .. }) in self.breaks.iter().enumerate() {
            let slot = self.tracks[*track as usize].slots[index].as_ref();
            if let Some(number) = slot.filter(|slot| slot.encoder.is_alive()).and_then(|slot| slot.number) {
                numbered.push((number, position));
            }
        }
        numbered.sort_unstable();
        numbered
    }

    /// What a coarse level was not told before a reset or an end: the last value.
    fn before_breaks(&mut self, index: usize) -> Option<Told> {
        let numbered = self.broken(index);
        let progress = &mut self.levels[index];
        let schema = progress.level.schema.unwrap_or(7);
        let time_ms = self.before_ms.max(progress.last_ms + 1);
        if time_ms >= self.time_ms {
            return None;
        }
        let mut frame = Frame::new(Tick { time_ms, sparse: true, bins: false });
        for (number, position) in numbered {
            let Break { track, before } = &self.breaks[position];
            let Some(slot) = &mut self.tracks[*track as usize].slots[index] else { continue };
            let value = at_level(before, schema, slot.range.take());
            if !slot.encoder.holds(&value) {
                progress.scratch.clear();
                slot.encoder.sample(progress.ticks, &value, &mut progress.scratch);
                frame.push(number, &progress.scratch);
            }
        }
        Self::sparse(progress, index, frame)
    }

    /// What follows a reset or an end between two ticks of a level; at the end of a block, the ends.
    fn after_breaks(&mut self, index: usize, ends_only: bool) -> Option<Told> {
        let numbered = self.broken(index);
        let progress = &mut self.levels[index];
        let schema = progress.level.schema.unwrap_or(7);
        // Whoever is broken at this look was there at the look before, though its level may not have had to be told.
        let time_ms = if ends_only { self.before_ms.max(progress.last_ms) + 1 } else { self.time_ms };
        if ends_only && time_ms >= self.time_ms {
            return None;
        }
        let mut frame = Frame::new(Tick { time_ms, sparse: true, bins: false });
        for (number, position) in numbered {
            let Track { now, alive, slots, .. } = &mut self.tracks[self.breaks[position].track as usize];
            let Some(slot) = &mut slots[index] else { continue };
            progress.scratch.clear();
            if !*alive {
                slot.encoder.end(progress.ticks, &mut progress.scratch);
            } else if !ends_only {
                slot.encoder.sample(progress.ticks, &at_level(now, schema, None), &mut progress.scratch);
            }
            if !progress.scratch.is_empty() {
                frame.push(number, &progress.scratch);
            }
        }
        Self::sparse(progress, index, frame)
    }

    fn sparse(progress: &mut Progress, index: usize, frame: Frame) -> Option<Told> {
        frame.records().next()?;
        progress.ticks += 1;
        progress.last_ms = frame.tick.time_ms;
        Some(Told { level: index, begins: false, frame })
    }

    /// Gives back the memory of series that ended and that no open block has.
    pub fn forget_ended(&mut self) {
        for (index, track) in self.tracks.iter().enumerate() {
            let mut slots = track.slots.iter().flatten();
            if track.alive || slots.any(|slot| slot.is_dirty || slot.number.is_some()) {
                continue;
            }
            let key = (shape_key(&track.identity.shape), track.identity.name.clone(), track.identity.text.clone());
            if self.by_key.get(&key) == Some(&(index as u32)) {
                self.by_key.remove(&key);
            }
            if !self.free.contains(&(index as u32)) {
                self.free.push(index as u32);
            }
        }
    }
}

/// A value as a level keeps it.
fn at_level(value: &Value, schema: i8, range: Option<(f64, f64)>) -> Value {
    match value {
        Value::Bins(bins) if schema < 7 => Value::Bins(bins::merged(bins, 7, schema)),
        Value::Scalar(scalar) => {
            let (min, max) = range.unwrap_or((scalar.value, scalar.value));
            Value::Scalar(Scalar { value: scalar.value, min: min.min(scalar.value), max: max.max(scalar.value) })
        }
        other => other.clone(),
    }
}
