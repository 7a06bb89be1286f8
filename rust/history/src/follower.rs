//! Reads what another process writes: new blocks, and what the tails have beyond what is known.

use crate::block::{Damage, Open, Place, Sealed};
use crate::files::{Files, TailId};
use crate::store::{Memory, Store};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Follows the files of one history into a store.
#[derive(Debug)]
pub struct Follower {
    files: Files,
    /// Of each level's tail: which one, and how far it was read.
    tails: Mutex<Vec<Option<(TailId, u64)>>>,
}

impl Follower {
    /// A follower that has read nothing.
    pub fn new(files: Files) -> Self {
        Follower { files, tails: Mutex::new(Vec::new()) }
    }

    /// The files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Reads what is new. Whatever is wrong with a file is noted, and fails nothing.
    pub fn refresh(&self, store: &Store) {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.resize(store.plan.levels.len(), None);
        // Tails first: a block is there before its tail is replaced.
        let news: Vec<_> = tails.iter().enumerate().map(|(level, known)| self.files.read_tail(level, *known)).collect();
        let blocks = self.files.blocks();
        let about = self.files.read_families();
        let mut memory = store.lock();
        memory.about.extend(about);
        for (level, news) in news.into_iter().enumerate() {
            match news {
                Ok(Some(news)) => {
                    if tails[level].is_none_or(|(known, _)| known != news.id) {
                        memory.levels[level].open = Open::default();
                    }
                    for frame in &news.frames {
                        memory.apply(level, frame);
                    }
                    tails[level] = Some((news.id, news.end));
                }
                Ok(None) => {
                    memory.levels[level].open = Open::default();
                    tails[level] = None;
                }
                Err(damage) => {
                    memory.note(&self.files.folder().join(format!("{level}.tail")).display().to_string(), damage);
                }
            }
        }
        match blocks {
            Ok(blocks) => Self::adopt(&mut memory, blocks),
            Err(_) => memory.note(&self.files.folder().display().to_string(), Damage::Unreadable),
        }
    }

    /// Makes the sealed blocks those of the folder.
    fn adopt(memory: &mut Memory, found: Vec<(usize, i64, PathBuf)>) {
        let listed: BTreeSet<&PathBuf> = found.iter().map(|(.., path)| path).collect();
        let mut is_changed = false;
        for blocks in &mut memory.levels {
            let before = blocks.sealed.len();
            blocks.sealed.retain(|block| block.path().is_none_or(|path| listed.contains(path)));
            is_changed |= blocks.sealed.len() != before;
        }
        for (level, _, path) in found {
            let Memory { levels, catalog, damage, .. } = &mut *memory;
            let Some(blocks) = levels.get_mut(level) else { continue };
            if blocks.sealed.iter().any(|block| block.path() == Some(&path))
                || damage.contains_key(&*path.display().to_string())
            {
                continue;
            }
            let read = std::fs::read(&path)
                .map_err(|error| (error.kind() != std::io::ErrorKind::NotFound).then_some(Damage::Unreadable));
            let block = read.and_then(|bytes| {
                Sealed::read(&bytes, Place::File(path.clone()), catalog)
                    .and_then(|block| if block.level == level { Ok(block) } else { Err(Damage::Content) })
                    .map_err(Some)
            });
            match block {
                Ok(block) => {
                    let at = blocks.sealed.partition_point(|other| other.first_ms() < block.first_ms());
                    blocks.sealed.insert(at, Arc::new(block));
                }
                Err(Some(damage)) => memory.note(&path.display().to_string(), damage),
                Err(None) => {}
            }
        }
        if is_changed {
            memory.forget_series();
        }
    }
}

impl Memory {
    /// Remembers what is wrong with a file.
    pub fn note(&mut self, file: &str, damage: Damage) {
        /// So many files are told of.
        const MOST: usize = 100;
        if self.damage.len() < MOST {
            self.damage.insert(file.to_owned(), damage.describe());
        }
    }
}
