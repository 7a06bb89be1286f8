//! Lines to a descriptor: stdout, stderr, and what `rotate` opens. Never longer than until the deadline, however slow
//! the reader is, and without making the descriptor non-blocking for the others who have it.

use crate::fields::marked;
use crate::sink::{Delivery, Item, Retry, Sink};
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// A pipe that says it can be written takes so many bytes without waiting; and lines up to this length come out
/// whole, whoever else writes.
const PIPE: usize = 4096;
/// Bytes of one write to what is not a pipe.
const CHUNK: usize = 256 * 1024;

/// What is wrong with a pipe that stays full.
const SLOW: &str = "nobody reads it";
/// How long a reader may be silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes lines, and remembers how far it came within one.
#[derive(Default)]
pub struct LineWriter {
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
    /// Which record has been written in part, and how much of it.
    partial: Option<([u8; 16], u64, usize)>,
}

impl LineWriter {
    /// Writes these records, a line each.
    pub fn send(&mut self, descriptor: RawFd, is_pipe: bool, items: &[Item], until: Instant) -> Delivery {
        self.bytes.clear();
        self.ends.clear();
        for item in items {
            marked(item, &mut self.bytes);
            self.bytes.push(b'\n');
            self.ends.push(self.bytes.len());
        }
        let first = &items[0];
        let skip =
            self.partial.take().filter(|&(ring, sequence, _)| ring == first.ring && sequence == first.record.sequence);
        let mut written = skip.map_or(0, |(_, _, bytes)| bytes.min(self.ends[0]));
        let mut failure = None;
        while written < self.bytes.len() {
            let length = self.chunk(written, is_pipe);
            match write(descriptor, &self.bytes[written..written + length], is_pipe, until) {
                Ok(bytes) => written += bytes,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let taken = self.ends.partition_point(|&end| end <= written);
        let Some(error) = failure else { return Delivery::all(items) };
        let begun = written - if taken > 0 { self.ends[taken - 1] } else { 0 };
        if begun > 0 {
            self.partial = Some((items[taken].ring, items[taken].record.sequence, begun));
        }
        // A kill between the write and the settling is another matter: here it is known what was written.
        Delivery { taken, trouble: Some(explain(&error)), retry: Some(Retry::default()), ..Delivery::default() }
    }

    /// Whether the latest write ended within a line.
    pub fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// The other half went with the file that is gone.
    pub fn forget_partial(&mut self) {
        self.partial = None;
    }

    /// How much to write next: whole lines as far as they fit, else a part of one.
    fn chunk(&self, written: usize, is_pipe: bool) -> usize {
        let most = if is_pipe { PIPE } else { CHUNK };
        let fitting = self.ends.partition_point(|&end| end <= written + most);
        match fitting.checked_sub(1).map(|last| self.ends[last]) {
            Some(end) if end > written => end - written,
            _ => most.min(self.bytes.len() - written),
        }
    }
}

/// Writes some of it. A pipe is asked first whether it can take it.
fn write(descriptor: RawFd, bytes: &[u8], is_pipe: bool, until: Instant) -> io::Result<usize> {
    loop {
        if is_pipe {
            wait(descriptor, libc::POLLOUT, until)?;
        }
        // SAFETY: the bytes live.
        let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
        if let Ok(written) = usize::try_from(written) {
            return Ok(written);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // Somebody else made it so.
            Some(libc::EAGAIN) => wait(descriptor, libc::POLLOUT, until)?,
            _ => return Err(error),
        }
    }
}

/// Waits until the descriptor is ready for this.
///
/// # Errors
/// At the deadline, or when it cannot be waited for.
pub fn wait(descriptor: RawFd, events: i16, until: Instant) -> io::Result<()> {
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        let mut poll = libc::pollfd { fd: descriptor, events, revents: 0 };
        let time = i32::try_from(rest.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one structure, which lives.
        match unsafe { libc::poll(&raw mut poll, 1, time) } {
            0 => return Err(io::Error::new(io::ErrorKind::TimedOut, SLOW)),
            1 => return Ok(()),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// An error, and what to do about it.
pub fn explain(error: &io::Error) -> String {
    let remedy = match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => "; free some space there",
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => "; choose a file that this user can write",
        _ => "",
    };
    format!("{error}{remedy}")
}

/// Whether writing to a descriptor can wait for a reader.
pub fn can_block(descriptor: RawFd) -> bool {
    // SAFETY: a structure of plain numbers, which the call fills in.
    let mut about: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure lives.
    let known = unsafe { libc::fstat(descriptor, &raw mut about) } == 0;
    !known || about.st_mode & libc::S_IFMT != libc::S_IFREG
}

/// stdout or stderr.
pub struct Stream {
    descriptor: RawFd,
    lines: LineWriter,
}

impl Stream {
    /// 1 or 2.
    pub fn new(descriptor: RawFd) -> Self {
        Stream { descriptor, lines: LineWriter::default() }
    }
}

impl Sink for Stream {
    fn send(&mut self, items: &[Item], until: Instant) -> Delivery {
        let is_pipe = can_block(self.descriptor);
        // What a slow reader has taken is settled now and then.
        let until = until.min(Instant::now() + PATIENCE);
        let mut delivery = self.lines.send(self.descriptor, is_pipe, items, until);
        if delivery.taken > 0 && delivery.trouble.as_deref() == Some(SLOW) {
            delivery.trouble = None;
        }
        match &delivery.trouble {
            // Nobody will ever read it, and it cannot be opened again.
            Some(trouble) if trouble.contains("(os error 32)") || trouble.contains("(os error 9)") => {
                Delivery::refused(items, format!("{trouble}: the other end is closed"))
            }
            _ => delivery,
        }
    }
}
