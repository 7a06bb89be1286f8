//! The segments of a directory by position, and what of each is in the index.

use super::reader::Segment;
use hashbrown::HashMap;

/// A segment, and what of it is in the index.
pub(super) struct Member {
    pub(super) segment: Segment,
    /// What its processes' own series have as `pid`.
    pub(super) pid: String,
    /// The family of each of its ids.
    pub(super) families: HashMap<u32, u32>,
    /// Dead processes whose totals it has, the latest last.
    pub(super) folded: Vec<[u8; 16]>,
}

impl Member {
    pub(super) fn new(segment: Segment) -> Self {
        Member { segment, pid: String::new(), families: HashMap::new(), folded: Vec::new() }
    }

    /// Forgets what of it is in the index.
    pub(super) fn forget(&mut self) {
        self.families.clear();
        self.folded.clear();
    }
}

/// Segments by position; one that went leaves a hole.
#[derive(Default)]
pub(super) struct Members(Vec<Option<Member>>);

impl Members {
    #[inline]
    pub(super) fn get(&self, position: u32) -> Option<&Member> {
        self.0.get(position as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, position: u32) -> Option<&mut Member> {
        self.0.get_mut(position as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Member)> {
        (0..).zip(&self.0).filter_map(|(position, member)| Some((position, member.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Member)> {
        (0..).zip(&mut self.0).filter_map(|(position, member)| Some((position, member.as_mut()?)))
    }

    pub(super) fn add(&mut self, member: Member) -> u32 {
        let hole = self.0.iter().position(Option::is_none);
        let position = hole.unwrap_or_else(|| {
            self.0.push(None);
            self.0.len() - 1
        });
        self.0[position] = Some(member);
        position as u32
    }

    pub(super) fn remove(&mut self, position: u32) -> Option<Member> {
        self.0.get_mut(position as usize)?.take()
    }

    /// Which of two segments is to be believed: those of the living, then the younger one.
    pub(super) fn rank(&self, position: u32) -> (bool, f64) {
        self.get(position).map_or((false, f64::NEG_INFINITY), |member| {
            let created = if member.segment.is_graveyard() { 0.0 } else { member.segment.header().created };
            (member.segment.is_alive(), created)
        })
    }

    /// The positions of all but the graveyard, the oldest first: in the same order for everyone who looks.
    pub(super) fn processes(&self) -> Vec<u32> {
        let all = self.iter().filter(|(_, member)| !member.segment.is_graveyard());
        let mut all: Vec<(f64, [u8; 16], u32)> = all
            .map(|(position, member)| {
                let header = member.segment.header();
                (header.created, header.uuid, position)
            })
            .collect();
        all.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        all.into_iter().map(|(_, _, position)| position).collect()
    }

    /// The positions and uuids of the dead that are not in the graveyard yet, the oldest first.
    pub(super) fn dead(&self) -> Vec<(u32, [u8; 16])> {
        let all = self.processes().into_iter().filter_map(|position| Some((position, self.get(position)?)));
        let dead = all.filter(|(_, member)| !member.segment.is_alive());
        dead.map(|(position, member)| (position, member.segment.header().uuid)).collect()
    }
}
