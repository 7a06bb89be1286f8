//! What an evaluation may use, and what it has to tell.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

use super::group::Groups;
use super::table::{Grid, Row, Table, Value};
use crate::error::{ErrorKind, QueryError};
use crate::histogram::CounterReset;
use crate::labels::Labels;
use crate::limits::Limits;
use crate::sample::{is_stale, HistogramPoint, STALE};
use crate::storage::{Storage, StorageError};

/// One query's evaluation.
pub(crate) struct Context<'q> {
    pub storage: &'q dyn Storage,
    pub limits: &'q Limits,
    /// The query's own start and end, for `@ start()` and `@ end()`.
    pub start_ms: i64,
    pub end_ms: i64,
    deadline: Option<Instant>,
    samples: Cell<u64>,
    held: Rc<Cell<usize>>,
    checks: Cell<u32>,
    notes: RefCell<Notes>,
    resets: Cell<Resets>,
}

/// Whether selectors find out about resets of histograms whose hint says nothing. Prometheus does where only counts
/// and sums of the histograms are asked for, and leaves it to the functions everywhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Resets {
    #[default]
    AsStored,
    Found,
    /// Bins are needed further up: nothing below may change that.
    AsStoredBelow,
}

/// What is told beside the answer.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub warnings: Vec<String>,
    pub infos: Vec<String>,
}

/// The most notes of a kind that are kept.
const MAX_NOTES: usize = 100;

/// The evaluation failed.
pub(crate) type Evaluated<T> = Result<T, QueryError>;

impl From<StorageError> for QueryError {
    fn from(error: StorageError) -> Self {
        Self::execution(format!("expanding series: {error}"))
    }
}

impl<'q> Context<'q> {
    pub(crate) fn new(storage: &'q dyn Storage, limits: &'q Limits, start_ms: i64, end_ms: i64) -> Self {
        // A limit too long to be a time is none.
        let deadline = Instant::now().checked_add(limits.time());
        Self {
            storage,
            limits,
            start_ms,
            end_ms,
            deadline,
            samples: Cell::new(0),
            held: Rc::default(),
            checks: Cell::new(0),
            notes: RefCell::default(),
            resets: Cell::default(),
        }
    }

    pub(crate) fn table(&self, grid: Grid, rows: usize) -> Table {
        Table::new(grid.count, rows, &self.held)
    }

    /// Whether the evaluation may go on: called for every series, at the latest.
    pub(crate) fn check(&self) -> Evaluated<()> {
        if self.held.get() > self.limits.bytes {
            return Err(QueryError::too_many_bytes(self.limits.bytes));
        }
        // Clocks are cheap, not free.
        let checks = self.checks.get().wrapping_add(1);
        self.checks.set(checks);
        if checks % 16 == 1 {
            self.check_time()?;
        }
        Ok(())
    }

