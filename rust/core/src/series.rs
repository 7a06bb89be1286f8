//! One series: its label text, its cells, and a place for the binding's handle.

use crate::cell::{CounterCell, GaugeCell};
use crate::clock::now;
use crate::family::Kind;
use crate::histogram::Histogram;
use crate::slab::Block;
use crate::sync::{lock, AtomicU64, AtomicUsize, Mutex, Ordering::Relaxed};
use triomphe::ThinArc;

/// What a series records into.
pub(crate) enum Cells {
    Counter(Block<CounterCell>),
    /// The index of a state set's current state, too.
    Gauge(Block<GaugeCell>),
    /// Also a summary.
    Histogram(Box<Histogram>),
    /// The rendered text of the constant labels, once they are known.
    Info(Box<Mutex<Option<String>>>),
}

impl Cells {
    /// Zeroed cells for a series of this kind.
    pub(crate) fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Counter => Cells::Counter(Block::new()),
            Kind::Gauge | Kind::StateSet(_) => Cells::Gauge(Block::new()),
            Kind::Histogram(layout) | Kind::Summary(layout, _) => {
                Cells::Histogram(Box::new(Histogram::new(layout.clone())))
            }
            Kind::Info => Cells::Info(Box::default()),
        }
    }
}

struct Head {
    /// A word for the binding: the address of the live handle object, or zero. Never followed here.
    handle: AtomicUsize,
    /// Seconds since 1970 when counting began, as a double's bits.
    created: AtomicU64,
    cells: Cells,
}

/// A shared reference to a series; one word. The cells' addresses hold as long as it lives.
#[derive(Clone)]
pub struct SeriesRef(ThinArc<Head, u8>);

impl SeriesRef {
    /// A series with this rendered label text.
    pub(crate) fn new(cells: Cells, text: &[u8]) -> Self {
        let head = Head { handle: AtomicUsize::new(0), created: AtomicU64::new(0), cells };
        let series = SeriesRef(ThinArc::from_header_and_slice(head, text));
        series.set_created(now());
        series
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    /// The rendered labels, without braces.
    pub fn text(&self) -> &[u8] {
        &self.0.slice
    }

    /// The binding's word.
    pub fn handle(&self) -> &AtomicUsize {
        &self.head().handle
    }

    /// When counting began, in seconds since 1970.
    pub fn created(&self) -> f64 {
        f64::from_bits(self.head().created.load(Relaxed))
    }

    /// Changes when counting began.
    pub fn set_created(&self, seconds: f64) {
        self.head().created.store(seconds.to_bits(), Relaxed);
    }

    /// Back to zero, from now on.
    pub fn reset(&self) {
        match &self.head().cells {
            Cells::Counter(cell) => cell.reset(),
            Cells::Gauge(cell) => cell.set(0.0),
            Cells::Histogram(histogram) => histogram.reset(),
            Cells::Info(text) => *lock(text) = None,
        }
        self.set_created(now());
    }

    /// The cell of a counter.
    ///
    /// # Panics
    /// When the family is of another kind.
    #[inline]
    pub fn counter(&self) -> &CounterCell {
        match &self.head().cells {
            Cells::Counter(cell) => cell,
            _ => panic!("the series is no counter"),
        }
    }

    /// The cell of a gauge, or of a state set's current index.
    ///
    /// # Panics
    /// When the family is of another kind.
    #[inline]
    pub fn gauge(&self) -> &GaugeCell {
        match &self.head().cells {
            Cells::Gauge(cell) => cell,
            _ => panic!("the series is no gauge"),
        }
    }

    /// The cells of a histogram or summary.
    ///
    /// # Panics
    /// When the family is of another kind.
    #[inline]
    pub fn histogram(&self) -> &Histogram {
        match &self.head().cells {
            Cells::Histogram(histogram) => histogram,
            _ => panic!("the series is no histogram"),
        }
    }

    /// An info's rendered constant labels.
    ///
    /// # Panics
    /// When the family is of another kind.
    pub fn info(&self) -> Option<String> {
        match &self.head().cells {
            Cells::Info(text) => lock(text).clone(),
            _ => panic!("the series is no info"),
        }
    }

    /// Sets an info's rendered constant labels.
    ///
    /// # Panics
    /// When the family is of another kind.
    pub fn set_info(&self, rendered: String) {
        match &self.head().cells {
            Cells::Info(text) => *lock(text) = Some(rendered),
            _ => panic!("the series is no info"),
        }
    }
}
