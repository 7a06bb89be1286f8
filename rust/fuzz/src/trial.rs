//! A directory with a broken file in it, looked at as scrapes do.

use crate::corpus::{neighbour, Folder, Seed, COUNTED, NEIGHBOUR};
use crate::mutation::Verdict;
use ferrometer_core::family::Kind;
use ferrometer_core::histogram::Buckets;
use ferrometer_core::reading::Reading;
use ferrometer_core::segment::fold::fold;
use ferrometer_core::segment::format::GRAVEYARD;
use ferrometer_core::segment::inspect::inspect;
use ferrometer_core::segment::view::View;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where files are tried, beside one that is whole.
pub struct Trial {
    folder: Folder,
    neighbour: Seed,
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("room for a file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("our own file");
}

impl Trial {
    /// A directory for them, in a folder of this name.
    pub fn new(name: &str) -> Self {
        Trial { folder: Folder::new(name), neighbour: neighbour() }
    }

    /// Reads a file, under the name that it had, in every way there is.
    ///
    /// # Panics
    /// When there is something to find.
    pub fn run(&self, name: &str, bytes: &[u8], verdict: Verdict, thorough: bool) {
        let directory = &self.folder.0;
        write(&directory.join(&self.neighbour.name), &self.neighbour.bytes);
        write(&directory.join(name), bytes);
        let mut view = View::open(directory).expect("our own directory");
        view.refresh();
        check(&view);
        let told: Vec<_> = view.unreadable().into_iter().map(|file| file.file).collect();
        assert!(verdict == Verdict::Open || told == [name], "damaged, and not told of: {told:?}");
        assert!(!told.contains(&self.neighbour.name), "{told:?}");
        let counted = view.about().iter().any(|about| about.name == "ferrometer_segments_unreadable");
        assert_eq!(counted, !told.is_empty(), "{told:?}");
        if thorough {
            assert_eq!(inspect(directory).expect("our own directory").len(), 2);
            // A scrape folds what it finds dead; the file beside is among it.
            let folded = fold(directory);
            // A graveyard that another version may be able to read stays what it is.
            assert!(folded.is_ok() || told.contains(&GRAVEYARD.to_owned()), "{folded:?}");
            view.refresh();
            check(&view);
            check(&{
                let mut fresh = View::open(directory).expect("our own directory");
                fresh.refresh();
                fresh
            });
        }
        for file in fs::read_dir(directory).expect("our own directory").flatten() {
            let _ = fs::remove_file(file.path());
        }
    }
}

/// Reads all that a scrape reads; the neighbour is there, with exactly what it counted.
fn check(view: &View) {
    let mut neighbour = 0;
    let mut buckets = Buckets::default();
    for family in view.families("default").chain(view.families("")) {
        let (definition, labels) = (family.definition(), family.labels());
        family.for_each(&mut |series| {
            let named = labels.named(series.text());
            assert!(labels.is_open() || named.len() == definition.labels.len());
            labels.split(series.text(), "le");
            series.created();
            match definition.kind {
                Kind::Counter if definition.name == NEIGHBOUR => neighbour += series.counter().0,
                Kind::Counter => drop(series.counter()),
                Kind::Gauge(_) | Kind::StateSet(_) => drop(series.gauge()),
                Kind::Info => drop(series.info()),
                Kind::Histogram(_) | Kind::Summary(..) => {
                    series.buckets(&mut buckets);
                    series.snapshot().quantile(0.5);
                }
            }
            series.exemplars();
        });
        family.faults();
    }
    assert_eq!(neighbour, COUNTED, "a damaged file costs others what they counted");
}
