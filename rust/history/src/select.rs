//! The store as `PromQL` sees it.
//!
//! Of each time the finest level that has it is shown: samples every second of the last minutes, then every ten
//! seconds, then every minute. All are what the registry showed at those very times, so they are one series.

use crate::catalog::Series;
use crate::chunk::Value;
use crate::natives::{native, reset_between};
use crate::runs::{Piece, Runs, Source, ENDED};
use crate::span::{Moment, Span};
use crate::store::{Memory, Store};
use crate::track::{Part, Shape};
use ferrometer_promql::{
    CounterReset, CounterWindow, Extreme, Histogram, HistogramPoint, HistogramWindow, Instant, Labels, Matcher, Point,
    Samples, Selection, Storage, StorageError, Windows, STALE,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// A track that was chosen.
struct Chosen {
    series: Arc<Series>,
    pieces: Vec<Piece>,
    /// Of bins: the pieces of the buckets beside them, which have the sum.
    classic: Option<(Arc<Series>, Vec<Piece>)>,
}

/// A track, the times that were asked, and its samples there.
type Latest = (u32, i64, i64, Rc<Runs>);

/// The same of a window's ends.
type LatestSpan = (u32, i64, i64, Rc<Option<Span>>);

/// The chosen tracks, and the samples of the one that was asked last: its neighbours are nearly always next.
struct Chosens {
    tracks: Vec<Chosen>,
    /// The track and the place among its series.
    series: Vec<(u32, u32)>,
    latest: RefCell<Option<Latest>>,
    span: RefCell<Option<LatestSpan>>,
}

impl Storage for Store {
    fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        after_ms: i64,
        until_ms: i64,
    ) -> Result<Box<dyn Selection + 'a>, StorageError> {
        let memory = self.lock();
        let mut chosen =
            Chosens { tracks: Vec::new(), series: Vec::new(), latest: RefCell::new(None), span: RefCell::new(None) };
        let mut wanted = Vec::new();
        for id in memory.catalog.candidates(matchers) {
            let series = memory.catalog.get(id);
            let passing: Vec<u32> = (0u32..)
                .zip(series.exported())
                .filter(|(_, (labels, _))| matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()))))
                .map(|(place, _)| place)
                .collect();
            if !passing.is_empty() {
                wanted.push((id, passing));
            }
        }
        let mut places = vec![usize::MAX; memory.catalog.capacity()];
        let mut companions = Vec::new();
        for (at, (id, _)) in wanted.iter().enumerate() {
            places[*id as usize] = at;
            let identity = &memory.catalog.get(*id).identity;
            if identity.shape == Shape::Bins {
                companions.push((at, memory.catalog.classic_of(identity)));
            }
        }
        let mut pieces = collect(&memory, self, &places, wanted.len(), after_ms, until_ms);
        let mut classics: Vec<Option<(Arc<Series>, Vec<Piece>)>> = wanted.iter().map(|_| None).collect();
        if !companions.is_empty() {
            places.fill(usize::MAX);
            for &(at, classic) in &companions {
                if let Some(classic) = classic {
                    places[classic as usize] = at;
                }
            }
            let mut found = collect(&memory, self, &places, wanted.len(), after_ms, until_ms);
            for (at, classic) in companions {
                if let Some(classic) = classic {
                    classics[at] = Some((memory.catalog.get(classic).clone(), std::mem::take(&mut found[at])));
                }
            }
        }
        for (at, (id, passing)) in wanted.into_iter().enumerate() {
            let pieces = std::mem::take(&mut pieces[at]);
            if pieces.is_empty() {
                continue;
            }
            let track = chosen.tracks.len() as u32;
            chosen.series.extend(passing.into_iter().map(|place| (track, place)));
            let series = memory.catalog.get(id).clone();
            chosen.tracks.push(Chosen { series, pieces, classic: classics[at].take() });
        }
        Ok(Box::new(chosen))
    }
}