    /// Whether time is left and someone waits.
    pub(crate) fn check_time(&self) -> Evaluated<()> {
        if self.limits.cancel.as_ref().is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            let message = "query was canceled in expression evaluation".to_owned();
            return Err(QueryError { kind: ErrorKind::Canceled, message });
        }
        if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(QueryError::timed_out("expression evaluation"));
        }
        Ok(())
    }

    /// Counts samples that were read or made.
    pub(crate) fn count(&self, samples: u64) -> Evaluated<()> {
        self.samples.set(self.samples.get().saturating_add(samples));
        if self.samples.get() > self.limits.samples {
            return Err(QueryError::too_many_samples());
        }
        Ok(())
    }

    /// Bytes that one step of the evaluation is about to take; refused before they are.
    pub(crate) fn reserve(&self, bytes: usize) -> Evaluated<()> {
        if self.held.get().saturating_add(bytes) > self.limits.bytes {
            return Err(QueryError::too_many_bytes(self.limits.bytes));
        }
        Ok(())
    }

    /// Evaluates a part of the tree with another way of telling resets.
    pub(crate) fn with_resets<T>(&self, resets: Resets, evaluate: impl FnOnce() -> T) -> T {
        let before = self.resets.get();
        if before != Resets::AsStoredBelow {
            self.resets.set(resets);
        }
        let value = evaluate();
        self.resets.set(before);
        value
    }

    /// Tells the histograms of a series of their resets, where that is asked for.
    pub(crate) fn find_resets(&self, histograms: &mut [HistogramPoint]) {
        if self.resets.get() != Resets::Found {
            return;
        }
        for at in 1..histograms.len() {
            let (before, after) = histograms.split_at_mut(at);
            let (previous, point) = (&before[at - 1].histogram, &mut after[0].histogram);
            if point.reset == CounterReset::Unknown && !is_stale(point.sum) && !is_stale(previous.sum) {
                let reset = point.is_reset_after(previous);
                let hint = if reset { CounterReset::Reset } else { CounterReset::NotReset };
                Arc::make_mut(point).reset = hint;
            }
        }
    }

    pub(crate) fn finds_resets(&self) -> bool {
        self.resets.get() == Resets::Found
    }

    pub(crate) fn warn(&self, message: impl FnOnce() -> String) {
        add(&mut self.notes.borrow_mut().warnings, "PromQL warning: ", message());
    }

    pub(crate) fn inform(&self, message: impl FnOnce() -> String) {
        add(&mut self.notes.borrow_mut().infos, "PromQL info: ", message());
    }

    pub(crate) fn notes(self) -> Notes {
        self.notes.into_inner()
    }

    /// As `unnamed`, of a row that is given up.
    pub(crate) fn unname(&self, row: Row) -> Row {
        if self.limits.delayed_name_removal {
            return Row { drop_name: true, ..row };
        }
        Row { labels: row.labels.into_unnamed(), drop_name: true }
    }

    /// The labels of a result that is no longer the metric.
    pub(crate) fn unnamed(&self, row: &Row) -> Row {
        if self.limits.delayed_name_removal {
            return Row { labels: row.labels.clone(), drop_name: true };
        }
        Row { labels: row.labels.without_name(), drop_name: true }
    }

    /// The metric name for a message that only knows it where names are removed late.
    pub(crate) fn late_name(&self, labels: &Labels) -> String {
        match labels.name() {
            Some(name) if self.limits.delayed_name_removal => format!(" for metric name {:?}", &**name),
            _ => String::new(),
        }
    }

    /// Joins rows with the same labels, which dropping names or changing labels brings about.
    pub(crate) fn merge_duplicates(&self, table: Table) -> Evaluated<Table> {
        if self.limits.delayed_name_removal {
            return Ok(table);
        }
        self.merge_now(table, false)
    }

    /// As `merge_duplicates`; `strict` refuses rows that could be joined.
    pub(crate) fn merge_now(&self, mut table: Table, strict: bool) -> Evaluated<Table> {
        if table.len() <= 1 {
            return Ok(table);
        }
        let mut groups = Groups::with_capacity(table.len());
        let to: Vec<usize> = table.rows.iter().map(|row| groups.add(row.labels.clone())).collect();
        if groups.labels.len() == table.len() {
            return Ok(table);
        }
        let duplicate = || QueryError::execution("vector cannot contain metrics with the same labelset");
        if strict {
            return Err(duplicate());
        }
        let mut first: Vec<Option<usize>> = vec![None; groups.labels.len()];
        let mut order = Vec::with_capacity(groups.labels.len());
        for (row, group) in to.iter().enumerate() {
            let Some(target) = first[*group] else {
                first[*group] = Some(row);
                order.push(row);
                continue;
            };
            for step in 0..table.steps() {
                if table.is_nothing(row, step) {
                    continue;
                }
                if !table.is_nothing(target, step) {
                    return Err(duplicate());
                }
                match table.get(row, step) {
                    Value::Histogram(histogram) => {
                        let histogram = Arc::clone(histogram);
                        table.set_histogram(target, step, histogram);
                    }
                    Value::Float(value) => table.set(target, step, value),
                    Value::Nothing => {}
                }
            }
        }
        table.select(&order);
        Ok(table)
    }

    /// A row of one number at every step.
    pub(crate) fn constant(&self, grid: Grid, value: f64) -> Vec<f64> {
        debug_assert!(value.to_bits() != STALE.to_bits());
        vec![value; grid.count]
    }
}

fn add(notes: &mut Vec<String>, prefix: &str, message: String) {
    let message = format!("{prefix}{message}");
    if notes.len() < MAX_NOTES && !notes.contains(&message) {
        notes.push(message);
    }
}
