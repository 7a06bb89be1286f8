//! Files that are not what they should be: counted by reason, and everything else is read.

use crate::file::{Folder, Place, Process};
use crate::model::shown;
use crate::views::{counter, family, open};
use ferrometer_core::segment::damage::Damage;
use ferrometer_core::segment::fold::fold;
use ferrometer_core::segment::record::Detail;
use ferrometer_core::segment::view::View;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{symlink, FileExt, PermissionsExt};
use std::path::Path;

fn worker(folder: &Folder, pid: u64) -> Process {
    let mut process = Process::start(&folder.0, pid, pid as f64);
    process.family(family(1, "default", "c", &["l"], Detail::Counter));
    for label in 0..10 {
        counter(&mut process, 1, &format!("l=\"{label}\""), pid);
    }
    process
}

fn total(view: &View) -> u64 {
    shown(view).values().map(|shown| shown.counter.0).sum()
}

fn reasons(view: &View) -> Vec<Damage> {
    view.unreadable().into_iter().map(|file| file.damage).collect()
}

/// Does something to a file.
type Spoil<'a> = &'a dyn Fn(&Path);

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn each_reason_is_told_and_the_others_are_read() {
    let folder = Folder::new();
    let good = worker(&folder, 1);
    let mut view = open(&folder);
    let cases: [(Spoil, Damage); 9] = [
        (&|path| fs::write(path, b"").unwrap(), Damage::Empty),
        (&|path| fs::write(path, b"FERROSEG").unwrap(), Damage::Truncated),
        (&|path| overwrite(path, 0, b"PK"), Damage::Magic),
        (&|path| overwrite(path, 8, &[2]), Damage::Version),
        (&|path| overwrite(path, 12, &[1, 2, 3, 4]), Damage::Order),
        (&|path| overwrite(path, 40, b"xx"), Damage::Checksum),
        (&|path| fs::set_permissions(path, Permissions::from_mode(0o606)).unwrap(), Damage::Access),
        (
            &|path| {
                fs::rename(path, path.with_extension("moved")).unwrap();
                symlink(path.with_extension("moved"), path).unwrap();
            },
            Damage::Access,
        ),
        (
            &|path| {
                fs::rename(path, path.with_file_name("00112233445566778899aabbccddeeff.seg")).unwrap();
            },
            Damage::Content,
        ),
    ];
    for (number, (spoil, damage)) in cases.into_iter().enumerate() {
        let other = worker(&folder, 2);
        spoil(&other.path);
        view.refresh();
        for view in [&view, &open(&folder)] {
            assert_eq!((total(view), reasons(view)), (10, vec![damage]), "case {number}");
        }
        for file in folder.files() {
            if folder.0.join(&file) != good.path {
                fs::remove_file(folder.0.join(file)).unwrap();
            }
        }
        view.refresh();
        assert_eq!(reasons(&view), []);
    }
}

#[test]
fn a_damaged_record_costs_itself_alone() {
    let folder = Folder::new();
    let process = worker(&folder, 1);
    let log = process.u64_at(128) as u32;
    // The family's record is first, and the first series' second.
    let first = u64::from(log) * 16 + 16;
    let length = process.u64_at(first) as u32;
    overwrite(&process.path, first + u64::from(length) + 12, b"\xff");
    let view = open(&folder);
    assert_eq!((total(&view), reasons(&view)), (9, vec![Damage::Checksum]));
    // Without its family, no series means anything.
    overwrite(&process.path, first + 12, b"\xff");
    assert_eq!(total(&open(&folder)), 0);
}

#[test]
fn a_file_that_becomes_shorter_is_read_no_further() {
    let folder = Folder::new();
    let process = worker(&folder, 1);
    let mut view = open(&folder);
    assert_eq!(total(&view), 10);
    OpenOptions::new().write(true).open(&process.path).unwrap().set_len(65_536).unwrap();
    view.refresh();
    assert_eq!((total(&view), reasons(&view)), (0, vec![Damage::Truncated]));
}

