//! `changes` and `resets`.

use super::windows::{Made, Window};
use crate::histogram::Histogram;

enum Sample<'w> {
    Float(f64),
    Histogram(&'w Histogram),
}

/// Counts the pairs of successive samples that differ in a way.
fn count(window: &Window<'_>, differs: impl Fn(&Sample<'_>, &Sample<'_>) -> bool) -> Made {
    let (mut floats, mut histograms) = (window.floats.iter().peekable(), window.histograms.iter().peekable());
    let mut previous: Option<Sample<'_>> = None;
    let mut found = 0_u32;
    loop {
        let float_first = match (floats.peek(), histograms.peek()) {
            (None, None) => return Made::Float(f64::from(found)),
            (Some(float), Some(histogram)) => float.time_ms < histogram.time_ms,
            (float, _) => float.is_some(),
        };
        let sample = if float_first {
            floats.next().map(|point| Sample::Float(point.value))
        } else {
            histograms.next().map(|point| Sample::Histogram(&point.histogram))
        };
        if let (Some(before), Some(after)) = (&previous, &sample) {
            found += u32::from(differs(before, after));
        }
        previous = sample;
    }
}

pub(super) fn changes(window: &Window<'_>) -> Made {
    count(window, |before, after| match (before, after) {
        (Sample::Float(before), Sample::Float(after)) => before != after && !(before.is_nan() && after.is_nan()),
        (Sample::Histogram(before), Sample::Histogram(after)) => !after.is_same(before),
        _ => true,
    })
}

pub(super) fn resets(window: &Window<'_>) -> Made {
    count(window, |before, after| match (before, after) {
        (Sample::Float(before), Sample::Float(after)) => after < before,
        (Sample::Histogram(before), Sample::Histogram(after)) => after.is_reset_after(before),
        _ => true,
    })
}
