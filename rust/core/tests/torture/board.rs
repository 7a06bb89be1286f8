//! What is known of all workers, dead ones too, and what must follow from it.

use ferrometer_core::histogram::Buckets;
use ferrometer_core::reading::Reading;
use ferrometer_core::segment::view::View;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Series of each kind.
pub const SERIES: usize = 8;

/// Increments of one series, by everyone.
#[derive(Default)]
pub struct Count {
    /// Those that were about to be made.
    pub intended: AtomicU64,
    /// Those that were made.
    pub acknowledged: AtomicU64,
}

impl Count {
    /// Does something that counts one.
    pub fn around(&self, work: impl FnOnce()) {
        self.intended.fetch_add(1, SeqCst);
        work();
        self.acknowledged.fetch_add(1, SeqCst);
    }

    fn check(&self, what: &str, total: u64) {
        // The totals were read before this: whatever was acknowledged then is acknowledged now, too.
        let most = self.intended.load(SeqCst);
        assert!(total <= most, "{what}: {total} counted, and only {most} were ever begun");
    }
}

/// Memory that the parent shares with all of its children.
#[derive(Default)]
pub struct Counts {
    pub counters: [Count; SERIES],
    pub histograms: [Count; SERIES],
    /// A histogram of whose events only some are looked at.
    pub sampled: Count,
    /// Series that are removed and made again: only what came after the latest removal is there.
    pub removed: Count,
    /// Increments before a removal that was begun, and before one that was done.
    pub before_begun: AtomicU64,
    pub before_done: AtomicU64,
}

/// The counts, in memory that survives a child.
pub struct Board(&'static Counts);

impl std::ops::Deref for Board {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        self.0
    }
}

impl Board {
    pub fn new() -> Self {
        let (protection, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: new memory, zeroed, never given back; atomics that are made of zeros.
        unsafe {
            let memory = libc::mmap(std::ptr::null_mut(), size_of::<Counts>(), protection, how, -1, 0);
            assert_ne!(memory, libc::MAP_FAILED);
            Board(&*memory.cast::<Counts>())
        }
    }

    /// Whether so much was done at all.
    pub fn is_about(&self, least: u64) -> bool {
        self.counters.iter().map(|count| count.acknowledged.load(SeqCst)).sum::<u64>() > least
    }
}

/// A reader of the directory, as a sidecar is, which remembers what it saw.
pub struct Checker {
    directory: PathBuf,
    view: Option<View>,
    last: HashMap<String, u64>,
    looks: u64,
}

impl Checker {
    pub fn new(directory: &Path) -> Self {
        Checker { directory: directory.to_owned(), view: None, last: HashMap::new(), looks: 0 }
    }

    /// Compares the totals with the board.
    pub fn check(&mut self, board: &Board) {
        if !self.directory.is_dir() {
            return;
        }
        let acknowledged = |count: &Count| count.acknowledged.load(SeqCst);
        let counters: Vec<u64> = board.counters.iter().map(acknowledged).collect();
        let histograms: Vec<u64> = board.histograms.iter().map(acknowledged).collect();
        let sampled = acknowledged(&board.sampled);
        let (removed, done) = (acknowledged(&board.removed), board.before_done.load(SeqCst));
        let totals = self.totals();
        let total = |name: &str| totals.get(name).copied().unwrap_or_default();
        for (index, least) in counters.into_iter().enumerate() {
            let name = format!("counter n=\"{index}\"");
            assert!(total(&name) >= least, "{name}: {} counted of {least} acknowledged", total(&name));
            board.counters[index].check(&name, total(&name));
        }
        for (index, least) in histograms.into_iter().enumerate() {
            let name = format!("histogram n=\"{index}\"");
            assert!(total(&name) >= least, "{name}: {} counted of {least} acknowledged", total(&name));
            board.histograms[index].check(&name, total(&name));
        }
        let name = "sampled n=\"0\"";
        assert!(total(name) >= sampled, "{name}: {} counted of {sampled} acknowledged", total(name));
        board.sampled.check(name, total(name));
        let name = "removed n=\"0\"";
        let begun = board.before_begun.load(SeqCst);
        // Between its beginning and its end a removal may have happened or not.
        let least = removed.saturating_sub(begun);
        assert!(total(name) >= least, "{name}: {} counted of {removed} less {begun}", total(name));
        let most = board.removed.intended.load(SeqCst) - done;
        assert!(total(name) <= most, "{name}: {} counted of at most {most}", total(name));
        let stays = |name: &str| !name.starts_with("filler") && !name.starts_with("removed");
        for (name, &now) in totals.iter().filter(|(name, _)| stays(name)) {
            let before = self.last.insert(name.clone(), now).unwrap_or_default();
            assert!(now >= before, "{name} went back from {before} to {now}");
        }
        for (name, before) in &self.last {
            assert!(totals.contains_key(name), "{name} vanished at {before}");
        }
        // Now and then it is somebody else who looks, for the first time.
        self.looks += 1;
        if self.looks.is_multiple_of(5) {
            self.view = None;
        }
    }

    /// While nobody writes: every kill can have come between a value's bin and its bucket, but once.
    pub fn check_bins(&mut self, kills: u64) {
        let view = self.view.get_or_insert_with(|| View::open(&self.directory).unwrap());
        view.refresh();
        let mut apart = 0;
        for family in view.families("default").filter(|family| family.definition().name == "histogram") {
            family.for_each(&mut |series| {
                let snapshot = series.snapshot();
                let bins: u64 = snapshot.bins.values().flat_map(|bins| bins.iter()).sum();
                apart += (bins + snapshot.tail.zero).abs_diff(snapshot.count());
            });
        }
        assert!(apart <= kills, "bins and buckets differ by {apart} after {kills} kills");
    }

    fn totals(&mut self) -> HashMap<String, u64> {
        let view = self.view.get_or_insert_with(|| View::open(&self.directory).unwrap());
        view.refresh();
        assert_eq!(view.unreadable(), []);
        let mut totals = HashMap::new();
        for family in view.families("default") {
            let name = family.definition().name.clone();
            let mut buckets = Buckets::default();
            family.for_each(&mut |series| {
                let total = if name == "histogram" || name == "sampled" {
                    series.buckets(&mut buckets);
                    buckets.counts.iter().sum()
                } else {
                    series.counter().0
                };
                let key = format!("{name} {}", String::from_utf8_lossy(series.text()));
                assert!(totals.insert(key, total).is_none(), "a series twice");
            });
        }
        totals
    }
}
