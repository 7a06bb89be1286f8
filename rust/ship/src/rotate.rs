//! Lines to a file that is rotated: by this, by size or time, or by somebody else who moves it away.

use crate::sink::{Delivery, Item, Retry, Sink};
use crate::stream::{explain, LineWriter};
use crate::time::now_ns;
use serde::Deserialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How often a file is begun anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// At each full hour, UTC.
    Hourly,
    /// At midnight, UTC.
    Daily,
}

impl Period {
    fn seconds(self) -> u64 {
        match self {
            Period::Hourly => 3_600,
            Period::Daily => 86_400,
        }
    }
}

/// A file.
pub struct Rotating {
    path: PathBuf,
    max_bytes: Option<u64>,
    period: Option<Period>,
    backups: u32,
    open: Option<Open>,
    lines: LineWriter,
}

struct Open {
    file: File,
    identity: (u64, u64),
    /// Which period it belongs to, counted from 1970.
    period: u64,
}

impl Rotating {
    /// Appends to a file, which is made where it is not there. At so many bytes, or when a period begins, it becomes
    /// `path.1`, and what was that `path.2`, up to so many.
    pub fn new(path: &Path, max_bytes: Option<u64>, period: Option<Period>, backups: u32) -> Self {
        Rotating { path: path.to_owned(), max_bytes, period, backups, open: None, lines: LineWriter::default() }
    }

    fn period_of(&self, seconds: u64) -> u64 {
        self.period.map_or(0, |period| seconds / period.seconds())
    }

    /// The file by this name, opened again if somebody moved or removed it.
    fn file(&mut self) -> io::Result<&File> {
        let there = fs::metadata(&self.path).ok().map(|about| (about.dev(), about.ino()));
        if self.open.as_ref().is_some_and(|open| there != Some(open.identity)) {
            self.open = None;
            self.lines.forget_partial();
        }
        if self.open.is_none() {
            let mut options = OpenOptions::new();
            let mut file = options.append(true).read(true).create(true).mode(0o640).open(&self.path)?;
            let about = file.metadata()?;
            let mut last = [b'\n'];
            if about.is_file() && about.len() > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                // Whoever wrote before was killed within a line.
                file.write_all(b"\n")?;
            }
            let written = if about.len() > 0 { about.mtime().unsigned_abs() } else { now_ns() / 1_000_000_000 };
            let period = self.period_of(written);
            self.open = Some(Open { file, identity: (about.dev(), about.ino()), period });
        }
        self.open.as_ref().map(|open| &open.file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Begins anew where it is time for that, or a line of so many bytes does not fit; never within a line.
    fn rotate(&mut self, next: u64) -> io::Result<()> {
        let length = self.file()?.metadata()?.len();
        let now = self.period_of(now_ns() / 1_000_000_000);
        let is_old = self.open.as_ref().is_some_and(|open| open.period != now);
        let is_full = self.max_bytes.is_some_and(|most| length + next > most);
        if self.lines.is_partial() || length == 0 || !(is_old || is_full) {
            if length == 0 {
                if let Some(open) = &mut self.open {
                    open.period = now;
                }
            }
            return Ok(());
        }
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.backups == 0 {
            fs::remove_file(&self.path)?;
        } else {
            for number in (1..self.backups).rev() {
                if numbered(number).exists() {
                    fs::rename(numbered(number), numbered(number + 1))?;
                }
            }
            fs::rename(&self.path, numbered(1))?;
        }
        self.open = None;
        self.file().map(|_| ())
    }
}

impl Sink for Rotating {
    fn send(&mut self, items: &[Item], until: Instant) -> Delivery {
        let failed = |error: &io::Error, path: &Path| {
            Delivery::again(format!("{}: {}", path.display(), explain(error)), Retry::default())
        };
        if let Err(error) = self.rotate(items[0].record.payload.len() as u64 + 1) {
            return failed(&error, &self.path);
        }
        // As much as fits before the next rotation.
        let room = match self.max_bytes {
            Some(most) => match self.file().and_then(File::metadata) {
                Ok(about) => most.saturating_sub(about.len()),
                Err(error) => return failed(&error, &self.path),
            },
            None => u64::MAX,
        };
        let mut bytes = 0;
        let fitting = items
            .iter()
            .take_while(|item| {
                bytes += item.record.payload.len() as u64 + 1;
                bytes <= room
            })
            .count()
            .max(1);
        let descriptor = match self.file() {
            Ok(file) => file.as_raw_fd(),
            Err(error) => return failed(&error, &self.path),
        };
        let mut delivery = self.lines.send(descriptor, false, &items[..fitting], until);
        if delivery.retry.is_none() && fitting < items.len() && Instant::now() < until {
            let rest = self.send(&items[fitting..], until);
            return Delivery { taken: delivery.taken + rest.taken, ..rest };
        }
        delivery.trouble = delivery.trouble.map(|trouble| format!("{}: {trouble}", self.path.display()));
        delivery
    }
}