/// What all blocks have of the series that have a place, in the order of time.
fn collect(
    memory: &Memory,
    store: &Store,
    places: &[usize],
    count: usize,
    after_ms: i64,
    until_ms: i64,
) -> Vec<Vec<Piece>> {
    let mut pieces: Vec<Vec<Piece>> = (0..count).map(|_| Vec::new()).collect();
    for (index, blocks) in memory.levels.iter().enumerate().rev() {
        let finer = memory.levels[..index].iter().map(super::store::Blocks::first_ms).min();
        let ends = finer.map_or(i64::MAX, |first| first.saturating_sub(1));
        let schema = store.plan.levels[index].schema.unwrap_or(7);
        let is_asked = |first: i64, last: i64| first <= until_ms.min(ends) && last > after_ms;
        for block in &blocks.sealed {
            if !is_asked(block.first_ms(), block.last_ms()) {
                continue;
            }
            let mut bytes = None;
            for (&id, &(at, bits)) in block.ids.iter().zip(&block.chunks) {
                let Some(&place) = places.get(id as usize).filter(|&&place| place != usize::MAX) else { continue };
                let Some(bytes) = bytes.get_or_insert_with(|| block.bytes()) else { break };
                let source = Source::Sealed(bytes.clone(), at as usize, bits as usize);
                pieces[place].push(Piece { ticks: block.ticks.clone(), source, schema, until_ms: ends });
            }
        }
        let ticks = &blocks.open.ticks;
        if let (Some(first), Some(last)) = (ticks.first(), ticks.last()) {
            if is_asked(first.time_ms, last.time_ms) {
                for (id, bits) in &blocks.open.tracks {
                    let Some(&place) = places.get(*id as usize).filter(|&&place| place != usize::MAX) else { continue };
                    let source = Source::Open(bits.clone());
                    pieces[place].push(Piece { ticks: ticks.clone(), source, schema, until_ms: ends });
                }
            }
        }
    }
    pieces
}

impl Chosens {
    fn part(&self, series: usize) -> (&Chosen, Part) {
        let (track, place) = self.series[series];
        let chosen = &self.tracks[track as usize];
        (chosen, chosen.series.exported()[place as usize].1)
    }

    fn runs(&self, series: usize, after_ms: i64, until_ms: i64) -> Rc<Runs> {
        let (track, _) = self.series[series];
        if let Some((known, after, until, runs)) = &*self.latest.borrow() {
            if (*known, *after, *until) == (track, after_ms, until_ms) {
                return runs.clone();
            }
        }
        let chosen = &self.tracks[track as usize];
        let runs = Rc::new(Runs::read(&chosen.series.identity.shape, &chosen.pieces, after_ms, until_ms));
        *self.latest.borrow_mut() = Some((track, after_ms, until_ms, runs.clone()));
        runs
    }

    fn span(&self, series: usize, after_ms: i64, until_ms: i64) -> Rc<Option<Span>> {
        let (track, _) = self.series[series];
        if let Some((known, after, until, span)) = &*self.span.borrow() {
            if (*known, *after, *until) == (track, after_ms, until_ms) {
                return span.clone();
            }
        }
        let chosen = &self.tracks[track as usize];
        let span = Rc::new(Span::read(&chosen.series.identity.shape, &chosen.pieces, after_ms, until_ms));
        *self.span.borrow_mut() = Some((track, after_ms, until_ms, span.clone()));
        span
    }

    /// The native histograms of a track and their times; `None` where it ended.
    fn natives(&self, series: usize, after_ms: i64, until_ms: i64) -> Vec<(i64, Option<Arc<Histogram>>)> {
        let (chosen, _) = self.part(series);
        let runs = self.runs(series, after_ms, until_ms);
        // The sum may have been set before the first of these times.
        let sums = chosen
            .classic
            .as_ref()
            .map(|(classic, pieces)| (Runs::read(&classic.identity.shape, pieces, after_ms, until_ms), classic));
        let (mut at, mut latest) = (0, None::<(u32, f64, Arc<Histogram>)>);
        let mut before = None::<u32>;
        let mut out = Vec::with_capacity(runs.samples.len());
        for &(time, row) in &runs.samples {
            if row == ENDED {
                out.push((time, None));
                continue;
            }
            let mut sum = f64::NAN;
            if let Some((sums, _)) = &sums {
                while sums.samples.get(at + 1).is_some_and(|&(next, _)| next <= time) {
                    at += 1;
                }
                if let Some(&(_, row)) = sums.samples.get(at).filter(|(_, row)| *row != ENDED) {
                    sum = sums.number(row, sums.width - 1);
                }
            }
            let histogram = match &latest {
                Some((known, was, histogram))
                    if *known == row && was.to_bits() == sum.to_bits() && histogram.reset == CounterReset::NotReset =>
                {
                    histogram.clone()
                }
                _ => {
                    let (schema, bins) = &runs.bins[row as usize];
                    let mut histogram = native(*schema, bins, sum);
                    histogram.reset = match before {
                        None => CounterReset::Unknown,
                        Some(before) if before == row => CounterReset::NotReset,
                        Some(before) => reset_between(&runs.bins[before as usize], &runs.bins[row as usize]),
                    };
                    let histogram = Arc::new(histogram);
                    latest = Some((row, sum, histogram.clone()));
                    histogram
                }
            };
            before = Some(row);
            out.push((time, Some(histogram)));
        }
        out
    }
}

