//! All segments of a directory, as one.

use super::damage::{Damage, Unreadable};
use super::format::{control, CONTROL, CONTROL_MAGIC, GRAVEYARD, SUFFIX, TEMPORARY};
use super::index::Index;
use super::liveness::Place;
use super::map::{identity, Map};
use super::members::Member;
use super::reader::{Interest, Segment};
use super::record::Record;
use super::tombstones::Fallen;
use super::trusted;
use crate::descriptor::Identity;
use crate::sync::{AtomicU64, Ordering::SeqCst};
use hashbrown::HashSet;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How often a directory that changes while it is looked at is looked at again.
const TRIES: usize = 5;

/// Removals after which the graveyard is written anew, so that they need not be remembered any longer.
const REMOVALS: u64 = 256;

/// All segments of a directory; [`refresh`](Self::refresh) before each look.
pub struct View {
    directory: PathBuf,
    /// Whom the directory belongs to.
    user: u32,
    place: Option<Place>,
    index: Index,
    /// Positions by file name; the graveyard's too.
    by_name: BTreeMap<String, u32>,
    control: Option<Map>,
    control_file: Option<Identity>,
    /// Files that cannot be read at all.
    unreadable: BTreeMap<String, Damage>,
    interest: Interest,
    /// Whether segments came or went since the processes got their names.
    regrouped: bool,
    /// The removal epoch up to which all removals are known.
    known: u64,
    /// How many had been heard of when somebody last acted upon them.
    heeded: u64,
}

