//! A writer of segment files that knows the document and nothing of the library's own writer. Offsets are
//! those of the document, as numbers.

use ferrometer_core::histogram::grid;
use ferrometer_core::segment::format::{hex, Content, Header};
use ferrometer_core::segment::record::{FamilyRecord, Record, SeriesRecord, Tombstone};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An empty directory, gone at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("ferrometer-segments-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let shared = Path::new("/dev/shm");
        let root = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let path = root.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Folder(path)
    }

    /// The names of all files but the lock of folders and the control file.
    pub fn files(&self) -> Vec<String> {
        let all = fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut all: Vec<String> = all.filter(|name| name != "fold.lock" && name != "control").collect();
        all.sort();
        all
    }

    /// Says how many removals there were.
    pub fn set_epoch(&self, epoch: u64) {
        let path = self.0.join("control");
        let mut bytes = vec![0; 4096];
        bytes[..8].copy_from_slice(b"FERROCTL");
        bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
        bytes[12..16].copy_from_slice(&0x0102_0304u32.to_le_bytes());
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).unwrap();
        file.write_all_at(&bytes[..64], 0).unwrap();
        file.set_len(4096).unwrap();
        file.write_all_at(&epoch.to_le_bytes(), 64).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where a series lies.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub at: u64,
    pub buckets: u64,
    pub generation: u32,
}

/// A process's file.
pub struct Process {
    pub path: PathBuf,
    pub uuid: [u8; 16],
    /// Holds the lock.
    file: File,
    end: u64,
    generation: u32,
    /// The extent that records go to, how much of it is used, and how many logs there were.
    extent: (u64, u32, u32),
    rewritten: u32,
    records: Vec<Record>,
}

impl Process {
    pub fn start(directory: &Path, pid: u64, created: f64) -> Self {
        let number = NEXT.fetch_add(1, Relaxed);
        let mut uuid = [0xab; 16];
        uuid[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let head = Header { uuid, pid, start: 7, namespace: 0, boot: [0; 16], created, content: Content::Process };
        let temporary = directory.join(format!(".tmp-{}", hex(&uuid)));
        let path = directory.join(format!("{}.seg", hex(&uuid)));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&temporary).unwrap();
        // SAFETY: a structure of plain numbers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK as i16;
        // SAFETY: the descriptor is open and the structure lives.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
        file.set_len(65_536).unwrap();
        file.write_all_at(&head.encode(), 0).unwrap();
        fs::rename(&temporary, &path).unwrap();
        let (generation, rewritten) = (number as u32, 0);
        Process { path, uuid, file, end: 65_536, generation, extent: (0, 0, 0), rewritten, records: Vec::new() }
    }

    /// The process dies; its file stays.
    pub fn die(self) {
        // And with that, the system gives back its lock.
        drop(self.file);
    }

