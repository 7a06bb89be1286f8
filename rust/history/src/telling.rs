//! What one look adds to each level: a tick of what has changed, and beside it what a coarse level must not lose of a
//! reset or an end.

use crate::bins;
use crate::chunk::Value;
use crate::frame::Frame;
use crate::level::Level;
use crate::progress::{Break, Progress, Track, NONE};
use crate::recorder::Recorder;
use crate::scalar::Scalar;
use crate::tick::Tick;
use crate::track::Shape;

/// What a level is told at one look.
pub struct Told {
    /// Which level.
    pub level: usize,
    /// Whether a new block begins with it.
    pub begins: bool,
    /// The tick.
    pub frame: Frame,
}

impl Recorder {
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