impl View {
    /// The view of a directory; nothing of it is read yet.
    ///
    /// # Errors
    /// When it is no directory, a link, or not one that only this user can write.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let user = trusted::owner(directory)?;
        Ok(View {
            directory: directory.to_owned(),
            user,
            place: Place::here(),
            index: Index::default(),
            by_name: BTreeMap::new(),
            control: None,
            control_file: None,
            unreadable: BTreeMap::new(),
            interest: Interest::Everything,
            regrouped: false,
            known: 0,
            heeded: 0,
        })
    }

    /// Which directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The removals of a family.
    pub(super) fn removals(&self, scope: &str, name: &str) -> Fallen<'_> {
        self.index.tombstones.of(scope, name)
    }

    /// Looks at the directory again: new segments, new records, deaths. Whatever is wrong with a file is
    /// noted, and fails nothing.
    pub fn refresh(&mut self) {
        self.look_again();
    }

    /// As [`refresh`](Self::refresh). Returns the removal epoch up to which all removals are known, and all the
    /// living had acted upon them before their logs were read.
    pub(super) fn look_again(&mut self) -> u64 {
        self.let_go_of_closed();
        self.look_at_control();
        // Counted first, and written down afterwards: between the two, its owner says so.
        let epoch = self.epoch();
        for _ in 0..TRIES {
            let graveyard = identity(&self.graveyard());
            let listed = self.list();
            // After the others: what was folded meanwhile is in it, and is left out of them.
            self.open_graveyard();
            if let Some(listed) = listed {
                self.keep(&listed);
            }
            if identity(&self.graveyard()) == graveyard {
                break;
            }
        }
        let mut changed = self.regrouped;
        for (_, member) in self.index.members.iter_mut() {
            changed |= member.segment.look(self.place.as_ref());
        }
        if changed {
            self.index.unsettle();
        }
        let written = self.index.members.iter().map(|(_, member)| member.segment.removed());
        self.known = written.fold(epoch, u64::min);
        let acted = self.acted().unwrap_or(u64::MAX).min(self.known);
        self.read();
        self.index.sweep();
        self.index.settle();
        self.index.tombstones.forget(self.settled());
        acted
    }

    /// The removal epoch up to which all removals are known.
    pub(super) fn known(&self) -> u64 {
        self.known
    }

    /// Whether there are removals that were not there when this was last asked.
    pub(super) fn has_news(&mut self) -> bool {
        let news = self.index.tombstones.news();
        std::mem::replace(&mut self.heeded, news) != news
    }

    /// The files that cannot be read, or not wholly, and why.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        let whole = self.unreadable.iter().map(|(file, &damage)| Unreadable { file: file.clone(), damage });
        let parts = self.by_name.iter().filter_map(|(file, &position)| {
            let damage = self.index.members.get(position)?.segment.damage()?;
            Some(Unreadable { file: file.clone(), damage })
        });
        whole.chain(parts).collect()
    }

    /// The definitions that are left out, because other processes define their names otherwise.
    pub fn conflicts(&self) -> Vec<String> {
        let hidden = self.index.entries().filter(|entry| !entry.is_shown);
        hidden.map(|entry| entry.definition.describe()).collect()
    }

    /// How many processes live.
    pub fn living(&self) -> usize {
        self.index.members.iter().filter(|(_, member)| member.segment.is_alive()).count()
    }

    /// How many are dead, and not in the graveyard yet.
    pub fn dead(&self) -> usize {
        let is_dead = |segment: &Segment| !segment.is_alive() && !segment.is_graveyard();
        self.index.members.iter().filter(|(_, member)| is_dead(&member.segment)).count()
    }

    /// Records that processes had no place for.
    pub fn faults(&self) -> u64 {
        self.index.members.iter().fold(0, |sum, (_, member)| member.segment.faults().saturating_add(sum))
    }

    /// Whether there is something for [`fold`](super::fold::fold) to do.
    pub fn is_fold_due(&self) -> bool {
        let graveyard = self.index.members.iter().find(|(_, member)| member.segment.is_graveyard());
        let acted = graveyard.map_or(u64::MAX, |(_, member)| member.segment.acted());
        self.dead() > 0 || self.acted().is_some_and(|least| least > acted.saturating_add(REMOVALS))
    }

    /// Whether there is a graveyard that somebody may read, but not we, or not now. One whose bytes are not what
    /// was written is of use to nobody.
    pub(super) fn is_graveyard_unknown(&self) -> bool {
        let damage = self.unreadable.get(GRAVEYARD);
        damage.is_some_and(|damage| {
            matches!(damage, Damage::Access | Damage::Unreadable | Damage::Version | Damage::Order)
        })
    }

    fn graveyard(&self) -> PathBuf {
        self.directory.join(GRAVEYARD)
    }

    /// A directory that was emptied begins to count removals from zero; what is known of it is wrong then.
    fn look_at_control(&mut self) {
        let path = self.directory.join(CONTROL);
        let found = identity(&path);
        if found == self.control_file && (found.is_none() || self.control.is_some()) {
            return;
        }
        if self.control_file.is_some() && found != self.control_file {
            self.index = Index::default();
            self.by_name.clear();
        }
        let map = Map::open(&path, self.user).ok().flatten();
        let mut magic = Vec::new();
        self.control = map.filter(|map| map.copy(0, 8, &mut magic).is_some() && magic == CONTROL_MAGIC);
        self.control_file = found;
    }

    /// How many removals there were.
    pub(super) fn epoch(&self) -> u64 {
        let word = self.control.as_ref().and_then(|map| map.word::<AtomicU64>(control::EPOCH));
        word.map_or(0, |word| word.load(SeqCst))
    }

    /// The removal epoch that all the living have acted upon; nothing when none lives.
    pub(super) fn acted(&self) -> Option<u64> {
        let living = self.index.members.iter().filter(|(_, member)| member.segment.is_alive());
        living.map(|(_, member)| member.segment.acted()).min()
    }

    /// The names of the segments that are there, after opening those that are new. Nothing when the directory
    /// cannot be read; then those that are known go on.
    fn list(&mut self) -> Option<HashSet<String>> {
        let mut listed = HashSet::new();
        self.unreadable.clear();
        let mut fresh = Vec::new();
        let Ok(files) = fs::read_dir(&self.directory) else {
            self.unreadable.insert(".".into(), Damage::Unreadable);
            return None;
        };
        for file in files {
            let name = file.ok()?.file_name();
            let Some(name) = name.to_str() else { continue };
            if !name.ends_with(SUFFIX) || name.starts_with(TEMPORARY) || name == GRAVEYARD {
                continue;
            }
            listed.insert(name.to_owned());
            if self.by_name.contains_key(name) {
                continue;
            }
            match Segment::open(&self.directory.join(name), self.user, self.place.as_ref()) {
                Ok(Some(segment)) => fresh.push((segment, name.to_owned())),
                Ok(None) => {}
                Err(damage) => {
                    self.unreadable.insert(name.to_owned(), damage);
                }
            }
        }
        for (segment, name) in fresh {
            let position = self.index.members.add(Member::new(segment));
            self.by_name.insert(name, position);
            self.regrouped = true;
        }
        Some(listed)
    }

    /// Opens the graveyard, if it is another one than we know, and reads it.
    fn open_graveyard(&mut self) {
        let known = self.by_name.get(GRAVEYARD).copied();
        let there = identity(&self.graveyard());
        let ours = known.and_then(|position| self.index.members.get(position)).map(|m| m.segment.identity());
        if there == ours {
            return;
        }
        if let Some(position) = known {
            self.drop_members(&HashSet::from([position]));
        }
        match Segment::open(&self.graveyard(), self.user, self.place.as_ref()) {
            Ok(Some(segment)) if segment.is_graveyard() => {
                let position = self.index.members.add(Member::new(segment));
                self.by_name.insert(GRAVEYARD.into(), position);
                self.regrouped = true;
                self.read_one(position);
            }
            Ok(Some(_)) => drop(self.unreadable.insert(GRAVEYARD.into(), Damage::Content)),
            Ok(None) => {}
            Err(damage) => drop(self.unreadable.insert(GRAVEYARD.into(), damage)),
        }
    }

    /// Lets go of segments that were folded, or that somebody took away.
    fn keep(&mut self, listed: &HashSet<String>) {
        let folded: HashSet<[u8; 16]> = self.folded().iter().copied().collect();
        let is_gone = |name: &str, position: u32| {
            let member = self.index.members.get(position);
            !listed.contains(name) || member.is_none_or(|member| folded.contains(&member.segment.header().uuid))
        };
        let gone = self.by_name.iter().filter(|(name, &position)| *name != GRAVEYARD && is_gone(name, position));
        let gone: HashSet<u32> = gone.map(|(_, &position)| position).collect();
        self.drop_members(&gone);
    }

    /// Lets go of files that somebody else closed, so that they are opened again.
    fn let_go_of_closed(&mut self) {
        let members = self.index.members.iter();
        let closed = members.filter(|(_, member)| !member.segment.map().is_open()).map(|(position, _)| position);
        self.drop_members(&closed.collect());
    }

    fn drop_members(&mut self, gone: &HashSet<u32>) {
        if gone.is_empty() {
            return;
        }
        self.regrouped = true;
        self.index.forget(gone);
        self.by_name.retain(|_, position| !gone.contains(position));
        for &position in gone {
            self.index.members.remove(position);
        }
    }

    /// Reads what is new in all logs, the graveyard's first.
    fn read(&mut self) {
        if let Some(&graveyard) = self.by_name.get(GRAVEYARD) {
            self.read_one(graveyard);
        }
        if std::mem::take(&mut self.regrouped) {
            self.name_processes();
        }
        for position in self.index.members.processes() {
            self.read_one(position);
        }
    }

    fn read_one(&mut self, position: u32) {
        let Some(member) = self.index.members.get_mut(position) else { return };
        let definitions_only = match self.interest {
            Interest::Everything => false,
            Interest::Fold => member.segment.is_alive(),
            Interest::Removals => true,
        };
        let mut news = member.segment.news(!definitions_only);
        if self.interest == Interest::Removals {
            news.records.retain(|record| matches!(record, Record::Tombstone(_) | Record::Folded(_)));
        }
        if news.anew {
            self.index.forget(&HashSet::from([position]));
        }
        if !news.records.is_empty() {
            self.index.take_in(position, news.records, definitions_only);
        }
    }

    /// Gives every process the text of its label `pid`: its number, and more where that is taken by one that
    /// was there before, in another pid namespace or dead.
    fn name_processes(&mut self) {
        let mut taken: HashSet<String> = HashSet::new();
        let graveyard = self.by_name.get(GRAVEYARD).copied();
        if let Some(graveyard) = graveyard {
            let entries = self.index.entries().filter(|entry| entry.is_per_process());
            taken.extend(entries.flat_map(|entry| entry.pids_in(graveyard)));
        }
        let mut renamed = false;
        for position in self.index.members.processes() {
            let Some(member) = self.index.members.get_mut(position) else { continue };
            let header = member.segment.header();
            let plain = header.pid.to_string();
            let name = if taken.contains(&plain) {
                format!("{plain}-{}", &super::format::hex(&header.uuid)[..8])
            } else {
                plain
            };
            renamed |= !member.pid.is_empty() && member.pid != name;
            taken.insert(name.clone());
            member.pid = name;
        }
        if renamed {
            self.index.start_over();
            if let Some(graveyard) = graveyard {
                self.read_one(graveyard);
            }
        }
    }

    /// The removal epoch that everyone has acted upon, the graveyard included: whatever comes now was made after
    /// those removals.
    pub(super) fn settled(&self) -> u64 {
        self.index.members.iter().map(|(_, member)| member.segment.acted()).min().unwrap_or(0)
    }

    /// The view of a folder: of the living, it has only definitions and removals.
    pub(super) fn open_for_fold(directory: &Path) -> io::Result<Self> {
        Ok(View { interest: Interest::Fold, ..View::open(directory)? })
    }

    /// A view that has nothing but removals.
    pub(super) fn open_for_removals(directory: &Path) -> io::Result<Self> {
        Ok(View { interest: Interest::Removals, ..View::open(directory)? })
    }

    /// Whom the directory belongs to.
    pub(super) fn user(&self) -> u32 {
        self.user
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// The processes that the graveyard names, the latest last.
    pub(super) fn folded(&self) -> &[[u8; 16]] {
        let graveyard = self.by_name.get(GRAVEYARD).and_then(|&position| self.index.members.get(position));
        graveyard.map_or(&[], |member| &member.folded)
    }
}
