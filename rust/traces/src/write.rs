//! A span written for a ring: on the thread of the application, so it is short and made of copies.

use crate::format::{tag, VERSION};
use crate::ids::{SpanId, TraceId};
use crate::limits::LONGEST;

/// Attributes that are being written.
#[derive(Debug, Default, Clone)]
pub struct Pairs {
    bytes: Vec<u8>,
    count: u16,
    dropped: u32,
}

impl Pairs {
    /// Nothing yet, in memory that is used again.
    pub fn within(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Pairs { bytes, count: 0, dropped: 0 }
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// How many were left out.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// All of them, written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory, to be used again.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// One was left out before it came here.
    pub fn leave_out(&mut self, count: u32) {
        self.dropped = self.dropped.saturating_add(count);
    }

    /// Sets an attribute, in place of one of the same name, unless there are so many. `is_new`: there is none of that name,
    /// as the caller knows.
    #[inline]
    pub fn set(&mut self, name: &[u8], most: u32, is_new: bool, value: impl FnOnce(&mut Vec<u8>)) {
        if !is_new {
            self.remove(name);
        }
        let is_name = !name.is_empty() && u16::try_from(name.len()).is_ok();
        if !is_name || u32::from(self.count) >= most.min(u32::from(u16::MAX)) {
            self.leave_out(1);
            return;
        }
        let start = self.bytes.len();
        short(&mut self.bytes, name);
        value(&mut self.bytes);
        if self.bytes.len() > LONGEST {
            self.bytes.truncate(start);
            self.leave_out(1);
        } else {
            self.count += 1;
        }
    }

    fn remove(&mut self, name: &[u8]) {
        let mut at = 0;
        while at < self.bytes.len() {
            let Some(end) = crate::read::end_of_pair(&self.bytes, at) else { return };
            let length = usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]));
            if self.bytes[at + 2..at + 2 + length] == *name {
                self.bytes.drain(at..end);
                self.count -= 1;
                return;
            }
            at = end;
        }
    }
}

/// Appends a value that is no value.
pub fn none(out: &mut Vec<u8>) {
    out.push(tag::NONE);
}

/// Appends a truth.
pub fn truth(out: &mut Vec<u8>, value: bool) {
    out.push(if value { tag::TRUE } else { tag::FALSE });
}

/// Appends a whole number.
#[inline]
pub fn int(out: &mut Vec<u8>, value: i64) {
    out.push(tag::INT);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a number.
#[inline]
pub fn float(out: &mut Vec<u8>, value: f64) {
    out.push(tag::FLOAT);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a text, which `write` appends.
#[inline]
pub fn text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag::TEXT);
    measured(out, write);
}

/// Appends bytes.
pub fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.push(tag::BYTES);
    measured(out, |out| out.extend_from_slice(value));
}

/// Appends a list: `write` appends values and tells how many.
pub fn list(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> u32) {
    counted(out, tag::LIST, write);
}

/// Appends a map: `write` appends names and values, and tells how many.
pub fn map(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> u32) {
    counted(out, tag::MAP, write);
}

fn counted(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>) -> u32) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let count = write(out);
    out[at..at + 4].copy_from_slice(&count.to_le_bytes());
}

#[inline]
fn measured(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Appends a short text with its length, cut at 64 KiB.
#[inline]
pub fn short(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&text[..usize::from(length)]);
}

/// Appends an event.
pub fn event(out: &mut Vec<u8>, time_ns: u64, name: &[u8], attributes: &Pairs) {
    out.extend_from_slice(&time_ns.to_le_bytes());
    short(out, name);
    pairs(out, attributes);
}

/// Appends a link.
pub fn link(out: &mut Vec<u8>, trace_id: &TraceId, span_id: SpanId, flags: u8, tracestate: &[u8], attributes: &Pairs) {
    out.extend_from_slice(trace_id);
    out.extend_from_slice(&span_id);
    out.push(flags);
    short(out, tracestate);
    pairs(out, attributes);
}

fn pairs(out: &mut Vec<u8>, pairs: &Pairs) {
    out.extend_from_slice(&pairs.dropped.to_le_bytes());
    out.extend_from_slice(&pairs.count.to_le_bytes());
    out.extend_from_slice(&(pairs.bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&pairs.bytes);
}

/// What stands before attributes, events and links.
#[derive(Debug, Default)]
pub struct Beginning<'a> {
    /// By OTLP's numbers: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u8,
    /// 0 unset, 1 ok, 2 error.
    pub status: u8,
    /// The trace's flags and [`REMOTE_PARENT`](crate::format::REMOTE_PARENT).
    pub flags: u8,
    /// All zero for none.
    pub parent: SpanId,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Attributes, events, links left out.
    pub dropped: [u32; 3],
    /// Attributes, events, links that there are.
    pub counts: [u16; 3],
    /// Bytes of the attributes, and of the events.
    pub bytes: [u32; 2],
    /// Name, `tracestate`, message of the status, scope's name and version.
    pub texts: [&'a [u8]; 5],
}

impl Beginning<'_> {
    /// Appends it.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[VERSION, self.kind, self.status, self.flags]);
        out.extend_from_slice(&self.parent);
        out.extend_from_slice(&self.start_ns.to_le_bytes());
        for count in self.dropped {
            out.extend_from_slice(&count.to_le_bytes());
        }
        for count in self.counts {
            out.extend_from_slice(&count.to_le_bytes());
        }
        for length in self.bytes {
            out.extend_from_slice(&length.to_le_bytes());
        }
        for text in self.texts {
            short(out, text);
        }
    }
}
