//! Where evenly spaced windows lie among the samples of one track: found once for all series of the track.

use crate::runs::{Runs, ENDED};
use ferrometer_promql::{CounterWindow, Windows};

/// The windows of a track.
#[derive(Debug)]
pub struct Marks {
    /// The samples without the ends of the series.
    live: Vec<(i64, u32)>,
    /// Of each window the first of its samples, and the one after its last.
    ranges: Vec<(u32, u32)>,
    /// The samples before which a number may have become less, in ascending order.
    falls: Vec<u32>,
}

impl Marks {
    /// The windows among these samples. A gauge may become less at any sample.
    pub fn new(runs: &Runs, windows: &Windows, is_gauge: bool) -> Self {
        let mut live = Vec::with_capacity(runs.samples.len());
        let mut falls = Vec::new();
        let mut anew = runs.anew.iter().copied().peekable();
        let mut before = ENDED;
        for &(time, row) in &runs.samples {
            if row == ENDED {
                continue;
            }
            while anew.next_if(|&row| row < before.wrapping_add(1)).is_some() {}
            let may_fall = before != ENDED && row != before && (is_gauge || anew.next_if_eq(&row).is_some());
            if may_fall && runs.falls(before, row) {
                falls.push(live.len() as u32);
            }
            before = row;
            live.push((time, row));
        }
        let (mut low, mut high) = (0, 0);
        let ranges = (0..windows.count).map(|window| {
            let (start, end) = (windows.start_ms(window), windows.end_ms(window));
            while live.get(low).is_some_and(|&(time, _)| time <= start) {
                low += 1;
            }
            high = high.max(low);
            while live.get(high).is_some_and(|&(time, _)| time <= end) {
                high += 1;
            }
            (low as u32, high as u32)
        });
        let ranges = ranges.collect();
        Marks { live, ranges, falls }
    }

    /// The samples of a window, each with its row.
    pub fn samples(&self, window: usize) -> &[(i64, u32)] {
        let (low, high) = self.ranges[window];
        &self.live[low as usize..high as usize]
    }

    /// What a rate needs to know of a column in a window.
    #[inline]
    pub fn counter(&self, runs: &Runs, window: usize, column: usize) -> Option<CounterWindow> {
        let samples = self.samples(window);
        let (&(first_ms, first), &(last_ms, last)) = (samples.first()?, samples.last()?);
        let mut fallen = 0.0;
        if !self.falls.is_empty() {
            let (low, high) = self.ranges[window];
            let from = self.falls.partition_point(|&fall| fall <= low);
            for &fall in self.falls[from..].iter().take_while(|&&fall| fall < high) {
                let at = |sample: u32| runs.number(self.live[sample as usize].1, column);
                let (before, after) = (at(fall - 1), at(fall));
                if after < before {
                    fallen += before;
                }
            }
        }
        Some(CounterWindow {
            count: samples.len() as u64,
            first_ms,
            first: runs.number(first, column),
            last_ms,
            last: runs.number(last, column),
            lost: fallen,
        })
    }
}
