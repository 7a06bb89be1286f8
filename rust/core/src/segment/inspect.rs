//! What lies in a directory of segments, file by file.

use super::cells::{Cells, Source};
use super::damage::Damage;
use super::format::{Content, Header, GRAVEYARD, SUFFIX, TEMPORARY};
use super::liveness::Place;
use super::reader::Segment;
use super::record::Record;
use super::view::View;
use std::fs;
use std::io;
use std::path::Path;

/// What a file of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The segment of a process that lives.
    Live,
    /// That of one that died; the next scrape puts it into the graveyard.
    Dead,
    /// The totals of the dead.
    Graveyard,
    /// A file that is being made, or whose maker died meanwhile.
    Unfinished,
    /// Nothing of it can be read.
    Unreadable,
}

impl State {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Dead => "dead",
            State::Graveyard => "graveyard",
            State::Unfinished => "unfinished",
            State::Unreadable => "unreadable",
        }
    }
}

/// A file of a directory of segments.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentInfo {
    /// Its name.
    pub file: String,
    /// What it is.
    pub state: State,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Whose it is, when that can be read.
    pub header: Option<Header>,
    /// How many families it tells of.
    pub families: usize,
    /// How many series there are.
    pub series: usize,
    /// How many series it tells of that are gone.
    pub removed: usize,
    /// How many removals it remembers.
    pub tombstones: usize,
    /// How many dead processes it names; only the graveyard does.
    pub folded: usize,
    /// The removal epoch that its owner has acted upon.
    pub acted: u64,
    /// Records that its owner had no place for.
    pub faults: u64,
    /// What was found first of what is wrong with it.
    pub damage: Option<Damage>,
    /// How much is.
    pub damages: u64,
}

/// Tells of all segments in a directory, by name.
///
/// # Errors
/// When it is not a directory that only this user can write.
pub fn inspect(directory: &Path) -> io::Result<Vec<SegmentInfo>> {
    let view = View::open(directory)?;
    let place = Place::here();
    let mut all = Vec::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        let Ok(name) = file.file_name().into_string() else { continue };
        let is_unfinished = name.starts_with(TEMPORARY);
        if !is_unfinished && !name.ends_with(SUFFIX) {
            continue;
        }
        let bytes = fs::symlink_metadata(file.path()).map_or(0, |about| about.len());
        let opened = if is_unfinished { Ok(None) } else { Segment::open(&file.path(), view.user(), place.as_ref()) };
        match opened {
            Ok(Some(segment)) => all.push(info(name, bytes, segment)),
            Ok(None) if is_unfinished => all.push(plain(name, State::Unfinished, bytes, None)),
            // Folded at this moment.
            Ok(None) => {}
            Err(damage) => all.push(plain(name, State::Unreadable, bytes, Some(damage))),
        }
    }
    all.sort_by(|left, right| left.file.cmp(&right.file));
    Ok(all)
}

fn plain(file: String, state: State, bytes: u64, damage: Option<Damage>) -> SegmentInfo {
    SegmentInfo {
        file,
        state,
        bytes,
        header: None,
        families: 0,
        series: 0,
        removed: 0,
        tombstones: 0,
        folded: 0,
        acted: 0,
        faults: 0,
        damage,
        damages: u64::from(damage.is_some()),
    }
}

fn info(file: String, bytes: u64, mut segment: Segment) -> SegmentInfo {
    let state = match segment.header().content {
        Content::Graveyard if file != GRAVEYARD => State::Unreadable,
        Content::Graveyard => State::Graveyard,
        Content::Process if segment.is_alive() => State::Live,
        Content::Process => State::Dead,
    };
    let mut info = plain(file, state, bytes, None);
    for record in segment.news(true).records {
        match record {
            Record::Family(_) => info.families += 1,
            Record::Series(series) => {
                let source = Source {
                    segment: 0,
                    block: series.block,
                    buckets: series.buckets,
                    generation: series.generation,
                    family: series.family,
                    stamp: series.stamp,
                };
                let is_there = Cells::new(&segment, &source).is_current();
                *(if is_there { &mut info.series } else { &mut info.removed }) += 1;
            }
            Record::Tombstone(_) => info.tombstones += 1,
            Record::Folded(_) => info.folded += 1,
        }
    }
    SegmentInfo {
        acted: segment.acted(),
        faults: segment.faults(),
        damage: segment.damage(),
        damages: segment.damages(),
        header: Some(segment.header().clone()),
        ..info
    }
}