/// What came between the ends of a span; the sums are those of the buckets beside the bins.
fn increase(span: &Span, sums: Option<&Runs>) -> HistogramWindow {
    let sum_at = |time_ms: i64| {
        let sums = sums?;
        let after = sums.samples.partition_point(|&(time, _)| time <= time_ms);
        // The sum may have been set before the first of these times.
        let &(_, row) = sums.samples.get(after.saturating_sub(1)).filter(|(_, row)| *row != ENDED)?;
        Some(sums.number(row, sums.width - 1))
    };
    let at = |moment: &Moment| match &moment.value {
        Value::Bins(bins) => {
            let native = native(moment.schema, bins, sum_at(moment.time_ms).unwrap_or(f64::NAN));
            native.merged(span.schema)
        }
        Value::Scalar(_) | Value::Classic(_) => Histogram::default(),
    };
    let first = at(&span.first);
    let (first_count, skip) = (first.count, usize::from(span.starts_anew()));
    let mut increase = at(&span.last);
    let mut lost = Vec::new();
    lost.extend(span.resets.iter().skip(skip).map(|(before, _)| at(before)));
    // All are of one schema, without bounds of their own.
    let fits = lost.iter().all(|lost| increase.add(lost).is_ok()) && (skip > 0 || increase.subtract(&first).is_ok());
    debug_assert!(fits, "histograms of one track fit each other");
    HistogramWindow {
        count: span.count,
        first_ms: span.first.time_ms,
        first_count,
        last_ms: span.last.time_ms,
        increase,
    }
}

/// The column of a row that a series shows.
fn column(part: Part, runs: &Runs) -> usize {
    match part {
        Part::Bucket(index) => index,
        Part::Sum => runs.width - 1,
        Part::Value | Part::Native => 0,
    }
}

impl Selection for Chosens {
    fn count(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series: usize) -> Labels {
        let (track, place) = self.series[series];
        self.tracks[track as usize].series.exported()[place as usize].0.clone()
    }

    fn read(&self, series: usize, after_ms: i64, until_ms: i64, into: &mut Samples) -> Result<(), StorageError> {
        let (_, part) = self.part(series);
        if part == Part::Native {
            let ended = || Arc::new(Histogram { sum: STALE, ..Histogram::default() });
            let natives = self.natives(series, after_ms, until_ms).into_iter();
            into.histograms.extend(
                natives
                    .map(|(time_ms, histogram)| HistogramPoint { time_ms, histogram: histogram.unwrap_or_else(ended) }),
            );
            return Ok(());
        }
        let runs = self.runs(series, after_ms, until_ms);
        let column = column(part, &runs);
        into.floats.extend(runs.samples.iter().map(|&(time_ms, row)| Point {
            time_ms,
            value: if row == ENDED { STALE } else { runs.number(row, column) },
        }));
        Ok(())
    }

    fn counter_windows(
        &self,
        series: usize,
        windows: &Windows,
        into: &mut Vec<Option<CounterWindow>>,
    ) -> Result<bool, StorageError> {
        let (_, part) = self.part(series);
        if part == Part::Native {
            return Ok(false);
        }
        if windows.count == 1 && self.part(series).0.series.identity.shape != Shape::Gauge {
            let span = self.span(series, windows.start_ms(0), windows.end_ms(0));
            into.push(span.as_ref().as_ref().map(|span| {
                let resets = span.resets.iter().map(|(before, after)| (before.number(part), after.number(part)));
                CounterWindow {
                    count: span.count,
                    first_ms: span.first.time_ms,
                    first: span.first.number(part),
                    last_ms: span.last.time_ms,
                    last: span.last.number(part),
                    lost: resets.filter(|(before, after)| after < before).map(|(before, _)| before).sum(),
                }
            }));
            return Ok(true);
        }
        let runs = self.runs(series, windows.start_ms(0), windows.last_end_ms());
        let column = column(part, &runs);
        // Samples without the ends, and what was lost in resets up to each.
        let mut resets = 0.0;
        let mut before = f64::NEG_INFINITY;
        let mut samples = Vec::with_capacity(runs.samples.len());
        let mut last_row = ENDED;
        for &(time, row) in &runs.samples {
            if row == ENDED {
                continue;
            }
            if row != last_row {
                let value = runs.number(row, column);
                if value < before {
                    resets += before;
                }
                before = value;
                last_row = row;
            }
            samples.push((time, before, resets));
        }
        let (mut low, mut high) = (0, 0);
        for window in 0..windows.count {
            let (start, end) = (windows.start_ms(window), windows.end_ms(window));
            while samples.get(low).is_some_and(|&(time, ..)| time <= start) {
                low += 1;
            }
            high = high.max(low);
            while samples.get(high).is_some_and(|&(time, ..)| time <= end) {
                high += 1;
            }
            into.push((high > low).then(|| {
                let ((first_ms, first, lost_at_first), (last_ms, last, lost_at_last)) =
                    (samples[low], samples[high - 1]);
                CounterWindow {
                    count: (high - low) as u64,
                    first_ms,
                    first,
                    last_ms,
                    last,
                    lost: lost_at_last - lost_at_first,
                }
            }));
        }
        Ok(true)
    }

