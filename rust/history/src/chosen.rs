//! The tracks that a selector chose, as the series that they are outside.
//!
//! What one series needed of its track is kept until another track is asked: the buckets of a histogram are neighbours,
//! and are decoded once.

use crate::catalog::Series;
use crate::marks::Marks;
use crate::natives;
use crate::runs::{Piece, Runs, ENDED};
use crate::span::{Ends, Span};
use crate::track::{Part, Shape};
use ferrometer_promql::{
    CounterWindow, Extreme, Histogram, HistogramPoint, HistogramWindow, Instant, Labels, Point, Samples, Selection,
    StorageError, Windows, STALE,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// A track that was chosen.
pub struct ChosenTrack {
    /// What it is.
    pub series: Arc<Series>,
    /// Where its samples are, in the order of time.
    pub pieces: Vec<Piece>,
    /// Of bins: the buckets beside them, which have the sum.
    pub classic: Option<(Arc<Series>, Vec<Piece>)>,
}

/// What was made of a track for a stretch of time.
struct Latest<T> {
    track: u32,
    times: (i64, i64),
    value: Rc<T>,
}

impl<T> Latest<T> {
    fn get(kept: &RefCell<Option<Self>>, track: u32, times: (i64, i64), make: impl FnOnce() -> T) -> Rc<T> {
        if let Some(latest) = &*kept.borrow() {
            if latest.track == track && latest.times == times {
                return latest.value.clone();
            }
        }
        let value = Rc::new(make());
        *kept.borrow_mut() = Some(Latest { track, times, value: value.clone() });
        value
    }
}

/// All of them.
#[derive(Default)]
pub struct Chosen {
    /// The tracks.
    pub tracks: Vec<ChosenTrack>,
    /// The track and the place among its series.
    pub series: Vec<(u32, u32)>,
    runs: RefCell<Option<Latest<Runs>>>,
    ends: RefCell<Option<Latest<Option<Ends>>>>,
    marks: RefCell<Option<(u32, Windows, Rc<Marks>)>>,
}

impl Chosen {
    fn part(&self, series: usize) -> (&ChosenTrack, Part) {
        let (track, place) = self.series[series];
        let chosen = &self.tracks[track as usize];
        (chosen, chosen.series.exported()[place as usize].1)
    }

    fn runs(&self, series: usize, after_ms: i64, until_ms: i64) -> Rc<Runs> {
        let (track, _) = self.series[series];
        Latest::get(&self.runs, track, (after_ms, until_ms), || {
            let chosen = &self.tracks[track as usize];
            Runs::read(&chosen.series.identity.shape, &chosen.pieces, after_ms, until_ms)
        })
    }

    fn ends(&self, series: usize, after_ms: i64, until_ms: i64) -> Rc<Option<Ends>> {
        let (track, _) = self.series[series];
        Latest::get(&self.ends, track, (after_ms, until_ms), || {
            let chosen = &self.tracks[track as usize];
            Span::read(&chosen.series.identity.shape, &chosen.pieces, after_ms, until_ms).map(|span| span.ends())
        })
    }

    /// Where the windows lie among the samples of a track.
    fn marks(&self, series: usize, runs: &Runs, windows: &Windows) -> Rc<Marks> {
        let (track, _) = self.series[series];
        if let Some((known, of, marks)) = &*self.marks.borrow() {
            if *known == track && of == windows {
                return marks.clone();
            }
        }
        let is_gauge = self.tracks[track as usize].series.identity.shape == Shape::Gauge;
        let marks = Rc::new(Marks::new(runs, windows, is_gauge));
        *self.marks.borrow_mut() = Some((track, *windows, marks.clone()));
        marks
    }

    /// The native histograms of a track and their times; `None` where it ended.
    fn natives(&self, series: usize, after_ms: i64, until_ms: i64) -> Vec<(i64, Option<Arc<Histogram>>)> {
        let (chosen, _) = self.part(series);
        let runs = self.runs(series, after_ms, until_ms);
        // The sum may have been set before the first of these times.
        let sums = chosen
            .classic
            .as_ref()
            .map(|(classic, pieces)| Runs::read(&classic.identity.shape, pieces, after_ms, until_ms));
        natives::histograms(&runs, sums.as_ref())
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

impl Selection for Chosen {
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
            let ends = self.ends(series, windows.start_ms(0), windows.end_ms(0));
            into.push(ends.as_ref().as_ref().map(|ends| ends.window(part)));
            return Ok(true);
        }
        let runs = self.runs(series, windows.start_ms(0), windows.last_end_ms());
        let marks = self.marks(series, &runs, windows);
        let column = column(part, &runs);
        into.extend((0..windows.count).map(|window| marks.counter(&runs, window, column)));
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
            natives::increase(&span, sums.as_ref())
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
        let marks = self.marks(series, &runs, windows);
        for window in 0..windows.count {
            let mut rows: Vec<u32> = marks.samples(window).iter().map(|&(_, row)| row).collect();
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
