//! The files of a history: a folder `history` in the application's directory, which one process writes and all read.
//!
//! | name | what |
//! |---|---|
//! | `writer.lock` | locked by the process that writes; the system gives the lock back, however that one dies |
//! | `LEVEL-FIRST.block` | a sealed block of a level, by the time of its first tick in ms; never changed |
//! | `LEVEL.tail` | the open block of a level: a header of 64 bytes, then frames with their length and checksum |
//! | `families` | the types and helps, a line each |
//!
//! Files are read and never mapped, so whoever cuts one short kills nobody. A block is renamed to its name when it is
//! whole, and its tail replaced afterwards: who reads the tails first and the folder then misses nothing.

use crate::block::{Damage, Place, MAGIC, VERSION};
use crate::frame::Frame;
use crate::track::About;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder within the application's directory.
pub const FOLDER: &str = "history";
/// The first bytes of a tail.
const TAIL_MAGIC: &[u8; 8] = b"FERROTAI";
/// The length of its header.
const TAIL_HEADER: u64 = 64;
/// The longest frame that is believed.
const MOST_FRAME: u32 = 256 << 20;

/// The files of one history.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

/// Which file a tail is: another one of the same name has another number.
pub type TailId = u64;

impl Files {
    /// The history of an application's directory, which may have none yet.
    pub fn of(directory: &Path) -> Self {
        Files { folder: directory.join(FOLDER) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder where there is none.
    ///
    /// # Errors
    /// When it cannot be made, or is one that others may write.
    pub fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let about = fs::symlink_metadata(&self.folder)?;
        // SAFETY: asks for a number.
        let user = unsafe { libc::geteuid() };
        if !about.is_dir() || about.uid() != user || about.mode() & 0o022 != 0 {
            let text = format!("{} is not a folder that only this user can write", self.folder.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(())
    }

    /// The lock's file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open_lock(&self) -> io::Result<File> {
        options().read(true).write(true).create(true).truncate(false).open(self.folder.join("writer.lock"))
    }

    /// Writes a block.
    ///
    /// # Errors
    /// When there is no room, or no folder any more.
    pub fn write_block(&self, level: usize, first_ms: i64, bytes: &[u8]) -> io::Result<Place> {
        let path = self.folder.join(format!("{level}-{first_ms}.block"));
        self.replace(&path, bytes)?;
        Ok(Place::File(path))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join("new.tmp");
        let written = options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes the file of a block.
    pub fn remove(path: &Path) {
        let _ = fs::remove_file(path);
    }

    /// The blocks that there are: level, time of the first tick, path; in that order.
    ///
    /// # Errors
    /// When the folder cannot be read; one that is not there has none.
    pub fn blocks(&self) -> io::Result<Vec<(usize, i64, PathBuf)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut blocks = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((level, first)) =
                name.to_str().and_then(|name| name.strip_suffix(".block")).and_then(|name| name.split_once('-'))
            else {
                continue;
            };
            if let (Ok(level), Ok(first)) = (level.parse(), first.parse()) {
                blocks.push((level, first, entry.path()));
            }
        }
        blocks.sort();
        Ok(blocks)
    }

    /// Begins a new tail in place of the one before.
    ///
    /// # Errors
    /// When there is no room.
    pub fn begin_tail(&self, level: usize) -> io::Result<Tail> {
        let path = self.folder.join(format!("{level}.tail"));
        let id = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        let mut header = TAIL_MAGIC.to_vec();
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&(level as u32).to_le_bytes());
        header.extend_from_slice(&id.to_le_bytes());
        header.extend_from_slice(&u64::from(std::process::id()).to_le_bytes());
        header.resize(TAIL_HEADER as usize, 0);
        self.replace(&path, &header)?;
        Ok(Tail { file: options().append(true).open(&path)? })
    }

    /// Reads what a level's tail has beyond a place: which tail it is, the frames, and the place behind them. A frame
    /// that is not whole ends it.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_tail(&self, level: usize, known: Option<(TailId, u64)>) -> Result<Option<TailNews>, Damage> {
        let path = self.folder.join(format!("{level}.tail"));
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|_| Damage::Unreadable)?,
        };
        let mut header = [0; TAIL_HEADER as usize];
        file.read_exact(&mut header).map_err(|_| Damage::Content)?;
        if &header[..8] != TAIL_MAGIC {
            return Err(Damage::Foreign);
        }
        if header[8..12] != VERSION.to_le_bytes() {
            return Err(Damage::Version);
        }
        let mut id = [0; 8];
        id.copy_from_slice(&header[16..24]);
        let id = u64::from_le_bytes(id);
        let from = known.filter(|&(known, _)| known == id).map_or(TAIL_HEADER, |(_, at)| at);
        file.seek(SeekFrom::Start(from)).map_err(|_| Damage::Unreadable)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|_| Damage::Unreadable)?;
        let (frames, used) = frames(&bytes);
        Ok(Some(TailNews { id, frames, end: from + used as u64, is_new: from == TAIL_HEADER }))
    }

    /// Writes the families' types and helps.
    ///
    /// # Errors
    /// When there is no room.
    pub fn write_families(&self, about: &BTreeMap<String, About>) -> io::Result<()> {
        let line = |text: &str| text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
        let lines = about.iter().map(|(name, about)| {
            let About { kind, unit, help } = about;
            format!("{}\t{}\t{}\t{}\n", line(name), line(kind), line(unit), line(help))
        });
        self.replace(&self.folder.join("families"), lines.collect::<String>().as_bytes())
    }

    /// Reads them.
    pub fn read_families(&self) -> BTreeMap<String, About> {
        let text = fs::read(self.folder.join("families")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let plain = |text: &str| text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\");
        let lines = text.lines().filter_map(|line| {
            let mut parts = line.split('\t').map(plain);
            let name = parts.next()?;
            Some((name, About { kind: parts.next()?, unit: parts.next()?, help: parts.next()? }))
        });
        lines.collect()
    }
}

/// What a tail has that was not known.
pub struct TailNews {
    /// Which tail.
    pub id: TailId,
    /// Its frames from there on.
    pub frames: Vec<Frame>,
    /// Where the next one will be.
    pub end: u64,
    /// Whether these are all that it has.
    pub is_new: bool,
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC);
    options
}

/// The whole frames at the front, and how many bytes they take.
pub fn frames(bytes: &[u8]) -> (Vec<Frame>, usize) {
    let (mut frames, mut at) = (Vec::new(), 0);
    while let Some(head) = bytes.get(at..at + 8) {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, checksum) = (word(0), word(4));
        let Some(body) = bytes.get(at + 8..).and_then(|rest| rest.get(..length as usize)) else { break };
        if length > MOST_FRAME || crc32fast::hash(body) != checksum {
            break;
        }
        let Some(frame) = Frame::read(body) else { break };
        frames.push(frame);
        at += 8 + length as usize;
    }
    (frames, at)
}

/// A tail that is being written.
#[derive(Debug)]
pub struct Tail {
    file: File,
}

impl Tail {
    /// Appends a frame, in one write.
    ///
    /// # Errors
    /// When there is no room; what was written of it is no frame.
    pub fn append(&mut self, frame: &Frame) -> io::Result<()> {
        let mut bytes = vec![0; 8];
        frame.write(&mut bytes);
        let (length, checksum) = ((bytes.len() - 8) as u32, crc32fast::hash(&bytes[8..]));
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all(&bytes)
    }
}

/// Whether these bytes begin as a block does.
pub fn is_block(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}
