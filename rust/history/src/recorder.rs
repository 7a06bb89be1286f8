//! The writer's memory: what every series was at the last look, and what each level has been told of it.

use crate::bins::{self, Bins};
use crate::bits::Bits;
use crate::chunk::{Encoder, Value};
use crate::classic::{kept, Classic};
use crate::level::{Level, Plan};
use crate::progress::{Break, Progress, Slot, Track, NONE};
use crate::scalar::Scalar;
use crate::track::{Identity, Shape};
use hashbrown::HashMap;
use std::sync::Arc;

/// The writer.
pub struct Recorder {
    pub(crate) plan: Plan,
    pub(crate) tracks: Vec<Track>,
    pub(crate) by_key: HashMap<(u8, Arc<str>, Arc<str>), u32>,
    pub(crate) free: Vec<u32>,
    pub(crate) levels: Vec<Progress>,
    pub(crate) look: u64,
    pub(crate) time_ms: i64,
    pub(crate) before_ms: i64,
    /// The tracks in the order of the last look, and how far this one has come: it is nearly always the same.
    pub(crate) order: Vec<u32>,
    pub(crate) visited: Vec<u32>,
    pub(crate) changed: Vec<u32>,
    pub(crate) breaks: Vec<Break>,
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
