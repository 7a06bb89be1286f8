//! `deriv` and `predict_linear`.

use super::context::Context;
use super::windows::{Made, Window};
use crate::kahan::Kahan;
use crate::sample::Point;

impl Context<'_> {
    pub(super) fn deriv(&self, window: &Window<'_>) -> Made {
        let Some(floats) = self.two_floats(window) else { return Made::Nothing };
        // Near the samples, so that precision is not lost in large times.
        Made::Float(line(floats, floats[0].time_ms).0)
    }

    pub(super) fn predict_linear(&self, window: &Window<'_>, seconds: f64) -> Made {
        let Some(floats) = self.two_floats(window) else { return Made::Nothing };
        let (slope, intercept) = line(floats, window.time_ms);
        Made::Float(slope * seconds + intercept)
    }

    fn two_floats<'w>(&self, window: &Window<'w>) -> Option<&'w [Point]> {
        let floats = self.floats(window)?;
        (floats.len() >= 2).then_some(floats)
    }
}

/// The slope and the value at a time of the least-squares line.
fn line(points: &[Point], at_ms: i64) -> (f64, f64) {
    let first = points[0].value;
    if points.iter().all(|point| point.value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let [mut x, mut y, mut xy, mut xx] = [Kahan::default(); 4];
    for point in points {
        let time = (point.time_ms - at_ms) as f64 / 1000.0;
        x.add(time);
        y.add(point.value);
        xy.add(time * point.value);
        xx.add(time * time);
    }
    let count = points.len() as f64;
    let [x, y, xy, xx] = [x, y, xy, xx].map(|sum| sum.sum + sum.lost);
    let slope = (xy - x * y / count) / (xx - x * x / count);
    (slope, y / count - slope * x / count)
}
