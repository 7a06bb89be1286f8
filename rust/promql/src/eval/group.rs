//! Series by some of their labels.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::labels::{Labels, Layout, NAME};

/// Which labels make a group.
#[derive(Clone, Copy)]
pub(super) enum Key<'k> {
    /// These.
    By(&'k [String]),
    /// All but these and the metric name.
    Without(&'k [String]),
}

impl Key<'_> {
    fn keeps(&self, name: &str) -> bool {
        match self {
            Self::By(labels) => labels.iter().any(|label| label == name),
            Self::Without(labels) => name != NAME && labels.iter().all(|label| label != name),
        }
    }

    /// The labels of the group of a series.
    pub(super) fn of(&self, layout: &mut Layout, labels: &Labels) -> Labels {
        layout.retain(labels, |name| self.keeps(name))
    }
}

/// Numbers label sets in the order in which they are met.
pub(super) struct Groups {
    table: HashTable<(u64, u32)>,
    hasher: foldhash::fast::RandomState,
    /// The labels of each group.
    pub(super) labels: Vec<Labels>,
}

impl Groups {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            table: HashTable::with_capacity(count),
            hasher: foldhash::fast::RandomState::default(),
            labels: Vec::with_capacity(count),
        }
    }

    /// The number of the group of these labels; a new one where there is none.
    pub(super) fn add(&mut self, labels: Labels) -> usize {
        let hash = self.hasher.hash_one(&labels);
        let known = &self.labels;
        let found = self.table.find(hash, |(other, at)| *other == hash && known[*at as usize] == labels);
        if let Some((_, at)) = found {
            return *at as usize;
        }
        let at = self.labels.len();
        self.table.insert_unique(hash, (hash, at as u32), |(hash, _)| *hash);
        self.labels.push(labels);
        at
    }

    /// The number of the group of these labels, if there is one.
    pub(super) fn find(&self, labels: &Labels) -> Option<usize> {
        let hash = self.hasher.hash_one(labels);
        let found = self.table.find(hash, |(other, at)| *other == hash && self.labels[*at as usize] == *labels);
        found.map(|(_, at)| *at as usize)
    }
}

/// The members of each group, in the order in which they were added.
pub(super) struct Members {
    order: Vec<u32>,
    starts: Vec<u32>,
}

impl Members {
    /// `group_of[row]` is the group of a row, one of `count`.
    pub(super) fn new(group_of: &[usize], count: usize) -> Self {
        let mut starts = vec![0_u32; count + 1];
        for group in group_of {
            starts[group + 1] += 1;
        }
        for at in 0..count {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut order = vec![0; group_of.len()];
        for (row, group) in group_of.iter().enumerate() {
            order[next[*group] as usize] = row as u32;
            next[*group] += 1;
        }
        Self { order, starts }
    }

    pub(super) fn of(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        let range = self.starts[group] as usize..self.starts[group + 1] as usize;
        self.order[range].iter().map(|row| *row as usize)
    }
}