    pub fn put(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).unwrap();
    }

    pub fn u64_at(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn block(&mut self, size: usize) -> u64 {
        let at = self.end;
        self.end += size.next_multiple_of(16) as u64;
        self.file.set_len(self.end).unwrap();
        at
    }

    fn generation(&mut self) -> u32 {
        self.generation += 1;
        self.generation
    }

    fn append(&mut self, record: &Record) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let length = bytes.len() as u32;
        let (at, used, size) = self.extent;
        if at == 0 || used + length > size {
            // Small, so that chains are long.
            let size = length.max(200).next_multiple_of(8);
            let fresh = self.block(16 + size as usize);
            self.put(fresh, &[0; 16]);
            self.put(fresh + 8, &size.to_le_bytes());
            if at == 0 {
                self.put(128, &((u64::from(self.rewritten) << 32) | (fresh / 16)).to_le_bytes());
            } else {
                self.put(at, &((fresh / 16) as u32).to_le_bytes());
            }
            self.extent = (fresh, 0, size);
        }
        let (at, used, _) = self.extent;
        self.put(at + 16 + u64::from(used), &bytes);
        self.extent.1 = used + length;
        self.put(at + 4, &self.extent.1.to_le_bytes());
    }

    fn tell(&mut self, record: Record) {
        self.append(&record);
        self.records.push(record);
    }

    /// Writes the log anew, without what is gone, and fills the old one with something else.
    pub fn rewrite(&mut self) {
        let mut first = self.u64_at(128) as u32;
        self.rewritten += 1;
        self.extent = (0, 0, 0);
        let kept: Vec<Record> = self.records.clone();
        let is_there = |process: &Process, record: &Record| match record {
            Record::Series(series) => process.u64_at(u64::from(series.block) * 16) as u32 == series.generation,
            Record::Family(family) => process.u64_at(u64::from(family.block) * 16) as u32 == family.generation,
            _ => true,
        };
        self.records = kept.into_iter().filter(|record| is_there(self, record)).collect();
        for record in self.records.clone() {
            self.append(&record);
        }
        if self.records.is_empty() {
            self.put(128, &(u64::from(self.rewritten) << 32).to_le_bytes());
        }
        while first != 0 {
            let at = u64::from(first) * 16;
            first = self.u64_at(at) as u32;
            self.put(at, &[0xff; 64]);
        }
    }

    /// Tells of a family; its block.
    pub fn family(&mut self, record: FamilyRecord) -> u64 {
        let at = self.block(32);
        let generation = self.generation();
        self.put(at, &generation.to_le_bytes());
        self.tell(Record::Family(FamilyRecord { block: (at / 16) as u32, generation, ..record }));
        at
    }

    /// A block for a series of any kind, of which others hear when it is told of.
    pub fn series(&mut self, size: usize, buckets: usize, created: f64) -> Place {
        let at = self.block(size);
        self.put(at, &vec![0; size]);
        let generation = self.generation();
        self.put(at + 8, &created.to_le_bytes());
        self.put(at, &generation.to_le_bytes());
        let place = if buckets > 0 { self.block(8 * buckets) } else { 0 };
        Place { at, buckets: place, generation }
    }

    pub fn tell_of(&mut self, family: u32, place: Place, stamp: u64, text: &[u8]) {
        let (block, buckets, generation) = ((place.at / 16) as u32, (place.buckets / 16) as u32, place.generation);
        self.tell(Record::Series(SeriesRecord { family, generation, block, buckets, stamp, text: text.to_vec() }));
    }

    pub fn bury(&mut self, tombstone: Tombstone) {
        self.tell(Record::Tombstone(tombstone));
    }

    /// Nobody is to see the series, or family, any more.
    pub fn remove(&self, at: u64) {
        self.put(at, &0u32.to_le_bytes());
    }

    pub fn set_acted(&self, epoch: u64) {
        self.put(136, &epoch.to_le_bytes());
    }

    pub fn counter(&self, place: Place, whole: u64, fraction: f64) {
        self.put(place.at + 16, &whole.to_le_bytes());
        self.put(place.at + 24, &fraction.to_le_bytes());
    }

    pub fn gauge(&self, place: Place, value: f64, set: f64) {
        self.put(place.at + 16, &value.to_le_bytes());
        self.put(place.at + 24, &set.to_le_bytes());
    }

    pub fn info(&mut self, place: Place, text: &str, set: f64) {
        let at = self.block(text.len().next_multiple_of(8).max(8));
        self.put(at, text.as_bytes());
        self.put(place.at + 24, &set.to_le_bytes());
        self.put(place.at + 16, &((at / 16) | (text.len() as u64) << 32).to_le_bytes());
    }

    pub fn exemplar(&mut self, place: Place, slots: usize, slot: usize, labels: &str, value: f64, timestamp: f64) {
        let mut all = self.u64_at(place.at) >> 32 << 4;
        if all == 0 {
            all = self.block(256 * slots);
            self.put(place.at + 4, &((all / 16) as u32).to_le_bytes());
        }
        let at = all + 256 * slot as u64;
        let sequence = self.u64_at(at);
        self.put(at, &(sequence + 1).to_le_bytes());
        self.put(at + 8, &value.to_le_bytes());
        self.put(at + 16, &timestamp.to_le_bytes());
        self.put(at + 24, &(labels.len() as u32).to_le_bytes());
        self.put(at + 32, labels.as_bytes());
        self.put(at, &(sequence + 2).to_le_bytes());
    }

    /// Writes a histogram of these values, of which the last `held` equal ones are only held. `wide` says how
    /// many bytes a bin takes.
    pub fn histogram(&mut self, place: Place, bounds: &[f64], values: &[f64], held: u64, wide: u64) {
        let sequence = self.u64_at(place.at + 56) | 1;
        self.put(place.at + 56, &sequence.to_le_bytes());
        let mut counts = vec![0u64; bounds.len()];
        let (mut sum, mut min, mut max) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
        let mut tail = [0u64; 3];
        let mut bins = std::collections::BTreeMap::<u64, [u64; 128]>::new();
        for &value in values {
            counts[bounds.iter().position(|&bound| value <= bound).unwrap()] += 1;
            (sum, min, max) = (sum + value, f64::min(min, value), f64::max(max, value));
            if value < 0.0 {
                tail[0] += 1;
            } else if value < f64::MIN_POSITIVE {
                tail[1] += 1;
            } else if value.is_infinite() {
                tail[2] += 1;
            } else {
                let key = grid::key(value);
                bins.entry(grid::exponent(key)).or_insert([0; 128])[grid::bin(key)] += 1;
            }
        }
        self.put(place.at + 16, &sum.to_le_bytes());
        self.put(place.at + 24, &min.to_le_bytes());
        self.put(place.at + 32, &max.to_le_bytes());
        self.put(place.at + 40, &held.to_le_bytes());
        self.put(place.at + 48, &values.last().copied().unwrap_or(f64::NAN).to_le_bytes());
        for (index, count) in tail.iter().enumerate() {
            self.put(place.at + 64 + 8 * index as u64, &count.to_le_bytes());
        }
        for (index, count) in counts.iter().enumerate() {
            self.put(place.buckets + 8 * index as u64, &count.to_le_bytes());
        }
        let mut last = place.at + 88;
        for (exponent, bins) in bins {
            if (993..993 + 64).contains(&exponent) {
                let block = self.block(128 * wide as usize);
                for (bin, count) in bins.iter().enumerate() {
                    self.put(block + wide * bin as u64, &count.to_le_bytes()[..wide as usize]);
                }
                let tagged = (block / 16) << 2 | u64::from(wide.trailing_zeros());
                self.put(place.at + 96 + 4 * (exponent - 993), &(tagged as u32).to_le_bytes());
            } else {
                let block = self.block(16 + 8 * 128);
                self.put(block, &(exponent as u32).to_le_bytes());
                for (bin, count) in bins.iter().enumerate() {
                    self.put(block + 16 + 8 * bin as u64, &count.to_le_bytes());
                }
                self.put(last, &((block / 16) as u32).to_le_bytes());
                last = block + 4;
            }
        }
        self.put(place.at + 56, &(sequence + 1).to_le_bytes());
    }

    /// Leaves a histogram in the middle of a change.
    pub fn leave_odd(&self, place: Place) {
        let sequence = self.u64_at(place.at + 56) | 1;
        self.put(place.at + 56, &sequence.to_le_bytes());
    }
}