    fn histogram_windows(
        &self,
        series: usize,
        windows: &Windows,
        into: &mut Vec<Option<HistogramWindow>>,
    ) -> Result<bool, StorageError> {
        let (chosen, part) = self.part(series);
        if part != Part::Native || windows.count > 1 {
            return Ok(false);
        }
        let (start, end) = (windows.start_ms(0), windows.end_ms(0));
        let span = Span::read(&chosen.series.identity.shape, &chosen.pieces, start, end);
        into.push(span.map(|span| {
            let classic = chosen.classic.as_ref();
            let sums = classic.map(|(classic, pieces)| Runs::read(&classic.identity.shape, pieces, start, end));
            increase(&span, sums.as_ref())
        }));
        Ok(true)
    }

    fn extreme_windows(
        &self,
        series: usize,
        windows: &Windows,
        extreme: Extreme,
        into: &mut Vec<Option<f64>>,
    ) -> Result<bool, StorageError> {
        let (_, part) = self.part(series);
        if part == Part::Native {
            return Ok(false);
        }
        let runs = self.runs(series, windows.start_ms(0), windows.last_end_ms());
        let value = |row| match (part, extreme) {
            (Part::Value, Extreme::Minimum) => runs.number(row, 1),
            (Part::Value, Extreme::Maximum) => runs.number(row, 2),
            _ => runs.number(row, column(part, &runs)),
        };
        let (mut low, mut high) = (0, 0);
        let samples: Vec<(i64, u32)> = runs.samples.iter().copied().filter(|&(_, row)| row != ENDED).collect();
        for window in 0..windows.count {
            let (start, end) = (windows.start_ms(window), windows.end_ms(window));
            low += samples[low..].iter().take_while(|&&(time, _)| time <= start).count();
            high = high.max(low);
            high += samples[high..].iter().take_while(|&&(time, _)| time <= end).count();
            let mut rows = samples[low..high].iter().map(|&(_, row)| row).collect::<Vec<_>>();
            rows.dedup();
            into.push(rows.into_iter().map(value).reduce(|a, b| match extreme {
                Extreme::Minimum if b < a || a.is_nan() => b,
                Extreme::Maximum if b > a || a.is_nan() => b,
                _ => a,
            }));
        }
        Ok(true)
    }

    fn instants(
        &self,
        series: usize,
        windows: &Windows,
        _: &mut Samples,
        into: &mut Vec<Instant>,
    ) -> Result<(), StorageError> {
        let (_, part) = self.part(series);
        let natives = (part == Part::Native).then(|| self.natives(series, windows.start_ms(0), windows.last_end_ms()));
        let runs = self.runs(series, windows.start_ms(0), windows.last_end_ms());
        let column = column(part, &runs);
        let mut high = 0;
        for window in 0..windows.count {
            let (start, end) = (windows.start_ms(window), windows.end_ms(window));
            while runs.samples.get(high).is_some_and(|&(time, _)| time <= end) {
                high += 1;
            }
            let last = high.checked_sub(1).map(|at| (at, runs.samples[at])).filter(|&(_, (time, _))| time > start);
            into.push(match (last, &natives) {
                (Some((at, (time, row))), Some(natives)) if row != ENDED => {
                    natives[at].1.clone().map_or(Instant::Nothing, |histogram| Instant::Histogram(time, histogram))
                }
                (Some((_, (time, row))), None) if row != ENDED => Instant::Float(time, runs.number(row, column)),
                _ => Instant::Nothing,
            });
        }
        Ok(())
    }
}
