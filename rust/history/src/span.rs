//! The two ends of one window of a track, and its resets: all that a rate needs to know. What lies between is decoded
//! and not kept.

use crate::bins;
use crate::chunk::{Coder, Event, Value};
use crate::classic::Classic;
use crate::runs::Piece;
use crate::track::{Part, Shape};
use ferrometer_promql::CounterWindow;

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

/// The two ends of a window, as the numbers that series show.
#[derive(Clone, Debug)]
pub struct Ends {
    count: u64,
    first_ms: i64,
    first: Vec<f64>,
    last_ms: i64,
    last: Vec<f64>,
    resets: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Ends {
    /// What a rate of a series needs to know.
    pub fn window(&self, part: Part) -> CounterWindow {
        let at = |numbers: &[f64]| match part {
            Part::Bucket(index) => numbers[index],
            Part::Sum => numbers[numbers.len() - 1],
            Part::Value | Part::Native => numbers[0],
        };
        let resets = self.resets.iter().map(|(before, after)| (at(before), at(after)));
        CounterWindow {
            count: self.count,
            first_ms: self.first_ms,
            first: at(&self.first),
            last_ms: self.last_ms,
            last: at(&self.last),
            lost: resets.filter(|(before, after)| after < before).map(|(before, _)| before).sum(),
        }
    }
}

/// The ends of chunks are remembered in the finest levels, which rates of minutes ask: there are few of them.
const LEARNS: usize = 2;

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

    /// The numbers that series show of it: the value of a scalar; cumulative buckets and the sum; none of bins.
    fn numbers(&self) -> Vec<f64> {
        match &self.value {
            Value::Scalar(scalar) => vec![scalar.value],
            Value::Classic(Classic { counts, sum }) => {
                let mut total = 0u64;
                let cumulative = counts.iter().map(|count| {
                    total = total.wrapping_add(*count);
                    total as f64
                });
                cumulative.chain([*sum]).collect()
            }
            Value::Bins(_) => Vec::new(),
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

    /// What series need of it.
    pub fn ends(&self) -> Ends {
        let resets = self.resets.iter().map(|(before, after)| (before.numbers(), after.numbers())).collect();
        let (first, last) = (self.first.numbers(), self.last.numbers());
        Ends { count: self.count, first_ms: self.first.time_ms, first, last_ms: self.last.time_ms, last, resets }
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
        // Of a chunk that is asked up to its end: what is known of it, and whether what is found is to be remembered.
        let sealed = piece.sealed().filter(|_| end == ticks.len() && *shape != Shape::Bins);
        let steady = sealed.and_then(|(block, chunk)| block.ends().steady(chunk));
        let learns = sealed.filter(|(block, chunk)| block.level < LEARNS && !block.ends().is_known(*chunk));
        let (mut is_steady, mut records) = (ticks.iter().all(|tick| !tick.sparse), 0u32);
        loop {
            if let Some(last) = steady.filter(|_| is_told) {
                let told = ticks.partition_point(|tick| tick.time_ms <= self.last_ms);
                self.count += (end - told) as u64;
                self.last_ms = ticks[end - 1].time_ms;
                self.last = Some(Moment { time_ms: self.last_ms, schema: piece.schema, value: last.clone() });
                self.previous.clone_from(&self.last);
                return;
            }
            let next = decoder.peek();
            let next_at = next.map_or(end, |(next, _)| next as usize).min(end);
            if alive {
                for tick in ticks.get(at.max(first)..next_at).unwrap_or_default() {
                    if tick.implies(shape) {
                        self.sample(tick.time_ms, piece.schema, decoder.coder());
                        is_told = true;
                        if steady.is_some() {
                            break;
                        }
                    }
                }
            }
            if is_told && steady.is_some() {
                continue;
            }
            let Some((record, depends)) = next.filter(|_| next_at < end) else { break };
            if is_told && !depends {
                self.previous = Some(Moment::of(self.last_ms, piece.schema, decoder.coder()));
            }
            let sum = decoder.coder().sum();
            let Some((_, event)) = decoder.advance() else { break };
            alive = event == Event::Sample;
            is_steady &= alive && (depends || records == 0) && (records == 0 || decoder.coder().sum() >= sum);
            records += 1;
            let record = record as usize;
            if alive && record >= first {
                // Counts that depend on those before have not become less. A sum may have.
                if is_told && decoder.coder().sum() < sum && self.previous.is_none() {
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
            let last = Moment::of(self.last_ms, piece.schema, decoder.coder());
            if let Some((block, chunk)) = learns {
                block.ends().learn(block.chunks.len(), chunk, is_steady.then(|| last.value.clone()));
            }
            self.previous = Some(last.clone());
            self.last = Some(last);
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
