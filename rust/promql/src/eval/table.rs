//! What an expression evaluates to: a row per series, a cell per step.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::sample::{is_stale, STALE};

/// The times at which an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub start_ms: i64,
    pub step_ms: i64,
    pub count: usize,
}

impl Grid {
    pub(crate) fn time(&self, step: usize) -> i64 {
        self.start_ms.saturating_add(self.step_ms.saturating_mul(step as i64))
    }

    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |step| self.time(step))
    }
}

/// What stands in a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'t> {
    Nothing,
    Float(f64),
    Histogram(&'t Arc<Histogram>),
}

/// A row's labels.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub labels: Labels,
    /// Whether the metric name goes at the end of the query.
    pub drop_name: bool,
}

/// Rows of cells, floats apart from histograms. A float cell without a value holds the stale marker, which no
/// selector lets through.
#[derive(Debug)]
pub(crate) struct Table {
    pub rows: Vec<Row>,
    steps: usize,
    floats: Vec<f64>,
    /// Empty as long as there is no histogram, else as long as `floats`.
    histograms: Vec<Option<Arc<Histogram>>>,
    held: Rc<Cell<usize>>,
    charged: usize,
}

const ROW_BYTES: usize = size_of::<Row>();

impl Table {
    pub(crate) fn new(steps: usize, rows: usize, held: &Rc<Cell<usize>>) -> Self {
        // The allocator is asked for what is certain; a large table grows as it is filled.
        let capacity = rows.min(1 << 16);
        Self {
            rows: Vec::with_capacity(capacity),
            steps,
            floats: Vec::with_capacity(capacity.saturating_mul(steps).min(1 << 20)),
            histograms: Vec::new(),
            held: Rc::clone(held),
            charged: 0,
        }
    }

    /// An empty table of the same shape.
    pub(crate) fn like(&self) -> Self {
        Self::new(self.steps, self.rows.len(), &self.held)
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    fn charge(&mut self, bytes: usize) {
        self.charged += bytes;
        self.held.set(self.held.get() + bytes);
    }

    /// Adds a row without values.
    pub(crate) fn push(&mut self, row: Row) -> usize {
        self.charge(ROW_BYTES + self.steps * size_of::<f64>());
        self.floats.resize(self.floats.len() + self.steps, STALE);
        if self.has_histograms() {
            self.histograms.resize(self.floats.len(), None);
        }
        self.rows.push(row);
        self.rows.len() - 1
    }

    /// Removes the last row if it has no value.
    pub(crate) fn pop_empty(&mut self) {
        let Some(row) = self.rows.len().checked_sub(1) else { return };
        if self.is_empty_row(row) {
            self.rows.pop();
            self.floats.truncate(row * self.steps);
            self.histograms.truncate(row * self.steps);
        }
    }

    pub(crate) fn is_empty_row(&self, row: usize) -> bool {
        let range = row * self.steps..(row + 1) * self.steps;
        self.floats[range.clone()].iter().all(|value| is_stale(*value))
            && self.histograms.get(range).is_none_or(|row| row.iter().all(Option::is_none))
    }

    /// Removes all rows without a value.
    pub(crate) fn drop_empty_rows(&mut self) {
        let keep: Vec<bool> = (0..self.len()).map(|row| !self.is_empty_row(row)).collect();
        if keep.iter().all(|keep| *keep) {
            return;
        }
        let order: Vec<usize> = (0..self.len()).filter(|row| keep[*row]).collect();
        self.select(&order);
    }

    /// Keeps these rows, in this order.
    pub(crate) fn select(&mut self, order: &[usize]) {
        let mut selected = self.like();
        for row in order {
            let to = selected.push(self.rows[*row].clone());
            selected.copy_row(to, self, *row);
        }
        *self = selected;
    }

    pub(crate) fn copy_row(&mut self, to: usize, from: &Self, row: usize) {
        let steps = self.steps;
        self.row_mut(to).copy_from_slice(from.row(row));
        if from.has_histograms() {
            for step in 0..steps {
                if let Value::Histogram(histogram) = from.get(row, step) {
                    self.set_histogram(to, step, Arc::clone(histogram));
                }
            }
        }
    }

    /// The float cells of a row, [`STALE`] where there is none.
    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.floats[row * self.steps..(row + 1) * self.steps]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.floats[row * self.steps..(row + 1) * self.steps]
    }

    #[inline]
    pub(crate) fn get(&self, row: usize, step: usize) -> Value<'_> {
        let at = row * self.steps + step;
        if let Some(Some(histogram)) = self.histograms.get(at) {
            return Value::Histogram(histogram);
        }
        let value = self.floats[at];
        if is_stale(value) {
            Value::Nothing
        } else {
            Value::Float(value)
        }
    }

    #[inline]
    pub(crate) fn is_nothing(&self, row: usize, step: usize) -> bool {
        matches!(self.get(row, step), Value::Nothing)
    }

    /// Stores a float. A NaN with the bits of the stale marker, which only arithmetic can bring about, is stored as
    /// another NaN.
    #[inline]
    pub(crate) fn set(&mut self, row: usize, step: usize, value: f64) {
        self.floats[row * self.steps + step] = if is_stale(value) { f64::NAN } else { value };
    }

    pub(crate) fn set_histogram(&mut self, row: usize, step: usize, histogram: Arc<Histogram>) {
        if self.histograms.is_empty() {
            self.charge(self.floats.len() * size_of::<usize>());
            self.histograms.resize(self.floats.len(), None);
        }
        self.charge(size_of::<Histogram>() + (histogram.positive.len() + histogram.negative.len()) * 16);
        self.histograms[row * self.steps + step] = Some(histogram);
    }

    pub(crate) fn set_value(&mut self, row: usize, step: usize, value: Value<'_>) {
        match value {
            Value::Nothing => {}
            Value::Float(value) => self.set(row, step, value),
            Value::Histogram(histogram) => self.set_histogram(row, step, Arc::clone(histogram)),
        }
    }

    pub(crate) fn clear(&mut self, row: usize, step: usize) {
        let at = row * self.steps + step;
        self.floats[at] = STALE;
        if let Some(histogram) = self.histograms.get_mut(at) {
            *histogram = None;
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.held.set(self.held.get().saturating_sub(self.charged));
    }
}