/// The log is whole, and where it says that the series are there is no file.
#[test]
fn a_file_that_is_cut_is_told_of_whatever_is_missing() {
    let folder = Folder::new();
    let mut process = Process::start(&folder.0, 1, 1.0);
    process.family(family(1, "default", "c", &["l"], Detail::Counter));
    process.family(family(2, "default", "h", &[], Detail::Histogram(vec![1.0, f64::INFINITY])));
    counter(&mut process, 1, "l=\"a\"", 5);
    let far = process.series(32, 0, 1.0);
    process.tell_of(1, Place { at: 1 << 30, ..far }, 0, b"l=\"b\"");
    assert_eq!((total(&open(&folder)), reasons(&open(&folder))), (5, vec![Damage::Offset]));
    let mut process = Process::start(&folder.0, 2, 2.0);
    process.family(family(1, "default", "h", &[], Detail::Histogram(vec![1.0, f64::INFINITY])));
    let cells = process.series(352, 2, 1.0);
    process.tell_of(1, Place { buckets: 1 << 30, ..cells }, 0, b"");
    assert_eq!(reasons(&open(&folder)), [Damage::Offset; 2]);
    let mut process = Process::start(&folder.0, 3, 3.0);
    process.family(family(1, "default", "g", &[], Detail::Info));
    let text = process.series(32, 0, 1.0);
    process.put(text.at + 16, &((1u64 << 26) | (5 << 32)).to_le_bytes());
    process.tell_of(1, text, 0, b"");
    let mut view = open(&folder);
    assert_eq!(reasons(&view).len(), 2, "nobody has read it yet");
    shown(&view);
    assert_eq!(reasons(&view), [Damage::Offset; 3]);
    view.refresh();
    assert_eq!(reasons(&view), [Damage::Offset; 3], "until the look after the next");
}

/// What was wrong with it is known when the file is no more.
#[test]
fn losses_outlive_a_fold() {
    let folder = Folder::new();
    for round in 1..4u64 {
        let process = worker(&folder, round);
        overwrite(&process.path, 144, &7u64.to_le_bytes());
        let first = u64::from(process.u64_at(128) as u32) * 16 + 16;
        let length = process.u64_at(first) as u32;
        overwrite(&process.path, first + u64::from(length) + 12, b"\xff");
        process.die();
        fold(&folder.0).unwrap();
        let view = open(&folder);
        assert_eq!((reasons(&view), view.damaged()), (vec![], vec![(Damage::Checksum, round)]));
        assert_eq!((view.faults(), total(&view)), (7 * round, 9 * (1..=round).sum::<u64>()));
    }
    overwrite(&folder.0.join("graveyard.seg"), 0, b"PK");
    worker(&folder, 9).die();
    fold(&folder.0).unwrap();
    let view = open(&folder);
    assert_eq!((view.damaged(), total(&view)), (vec![(Damage::Magic, 1)], 90), "what it told of is lost with it");
}

#[test]
fn a_chain_that_bites_its_tail_ends() {
    let folder = Folder::new();
    let process = worker(&folder, 1);
    let first = process.u64_at(128) as u32;
    let mut last = u64::from(first) * 16;
    while process.u64_at(last) as u32 != 0 {
        last = u64::from(process.u64_at(last) as u32) * 16;
    }
    overwrite(&process.path, last, &first.to_le_bytes());
    let mut view = open(&folder);
    assert_eq!(reasons(&view), [Damage::Offset]);
    view.refresh();
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let folder = Folder::new();
    let refused = |path: &Path| View::open(path).err().map(|error| error.to_string());
    assert_eq!(refused(&folder.0), None);
    fs::set_permissions(&folder.0, Permissions::from_mode(0o770)).unwrap();
    assert!(refused(&folder.0).unwrap().contains("chmod 700"));
    fs::set_permissions(&folder.0, Permissions::from_mode(0o700)).unwrap();
    let link = folder.0.join("link");
    symlink(&folder.0, &link).unwrap();
    assert!(refused(&link).unwrap().contains("link"));
    assert!(View::open(&folder.0.join("none")).is_err());
}
