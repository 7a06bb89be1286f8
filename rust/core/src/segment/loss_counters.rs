//! What was wrong with files that are folded by now: the graveyard goes on telling, so that no count of it
//! ever goes back.

use super::damage::Damage;
use super::format::{header, GRAVEYARD};
use super::reader::Segment;
use super::view::View;
use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Losses, counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct LossCounters {
    /// Records that processes had no place for.
    pub(super) faults: u64,
    /// Damaged files, in the order of [`Damage::EVERY`].
    pub(super) damaged: [u64; Damage::EVERY.len()],
}

impl LossCounters {
    /// What a graveyard tells of.
    fn told_by(graveyard: &Segment) -> Self {
        let words = graveyard.map().run::<AtomicU64>(header::DAMAGED, Damage::EVERY.len());
        let mut losses = LossCounters { faults: graveyard.faults(), ..LossCounters::default() };
        for (ours, word) in losses.damaged.iter_mut().zip(words.unwrap_or_default()) {
            *ours = word.load(Relaxed);
        }
        losses
    }

    /// What is to be told of when the segments at these positions are folded, and the graveyard with them.
    pub(super) fn after(view: &View, dead: &[u32]) -> Self {
        let members = &view.index().members;
        let graveyard = members.iter().find(|(_, member)| member.segment.is_graveyard());
        let mut losses =
            graveyard.map_or_else(LossCounters::default, |(_, member)| LossCounters::told_by(&member.segment));
        for member in dead.iter().filter_map(|&position| members.get(position)) {
            losses.faults = losses.faults.saturating_add(member.segment.faults());
            losses.count(member.segment.damage());
        }
        // It is written anew, whatever became of the old one.
        let graveyard = view.unreadable().into_iter().find(|file| file.file == GRAVEYARD);
        losses.count(graveyard.map(|file| file.damage));
        losses
    }

    fn count(&mut self, damage: Option<Damage>) {
        let index = damage.and_then(|damage| Damage::EVERY.iter().position(|every| *every == damage));
        if let Some(count) = index.and_then(|index| self.damaged.get_mut(index)) {
            *count = count.saturating_add(1);
        }
    }

    /// Writes them into a graveyard.
    pub(super) fn put(&self, graveyard: &mut [u8]) {
        let damaged = self.damaged.iter().enumerate().map(|(index, count)| (header::DAMAGED + 8 * index, count));
        for (at, count) in damaged.chain([(header::FAULTS, &self.faults)]) {
            graveyard[at..at + 8].copy_from_slice(&count.to_le_bytes());
        }
    }
}

impl View {
    /// How many damaged files were folded, by reason.
    pub fn damaged(&self) -> Vec<(Damage, u64)> {
        let graveyard = self.index().members.iter().find(|(_, member)| member.segment.is_graveyard());
        let told = graveyard.map_or_else(LossCounters::default, |(_, member)| LossCounters::told_by(&member.segment));
        Damage::EVERY.into_iter().zip(told.damaged).filter(|&(_, count)| count > 0).collect()
    }
}
