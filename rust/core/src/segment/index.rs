//! The families and series of several segments, by name and label text.
//!
//! It is kept from one scrape to the next: what is known already is not hashed again.

use super::cells::Source;
use super::damage::Damage;
use super::entry::{Entry, Origin};
use super::members::Members;
use super::record::{FamilyRecord, Record, SeriesRecord};
use super::tombstones::Tombstones;
use hashbrown::{HashMap, HashSet};

/// The families and series of several segments.
#[derive(Default)]
pub(super) struct Index {
    pub(super) members: Members,
    /// In the order in which they were come by; one that went leaves a hole.
    entries: Vec<Option<Entry>>,
    /// Positions by scope and name.
    names: HashMap<(Box<str>, Box<str>), Vec<u32>>,
    pub(super) tombstones: Tombstones,
    /// Whether another of several definitions of a name may be the right one now.
    unsettled: bool,
}

impl Index {
    /// The families.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    /// The families of this scope and name, those that are not shown too.
    pub(super) fn named(&self, scope: &str, name: &str) -> impl Iterator<Item = &Entry> {
        let positions = self.names.get(&(scope.into(), name.into()));
        positions.into_iter().flatten().filter_map(|&position| self.entries[position as usize].as_ref())
    }

    /// Takes in what a segment's log says. With `definitions_only`, none of its series.
    pub(super) fn take_in(&mut self, position: u32, records: Vec<Record>, definitions_only: bool) {
        for record in records {
            let taken = match record {
                Record::Family(family) => self.family(position, family, definitions_only),
                Record::Series(series) if !definitions_only => self.series(position, &series),
                Record::Series(_) => Ok(()),
                Record::Tombstone(tombstone) => {
                    if self.tombstones.add(&tombstone) {
                        self.named(&tombstone.scope, &tombstone.name).for_each(Entry::mark_stale);
                    }
                    Ok(())
                }
                Record::Folded(uuid) => {
                    let member = self.members.get_mut(position).filter(|member| member.segment.is_graveyard());
                    member.map(|member| member.folded.push(uuid)).ok_or(Damage::Content)
                }
            };
            if let (Err(damage), Some(member)) = (taken, self.members.get_mut(position)) {
                member.segment.spoil(damage);
            }
        }
    }

    fn family(&mut self, position: u32, record: FamilyRecord, definitions_only: bool) -> Result<(), Damage> {
        let origin = Origin {
            segment: position,
            id: record.id,
            block: record.block,
            generation: record.generation,
            counts: !definitions_only,
        };
        let Some(member) = self.members.get(position) else { return Ok(()) };
        if !origin.is_inside(&member.segment) {
            return Err(Damage::Offset);
        }
        // Gone already: its record is only not swept away yet.
        if !origin.is_current(&member.segment) {
            return Ok(());
        }
        let key = (record.scope.as_str().into(), record.name.as_str().into());
        let named = self.names.get(&key).into_iter().flatten().copied();
        let known = named.into_iter().find(|&at| self.entries[at as usize].as_ref().is_some_and(|e| e.is(&record)));
        let at = if let Some(at) = known {
            at
        } else {
            let fresh = Entry::new(record)?;
            let hole = self.entries.iter().position(Option::is_none);
            let at = hole.unwrap_or_else(|| {
                self.entries.push(None);
                self.entries.len() - 1
            });
            self.entries[at] = Some(fresh);
            let at = at as u32;
            let all = self.names.entry(key).or_default();
            all.push(at);
            self.unsettled |= all.len() > 1;
            at
        };
        if let Some(entry) = self.entries[at as usize].as_mut() {
            entry.origins.push(origin);
        }
        if let Some(member) = self.members.get_mut(position) {
            member.families.insert(origin.id, at);
        }
        Ok(())
    }

    /// Of several definitions of a name, shows that of the living, then that of the youngest. Of registries
    /// other than the default one, each may have its own.
    pub(super) fn settle(&mut self) {
        if !std::mem::take(&mut self.unsettled) {
            return;
        }
        for ((scope, _), all) in self.names.iter().filter(|(_, all)| !all.is_empty()) {
            let rank = |at: u32| {
                let origins = self.entries[at as usize].iter().flat_map(|entry| &entry.origins);
                let ranks = origins.map(|origin| self.members.rank(origin.segment));
                ranks.fold((false, f64::NEG_INFINITY), |best, rank| if rank > best { rank } else { best })
            };
            let mut best = all[0];
            for &at in &all[1..] {
                best = if rank(at) > rank(best) { at } else { best };
            }
            for &at in all {
                if let Some(entry) = &mut self.entries[at as usize] {
                    entry.is_shown = scope.is_empty() || at == best;
                }
            }
        }
    }

    fn series(&mut self, position: u32, record: &SeriesRecord) -> Result<(), Damage> {
        let Some(member) = self.members.get(position) else { return Ok(()) };
        let Some(&at) = member.families.get(&record.family) else {
            // Its family was gone, or damaged.
            return Ok(());
        };
        let Some(entry) = self.entries.get_mut(at as usize).and_then(Option::as_mut) else { return Ok(()) };
        let source = Source {
            segment: position,
            block: record.block,
            buckets: record.buckets,
            generation: record.generation,
            family: record.family,
            stamp: record.stamp,
        };
        entry.add(member, source, &record.text, &self.tombstones)
    }

    /// Drops what these segments brought in.
    pub(super) fn forget(&mut self, gone: &HashSet<u32>) {
        for &position in gone {
            if let Some(member) = self.members.get_mut(position) {
                member.forget();
            }
        }
        for entry in self.entries.iter_mut().flatten() {
            entry.forget(gone);
        }
        self.close();
    }

    /// Drops the series that their processes or anyone else removed.
    pub(super) fn sweep(&mut self) {
        for entry in self.entries.iter_mut().flatten() {
            if entry.is_stale() {
                entry.sweep(&self.members, &self.tombstones);
            }
        }
        self.close();
    }

    /// Drops families that no segment has any more.
    fn close(&mut self) {
        let Index { entries, names, members, .. } = self;
        let mut closed = HashSet::new();
        for (at, place) in (0u32..).zip(entries) {
            let Some(entry) = place.take_if(|entry| entry.origins.is_empty()) else { continue };
            closed.insert(at);
            let key = (entry.scope, entry.definition.name.as_str().into());
            if let Some(positions) = names.get_mut(&key) {
                positions.retain(|&position| position != at);
                if positions.is_empty() {
                    names.remove(&key);
                }
            }
        }
        if !closed.is_empty() {
            // Their places will be others'.
            members.iter_mut().for_each(|(_, member)| member.families.retain(|_, at| !closed.contains(at)));
        }
    }

    /// Somebody came, went or died: another of several definitions may be the right one now.
    pub(super) fn unsettle(&mut self) {
        self.unsettled = true;
    }

    /// Forgets everything but the segments, whose logs are to be read from the start.
    pub(super) fn start_over(&mut self) {
        self.entries.clear();
        self.names.clear();
        for (_, member) in self.members.iter_mut() {
            member.forget();
            member.segment.rewind();
        }
    }
}
