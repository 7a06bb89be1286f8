//! One series: its label text, its cells, and a place for the binding's handle.

use crate::cell::{CounterCell, GaugeCell};
use crate::clock::now;
use crate::definition::Kind;
use crate::head::{is_leaving, Head};
use crate::histogram::Histogram;
use crate::info::Info;
use crate::prefetch::prefetch;
use crate::slab::{place_of, Block, Zeroed};
use crate::sync::AtomicUsize;
use std::mem::ManuallyDrop;
use triomphe::ThinArc;

/// What a series records into, as it lies in the slab.
#[repr(C)]
pub(crate) struct Slot<C> {
    head: Head,
    cell: C,
}

// SAFETY: both are made of zero bytes.
unsafe impl<C: Zeroed> Zeroed for Slot<C> {
    #[cfg(loom)]
    fn zeroed() -> Self {
        Slot { head: Head::zeroed(), cell: C::zeroed() }
    }
}

/// What a series records into.
pub(crate) enum Cells {
    Counter(Block<Slot<CounterCell>>),
    /// The index of a state set's current state, too.
    Gauge(Block<Slot<GaugeCell>>),
    /// Also a summary.
    Histogram(Box<Histogram>),
    Info(Box<Info>),
}

impl Cells {
    /// Zeroed cells for a series of this kind.
    pub(crate) fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Counter => Cells::Counter(Block::new()),
            Kind::Gauge(_) | Kind::StateSet(_) => Cells::Gauge(Block::new()),
            Kind::Histogram(layout) | Kind::Summary(layout, _) => {
                Cells::Histogram(Box::new(Histogram::new(layout.clone())))
            }
            Kind::Info => Cells::Info(Box::new(Info::new())),
        }
    }
}

struct Owned {
    /// A word for the binding: the address of the live handle object, or zero. Never followed here.
    handle: AtomicUsize,
    cells: ManuallyDrop<Cells>,
}

impl Cells {
    fn head(&self) -> &Head {
        match self {
            Cells::Counter(slot) => &slot.head,
            Cells::Gauge(slot) => &slot.head,
            Cells::Histogram(histogram) => histogram.head(),
            Cells::Info(info) => info.head(),
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if is_leaving() {
            return;
        }
        // Another process may look at the block while it becomes another series'.
        self.cells.head().end();
        // SAFETY: not used again.
        unsafe { ManuallyDrop::drop(&mut self.cells) };
    }
}

/// A shared reference to a series; one word. The cells' addresses hold as long as it lives.
#[derive(Clone)]
pub struct SeriesRef(ThinArc<Owned, u8>);

impl SeriesRef {
    /// A series with this rendered label text.
    pub(crate) fn new(cells: Cells, text: &[u8]) -> Self {
        let owned = Owned { handle: AtomicUsize::new(0), cells: ManuallyDrop::new(cells) };
        let series = SeriesRef(ThinArc::from_header_and_slice(owned, text));
        series.head().begin(now());
        series
    }

    fn cells(&self) -> &Cells {
        &self.0.header.header.cells
    }

    /// What all series begin with in the slab.
    pub(crate) fn head(&self) -> &Head {
        self.cells().head()
    }

    /// Where its block, and a histogram's buckets, lie in the file; 0 in private memory.
    pub(crate) fn places(&self) -> (u32, u32) {
        match self.cells() {
            Cells::Counter(slot) => (place_of(&**slot), 0),
            Cells::Gauge(slot) => (place_of(&**slot), 0),
            Cells::Histogram(histogram) => histogram.places(),
            Cells::Info(info) => (info.place(), 0),
        }
    }

    /// Has the series itself brought nearer, which is visited soon.
    #[inline]
    pub(crate) fn fetch(&self) {
        prefetch(self.0.as_ptr(), 2 * 64);
    }

    /// Has what it leads to brought nearer, once itself is near.
    #[inline]
    pub(crate) fn fetch_cells(&self) {
        match self.cells() {
            Cells::Counter(slot) => prefetch::<Slot<CounterCell>>(&raw const **slot, size_of::<Slot<CounterCell>>()),
            Cells::Gauge(slot) => prefetch::<Slot<GaugeCell>>(&raw const **slot, size_of::<Slot<GaugeCell>>()),
            Cells::Histogram(histogram) => prefetch::<Histogram>(&raw const **histogram, 64),
            Cells::Info(_) => {}
        }
    }

    /// Has what a histogram's cells lead to brought nearer, once those are near.
    #[inline]
    pub(crate) fn fetch_buckets(&self) {
        if let Cells::Histogram(histogram) = self.cells() {
            histogram.fetch();
        }
    }

    /// How many exemplars it can have: one per bucket.
    pub(crate) fn exemplars(&self) -> usize {
        match self.cells() {
            Cells::Histogram(histogram) => histogram.layout().bounds().len(),
            _ => 1,
        }
    }

    /// After a fork, in the child: every word is zero.
    pub(crate) fn begin_again(&self) {
        self.head().begin(now());
        match self.cells() {
            Cells::Histogram(histogram) => histogram.begin(),
            Cells::Gauge(slot) => slot.cell.begin(),
            Cells::Counter(_) | Cells::Info(_) => {}
        }
    }

    /// Writes where things lie, for other processes.
    pub(crate) fn show(&self) {
        match self.cells() {
            Cells::Histogram(histogram) => histogram.show(),
            Cells::Info(info) => info.show(),
            Cells::Counter(_) | Cells::Gauge(_) => {}
        }
    }

    /// The rendered labels, without braces.
    pub fn text(&self) -> &[u8] {
        &self.0.slice
    }

    /// The binding's word.
    pub fn handle(&self) -> &AtomicUsize {
        &self.0.header.header.handle
    }

    /// Whether it was removed from its family, and nobody sees it any more.
    pub fn is_removed(&self) -> bool {
        self.head().generation() == 0
    }

    /// When counting began, in seconds since 1970.
    pub fn created(&self) -> f64 {
        self.head().created()
    }

    /// Changes when counting began.
    pub fn set_created(&self, seconds: f64) {
        self.head().set_created(seconds);
    }

    /// Back to zero, from now on.
    pub fn reset(&self) {
        match self.cells() {
            Cells::Counter(slot) => slot.cell.reset(),
            Cells::Gauge(slot) => slot.cell.set(0.0),
            Cells::Histogram(histogram) => histogram.reset(),
            Cells::Info(info) => info.clear(),
        }
        self.set_created(now());
    }

    /// The cell of a counter.
    ///
    /// # Panics
    /// When the family is of another kind.
    #[inline]
    pub fn counter(&self) -> &CounterCell {
        match self.cells() {
            Cells::Counter(slot) => &slot.cell,
            _ => panic!("the series is no counter"),
        }
    }

    /// The cell of a gauge, or of a state set's current index.
    ///
    /// # Panics
    /// When the family is of another kind.
    #[inline]
    pub fn gauge(&self) -> &GaugeCell {
        match self.cells() {
            Cells::Gauge(slot) => &slot.cell,
            _ => panic!("the series is no gauge"),
        }
    }

    /// The cells of a histogram or summary.
    ///
    /// # Panics
    /// When the family is of another kind.
    #[inline]
    pub fn histogram(&self) -> &Histogram {
        match self.cells() {
            Cells::Histogram(histogram) => histogram,
            _ => panic!("the series is no histogram"),
        }
    }

    /// The constant labels of an info.
    ///
    /// # Panics
    /// When the family is of another kind.
    pub fn info(&self) -> &Info {
        match self.cells() {
            Cells::Info(info) => info,
            _ => panic!("the series is no info"),
        }
    }
}
