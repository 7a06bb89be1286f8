//! Real files: what the writer leaves behind when its process is killed, and what a fold makes of that.

use ferrometer_core::exemplar::Exemplar;
use ferrometer_core::family::{Definition, Family, Kind};
use ferrometer_core::histogram::Layout;
use ferrometer_core::mode::Mode;
use ferrometer_core::registry::Registry;
use ferrometer_core::segment::fold::fold;
use ferrometer_core::segment::format::GRAVEYARD;
use ferrometer_core::segment::mirror::share;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of our own, in memory where there is such a place; gone at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty one.
    ///
    /// # Panics
    /// Without room for it.
    pub fn new(name: &str) -> Self {
        use std::os::unix::fs::DirBuilderExt;
        let root = Some(PathBuf::from("/dev/shm")).filter(|shared| shared.is_dir());
        let name = format!("ferrometer-{name}-{}", std::process::id());
        let path = root.unwrap_or_else(std::env::temp_dir).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory of our own");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file, and what it is called.
pub struct Seed {
    /// Its name in its directory.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Files of every kind. The writer is a process of its own, killed at the end: whoever shares, shares once.
///
/// # Panics
/// When no such file comes about.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for size in ["small", "large"] {
        let folder = Folder::new(&format!("corpus-{size}"));
        run(&folder.0, if size == "small" { small } else { large });
        seeds.extend(files(&folder.0));
        fold(&folder.0).expect("room for the graveyard");
        seeds.extend(files(&folder.0).into_iter().filter(|seed| seed.name == GRAVEYARD));
    }
    assert_eq!(seeds.len(), 4, "two processes and two graveyards");
    seeds
}

/// A counter of its own name, in the file of a process that is dead.
///
/// # Panics
/// When no such file comes about.
pub fn neighbour() -> Seed {
    let folder = Folder::new("corpus-neighbour");
    run(&folder.0, |directory| {
        share(directory).expect("room for a file");
        let registry = Registry::with_scope("default");
        let series = family(&registry, NEIGHBOUR, Kind::Counter, &[]).series(&[]);
        series.expect("no labels").counter().add_int(COUNTED);
        std::mem::forget(registry);
    });
    files(&folder.0).pop().expect("the process has left its file")
}

/// What the neighbour counts, and how many.
pub const NEIGHBOUR: &str = "neighbour_of_the_damaged";
/// As above.
pub const COUNTED: u64 = 7_000_007;

fn run(directory: &Path, work: impl FnOnce(&Path)) {
    // SAFETY: one thread uses what the child uses; the child ends without cleaning up, as if killed.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(directory)));
            libc::_exit(i32::from(done.is_err()));
        }
        let mut status = 1;
        assert!(child > 0 && libc::waitpid(child, &raw mut status, 0) == child && status == 0, "status {status:#x}");
    }
}

fn files(directory: &Path) -> Vec<Seed> {
    let all = fs::read_dir(directory).expect("our own directory").flatten();
    let all = all.map(|file| Seed {
        name: file.file_name().to_string_lossy().into_owned(),
        bytes: fs::read(file.path()).expect("our own file"),
    });
    all.filter(|seed| Path::new(&seed.name).extension().is_some_and(|suffix| suffix == "seg")).collect()
}

fn family(registry: &Registry, name: &str, kind: Kind, labels: &[&str]) -> Arc<Family> {
    let definition = Definition {
        name: name.into(),
        help: "help".into(),
        unit: String::new(),
        kind,
        labels: labels.iter().map(ToString::to_string).collect(),
        max_series: 100,
    };
    registry.family(definition).expect("a good definition")
}

fn kinds() -> Vec<Kind> {
    let layout = |bounds: &[f64]| Layout::new(bounds).expect("good bounds");
    let mut kinds = vec![
        Kind::Counter,
        Kind::Histogram(layout(&[0.5, 1.0, 10.0])),
        Kind::Summary(layout(&[]), vec![0.5, 0.99].into()),
        Kind::Info,
        Kind::StateSet(vec!["on".to_owned(), "off".to_owned()].into()),
    ];
    kinds.extend([Mode::All, Mode::Sum, Mode::Min, Mode::LiveMax, Mode::MostRecent].map(Kind::Gauge));
    kinds
}

fn record(family: &Family, values: &[&str], round: u64) {
    let series = family.series(values).expect("as many as names");
    let value = (round % 100) as f64 / 8.0;
    match family.definition().kind {
        Kind::Counter => {
            series.counter().add(value);
            let labels = [("trace_id".to_owned(), round.to_string())];
            family.exemplars().set(&series, 0, Exemplar::now(&labels, value));
        }
        Kind::Gauge(_) => series.gauge().set_at(value, round as f64 + 1.0),
        Kind::StateSet(_) => series.gauge().set_at((round % 2) as f64, 1.0),
        Kind::Info => series.info().set(format!("build=\"{round}\"")),
        Kind::Histogram(_) | Kind::Summary(..) => {
            for value in [value, 0.0, -value, 1e-200 * value, 1e300, f64::INFINITY] {
                series.histogram().record(value);
            }
            series.histogram().record_many(0.25, 60_000);
        }
    }
}

/// One series of every kind, without labels.
fn small(directory: &Path) {
    share(directory).expect("room for a file");
    let registry = Registry::with_scope("default");
    for (number, kind) in kinds().into_iter().enumerate() {
        record(&family(&registry, &format!("m{number}"), kind, &[]), &[], 1);
    }
    std::mem::forget(registry);
}

/// Several of every kind, some removed, in registries of two scopes, over several extents of the log.
fn large(directory: &Path) {
    let registries = [Registry::with_scope("default"), Registry::new()];
    for (turn, registry) in registries.iter().enumerate() {
        for (number, kind) in kinds().into_iter().enumerate() {
            let family = family(registry, &format!("m{number}"), kind, &["a", "b"]);
            for round in 0..12u64 {
                record(&family, &[&round.to_string(), "with \"quotes\" and \\"], round);
                if round % 5 == 0 {
                    family.remove(&[&(round / 2).to_string(), "with \"quotes\" and \\"]).expect("two labels");
                }
            }
        }
        if turn == 0 {
            share(directory).expect("room for a file");
        }
    }
    std::mem::forget(registries);
}
