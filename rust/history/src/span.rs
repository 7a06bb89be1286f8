//! The two ends of one window of a track, and its resets: all that a rate needs to know. What lies between is decoded
//! and not kept.

use crate::bins;
use crate::chunk::{Coder, Event, Value};
use crate::classic::Classic;
use crate::runs::Piece;
use crate::track::{Part, Shape};

/// A sample.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Its time.
    pub time_ms: i64,
    /// The schema of its bins.
    pub schema: i8,
    /// Its value.
    pub value: Value,
}

/// The samples in a window.
#[derive(Clone, Debug)]
pub struct Span {
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Moment,
    /// The last.
    pub last: Moment,
    /// Where a counter of it may have become less: the samples before and after.
    pub resets: Vec<(Moment, Moment)>,
    /// The coarsest schema of the bins that its increase is made of.
    pub schema: i8,
}

#[derive(Default)]
struct Builder {
    count: u64,
    first: Option<Moment>,
    /// The sample before, where the one that follows does not depend on it.
    previous: Option<Moment>,
    last: Option<Moment>,
    last_ms: i64,
    resets: Vec<(Moment, Moment)>,
    /// Of all samples but the first.
    schema: Option<i8>,
}

impl Moment {
    fn of(time_ms: i64, schema: i8, coder: &Coder) -> Self {
        let value = match coder {
            Coder::Scalar(coder) => Value::Scalar(coder.now),
            Coder::Classic(coder) => Value::Classic(coder.now.clone()),
            Coder::Bins(coder) => Value::Bins(coder.now.clone()),
        };
        Moment { time_ms, schema, value }
    }

    /// The number that a series shows of it; none of bins.
    pub fn number(&self, part: Part) -> f64 {
        match (&self.value, part) {
            (Value::Scalar(scalar), _) => scalar.value,
            (Value::Classic(Classic { counts, .. }), Part::Bucket(index)) => {
                counts[..=index].iter().fold(0u64, |total, count| total.wrapping_add(*count)) as f64
            }
            (Value::Classic(classic), _) => classic.sum,
            (Value::Bins(_), _) => f64::NAN,
        }
    }

    /// Whether a counter of it became less since an earlier one. Bins are compared in the coarser of both schemas.
    fn is_reset_after(&self, before: &Moment) -> bool {
        match (&self.value, &before.value) {
            (Value::Bins(now), Value::Bins(was)) => {
                let schema = self.schema.min(before.schema);
                bins::is_reset(&bins::merged(now, self.schema, schema), &bins::merged(was, before.schema, schema))
            }
            (Value::Classic(now), Value::Classic(was)) => now.is_reset(was) || now.sum < was.sum,
            (now, was) => now.is_reset(was, true),
        }
    }
}

impl Span {
    /// The samples in `(after, until]`; nothing where there are none. Gauges, which become less at any sample, have
    /// no spans.
    pub fn read(shape: &Shape, pieces: &[Piece], after_ms: i64, until_ms: i64) -> Option<Self> {
        let mut builder = Builder::default();
        for piece in pieces {
            builder.piece(shape, piece, after_ms, until_ms.min(piece.until_ms));
        }
        let Builder { count, first, last, resets, schema, .. } = builder;
        let (first, last) = (first?, last?);
        let mut span = Span { count, schema: schema.unwrap_or(first.schema), first, last, resets };
        if !span.starts_anew() {
            span.schema = span.schema.min(span.first.schema);
        }
        Some(span)
    }

    /// Whether a reset follows the first sample: then it says nothing of the increase.
    pub fn starts_anew(&self) -> bool {
        self.resets.first().is_some_and(|(before, _)| before.time_ms == self.first.time_ms)
    }
}

impl Builder {
    /// As [`Runs`](crate::runs::Runs) reads a piece, sample by sample.
    fn piece(&mut self, shape: &Shape, piece: &Piece, after_ms: i64, until_ms: i64) {
        let ticks = &piece.ticks[..];
        let after_ms = if self.count > 0 { self.last_ms.max(after_ms) } else { after_ms };
        let first = ticks.partition_point(|tick| tick.time_ms <= after_ms);
        let end = ticks.partition_point(|tick| tick.time_ms <= until_ms);
        if first >= end {
            return;
        }
        let mut decoder = piece.decoder(shape);
        let (mut alive, mut at, mut is_told) = (false, 0, false);
        loop {
            let next = decoder.peek();
            let next_at = next.map_or(end, |(next, _)| next as usize).min(end);
            if alive {
                for tick in ticks.get(at.max(first)..next_at).unwrap_or_default() {
                    if tick.implies(shape) {
                        self.sample(tick.time_ms, piece.schema, decoder.coder());
                        is_told = true;
                    }
                }
            }
            let Some((record, depends)) = next.filter(|_| next_at < end) else { break };
            if is_told && !depends {
                self.previous = Some(Moment::of(self.last_ms, piece.schema, decoder.coder()));
            }
            let sum = sum_of(decoder.coder());
            let Some((_, event)) = decoder.advance() else { break };
            alive = event == Event::Sample;
            let record = record as usize;
            if alive && record >= first {
                // Counts that depend on those before have not become less. A sum may have.
                if is_told && sum_of(decoder.coder()) < sum && self.previous.is_none() {
                    let mut before = Moment::of(self.last_ms, piece.schema, decoder.coder());
                    if let Value::Classic(classic) = &mut before.value {
                        classic.sum = sum;
                    }
                    self.previous = Some(before);
                }
                self.sample(ticks[record].time_ms, piece.schema, decoder.coder());
                is_told = true;
            }
            at = record + 1;
        }
        if is_told {
            self.last = Some(Moment::of(self.last_ms, piece.schema, decoder.coder()));
            self.previous.clone_from(&self.last);
        }
    }

    fn sample(&mut self, time_ms: i64, schema: i8, coder: &Coder) {
        if self.count == 0 {
            self.first = Some(Moment::of(time_ms, schema, coder));
            self.previous = None;
        } else {
            self.schema = Some(self.schema.map_or(schema, |known| known.min(schema)));
        }
        if let Some(before) = self.previous.take() {
            let now = Moment::of(time_ms, schema, coder);
            if now.is_reset_after(&before) {
                self.resets.push((before, now));
            }
        }
        self.count += 1;
        self.last_ms = time_ms;
    }
}

fn sum_of(coder: &Coder) -> f64 {
    match coder {
        Coder::Classic(coder) => coder.now.sum,
        Coder::Scalar(_) | Coder::Bins(_) => 0.0,
    }
}
