//! The samples of one track in a stretch of time, out of the pieces that several blocks have of it.

use crate::bins::Bins;
use crate::bits::Bits;
use crate::block::Sealed;
use crate::chunk::{Coder, Decoder, Event};
use crate::scalar::Scalar;
use crate::tick::Tick;
use crate::track::Shape;
use std::sync::Arc;

/// Where the bits of a piece are.
#[derive(Clone, Debug)]
pub enum Source {
    /// In an open block.
    Open(Arc<Bits>),
    /// In a sealed one.
    Sealed {
        /// All its bytes.
        bytes: Arc<[u8]>,
        /// The block.
        block: Arc<Sealed>,
        /// Which of its chunks.
        chunk: usize,
    },
}

/// What one block has of a track, and the times for which it is asked.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The block's ticks.
    pub ticks: Arc<Vec<Tick>>,
    /// The track's bits.
    pub source: Source,
    /// The schema of the level's bins.
    pub schema: i8,
    /// Finer samples begin after this.
    pub until_ms: i64,
}

impl Piece {
    /// The sealed block that has it, and which of its chunks it is.
    pub fn sealed(&self) -> Option<(&Sealed, usize)> {
        match &self.source {
            Source::Open(_) => None,
            Source::Sealed { block, chunk, .. } => Some((block, *chunk)),
        }
    }

    /// A decoder of its bits.
    pub fn decoder(&self, shape: &Shape) -> Decoder<'_> {
        let (bytes, length) = match &self.source {
            Source::Open(bits) => (bits.bytes(), bits.len()),
            Source::Sealed { bytes, block, chunk } => {
                let (at, length) = block.chunks[*chunk];
                (bytes.get(at as usize..).unwrap_or_default(), length as usize)
            }
        };
        Decoder::new(shape, bytes, length, self.ticks.len())
    }
}

/// No row: the series ended.
pub const ENDED: u32 = u32::MAX;

/// Samples in ascending order of time. Neighbours that are the same share a row.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// The time of each sample, and its row.
    pub samples: Vec<(i64, u32)>,
    /// Numbers in a row.
    pub width: usize,
    /// All rows: value, minimum and maximum of a scalar; cumulative buckets and the sum of a histogram.
    pub rows: Vec<f64>,
    /// The rows of bins.
    pub bins: Vec<(i8, Bins)>,
    /// The rows of which some number may be less than before, other than a gauge's, in ascending order.
    pub anew: Vec<u32>,
}

impl Runs {
    /// The samples of a track in `(after, until]`.
    pub fn read(shape: &Shape, pieces: &[Piece], after_ms: i64, until_ms: i64) -> Self {
        let width = match shape {
            Shape::Counter | Shape::Gauge => 3,
            Shape::Classic(bounds) => bounds.len() + 1,
            Shape::Bins => 0,
        };
        let mut runs = Runs { width, ..Runs::default() };
        for piece in pieces {
            runs.piece(shape, piece, after_ms, until_ms.min(piece.until_ms));
        }
        runs
    }

    fn piece(&mut self, shape: &Shape, piece: &Piece, after_ms: i64, until_ms: i64) {
        let ticks = &piece.ticks[..];
        // A piece that begins where another one of the same block ended goes on after it.
        let after_ms = self.samples.last().map_or(after_ms, |&(last, _)| last.max(after_ms));
        let first = ticks.partition_point(|tick| tick.time_ms <= after_ms);
        let end = ticks.partition_point(|tick| tick.time_ms <= until_ms);
        if first >= end {
            return;
        }
        let mut decoder = piece.decoder(shape);
        let mut alive = false;
        // The first row of a piece is not known to follow from the one before.
        let mut is_anew = true;
        let mut next = decoder.peek();
        while let Some((at, depends)) = next {
            let at = at as usize;
            if at >= end {
                break;
            }
            let sum = decoder.coder().sum();
            let Some((_, event)) = decoder.advance() else { break };
            is_anew |= !depends || decoder.coder().sum() < sum;
            next = decoder.peek();
            match event {
                Event::End => {
                    if alive && at >= first {
                        self.samples.push((ticks[at].time_ms, ENDED));
                    }
                    alive = false;
                }
                Event::Sample => {
                    alive = true;
                    // None for a sample before the first time: it is made where a later tick shows it, too.
                    let mut row = ENDED;
                    if at >= first {
                        row = self.push_row(decoder.coder(), piece.schema, true, &mut is_anew);
                        self.samples.push((ticks[at].time_ms, row));
                    }
                    // What lay beyond the value was before this record, and not at the ticks that follow.
                    if matches!(decoder.coder(), Coder::Scalar(coder) if coder.now.has_range()) {
                        row = ENDED;
                    }
                    let until = next.map_or(end, |(next, _)| next as usize).min(end);
                    for tick in ticks.get((at + 1).max(first)..until).unwrap_or_default() {
                        if !tick.implies(shape) {
                            continue;
                        }
                        if row == ENDED {
                            row = self.push_row(decoder.coder(), piece.schema, false, &mut is_anew);
                        }
                        self.samples.push((tick.time_ms, row));
                    }
                }
            }
        }
    }

    fn push_row(&mut self, coder: &Coder, schema: i8, has_range: bool, is_anew: &mut bool) -> u32 {
        if std::mem::take(is_anew) && self.width > 0 {
            self.anew.push((self.rows.len() / self.width) as u32);
        }
        match coder {
            Coder::Scalar(coder) => {
                let now = if has_range { coder.now } else { Scalar::new(coder.now.value) };
                self.rows.extend([now.value, now.min, now.max]);
            }
            Coder::Classic(coder) => {
                let mut total = 0u64;
                self.rows.extend(coder.now.counts.iter().map(|count| {
                    total = total.wrapping_add(*count);
                    total as f64
                }));
                self.rows.push(coder.now.sum);
            }
            Coder::Bins(coder) => {
                self.bins.push((schema, coder.now.clone()));
                return self.bins.len() as u32 - 1;
            }
        }
        (self.rows.len() / self.width) as u32 - 1
    }

    /// Whether a number of a row is less than in the one before.
    pub fn falls(&self, before: u32, row: u32) -> bool {
        let numbers = |row: u32| self.rows[row as usize * self.width..][..self.width].iter();
        numbers(row).zip(numbers(before)).any(|(now, was)| now < was)
    }

    /// A number of a row.
    #[inline]
    pub fn number(&self, row: u32, column: usize) -> f64 {
        self.rows[row as usize * self.width + column]
    }
}
