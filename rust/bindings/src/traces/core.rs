//! A span's life without its Python object: begun, filled, ended into the ring.

use super::tracer::{buffer, give_back, new_span, new_trace, Tracer};
use ferrometer_core::clock::{ticks, Clock};
use ferrometer_ring::{flags, own as ring, Head, Kind, Level};
use ferrometer_ship::time::now_ns;
use ferrometer_traces::context::{Context, RANDOM, SAMPLED};
use ferrometer_traces::format::REMOTE_PARENT;
use ferrometer_traces::ids::SpanId;
use ferrometer_traces::write::{self, Beginning, Pairs};
use pyo3::prelude::*;
use std::sync::Arc;

/// Statuses, by their numbers.
pub const UNSET: u8 = 0;
/// Set by the application, and final.
pub const OK: u8 = 1;
/// It failed.
pub const ERROR: u8 = 2;

/// Kinds, by OTLP's numbers.
pub const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];

/// Where a span is, and what else the next service is told.
#[derive(Clone, Default)]
pub struct Place {
    /// Its ids.
    pub context: Context,
    /// What other tracing systems said.
    pub tracestate: Option<Arc<str>>,
}

/// A parent: a place, and whether another process is there.
#[derive(Clone)]
pub struct Parent {
    /// Where it is.
    pub place: Place,
    /// Whether another process is there.
    pub is_remote: bool,
}

/// Decides whether a span is recorded, and where it is. Without a parent it begins a trace.
pub fn place(py: Python<'_>, tracer: &Tracer, parent: Option<&Parent>) -> (Place, bool) {
    let (trace_id, span_id, others) = if let Some(parent) = parent {
        (parent.place.context.trace_id, new_span(py), parent.place.context.flags & RANDOM)
    } else {
        let (trace_id, span_id) = new_trace(py);
        (trace_id, span_id, RANDOM)
    };
    let is_sampled = tracer.sampler.decide(parent.map(|parent| &parent.place.context), &trace_id);
    let flags = others | if is_sampled { SAMPLED } else { 0 };
    let tracestate = parent.and_then(|parent| parent.place.tracestate.clone());
    (Place { context: Context { trace_id, span_id, flags }, tracestate }, is_sampled)
}

/// What is recorded of a span.
pub struct Recording {
    /// What it is measured by.
    pub tracer: Arc<Tracer>,
    /// By OTLP's numbers.
    pub kind: u8,
    /// [`UNSET`], [`OK`], [`ERROR`].
    pub status: u8,
    /// Of the status.
    pub message: Vec<u8>,
    /// All zero for none.
    pub parent: SpanId,
    has_remote_parent: bool,
    start_ns: u64,
    started: u64,
    /// What it is described by.
    pub attributes: Pairs,
    events: Vec<u8>,
    event_count: u16,
    events_dropped: u32,
    links: Vec<u8>,
    link_count: u16,
    links_dropped: u32,
    /// The library that made it, and its version.
    pub scope: Option<Box<(String, String)>>,
}

impl Recording {
    /// Begins now, or at another time.
    #[inline]
    pub fn begin(
        py: Python<'_>,
        tracer: Arc<Tracer>,
        kind: u8,
        parent: Option<&Parent>,
        start_ns: Option<u64>,
    ) -> Self {
        Recording {
            tracer,
            kind,
            status: UNSET,
            message: Vec::new(),
            parent: parent.map_or([0; 8], |parent| parent.place.context.span_id),
            has_remote_parent: parent.is_some_and(|parent| parent.is_remote),
            start_ns: start_ns.unwrap_or_else(now_ns),
            started: if start_ns.is_some() { 0 } else { ticks() },
            attributes: Pairs::within(buffer(py)),
            events: Vec::new(),
            event_count: 0,
            events_dropped: 0,
            links: Vec::new(),
            link_count: 0,
            links_dropped: 0,
            scope: None,
        }
    }

    /// Begins earlier, by the clock's ticks.
    pub fn began_at(&mut self, started: u64) {
        let seconds = Clock::get().seconds(started, self.started);
        self.start_ns = self.start_ns.saturating_sub(nanoseconds(seconds));
        self.started = started;
    }

    /// Sets an attribute to a value that has been written; see [`value::written`].
    pub fn set(&mut self, name: &[u8], written: &[u8]) {
        self.attributes.set(name, self.tracer.limits.attributes, false, |out| out.extend_from_slice(written));
    }

    /// Sets an attribute to a text that holds no secret.
    pub fn set_plain(&mut self, name: &[u8], text: &[u8]) {
        self.attributes.set(name, self.tracer.limits.attributes, false, |out| {
            write::text(out, |out| out.extend_from_slice(text));
        });
    }

    /// Adds an event.
    pub fn add_event(&mut self, time_ns: Option<u64>, name: &[u8], pairs: &Pairs) {
        let is_full = u32::from(self.event_count) >= self.tracer.limits.events.min(u16::MAX.into());
        if is_full || !self.has_room(pairs.bytes().len() + name.len()) {
            self.events_dropped = self.events_dropped.saturating_add(1);
            return;
        }
        self.event_count += 1;
        write::event(&mut self.events, time_ns.unwrap_or_else(now_ns), name, pairs);
    }

    /// Adds a link to another span.
    pub fn add_link(&mut self, to: &Place, pairs: &Pairs) {
        let is_full = u32::from(self.link_count) >= self.tracer.limits.links.min(u16::MAX.into());
        if is_full || !self.has_room(pairs.bytes().len()) {
            self.links_dropped = self.links_dropped.saturating_add(1);
            return;
        }
        self.link_count += 1;
        let state = to.tracestate.as_deref().unwrap_or_default().as_bytes();
        let Context { trace_id, span_id, flags } = &to.context;
        write::link(&mut self.links, trace_id, *span_id, *flags, state, pairs);
    }

    fn has_room(&self, more: usize) -> bool {
        let used = self.attributes.bytes().len() + self.events.len() + self.links.len();
        used + more <= ferrometer_traces::limits::LONGEST
    }

    /// Sets the status: what the application called ok stays so, and unset sets nothing.
    pub fn set_status(&mut self, status: u8, message: &[u8]) {
        if self.status == OK || status == UNSET {
            return;
        }
        self.status = status;
        self.message.clear();
        if status == ERROR {
            let most = message.len().min(4096);
            ferrometer_logs::text::redact(&mut self.message, &message[..most], &self.tracer.marker);
        }
    }

    /// Ends it now, at the clock's ticks or at a time, and puts it into the ring. Never raises, never waits.
    #[inline]
    pub fn end(self, py: Python<'_>, place: &Place, name: &[u8], ended: End) {
        let end_ns = match ended {
            End::At(time_ns) => time_ns.max(self.start_ns),
            End::Now if self.started == 0 => now_ns().max(self.start_ns),
            End::Now => self.start_ns + elapsed(self.started, ticks()),
            End::Ticks(ended) => self.start_ns + elapsed(self.started, ended),
        };
        let beginning = Beginning {
            kind: self.kind,
            status: self.status,
            flags: place.context.flags | if self.has_remote_parent { REMOTE_PARENT } else { 0 },
            parent: self.parent,
            start_ns: self.start_ns,
            dropped: [self.attributes.dropped(), self.events_dropped, self.links_dropped],
            counts: [self.attributes.count(), self.event_count, self.link_count],
            bytes: [self.attributes.bytes().len() as u32, self.events.len() as u32],
            texts: [
                name,
                place.tracestate.as_deref().unwrap_or_default().as_bytes(),
                &self.message,
                self.scope.as_ref().map_or(&b""[..], |scope| scope.0.as_bytes()),
                self.scope.as_ref().map_or(&b""[..], |scope| scope.1.as_bytes()),
            ],
        };
        let mut out = buffer(py);
        beginning.write(&mut out);
        let head = Head {
            level: if self.status == ERROR { Level::Error } else { Level::Info },
            flags: flags::SPAN | flags::SAMPLED,
            time_ns: end_ns,
            trace_id: place.context.trace_id,
            span_id: place.context.span_id,
        };
        // SAFETY: the GIL is held, and no Python runs in there.
        let _counted =
            unsafe { ring::append(Kind::Spans, &head, &[&out, self.attributes.bytes(), &self.events, &self.links]) };
        give_back(py, out);
        give_back(py, self.attributes.into_bytes());
    }
}

/// When a span ends.
#[derive(Clone, Copy)]
pub enum End {
    /// Now.
    Now,
    /// At a moment of the processor's clock.
    Ticks(u64),
    /// At nanoseconds since 1970.
    At(u64),
}

/// Nanoseconds between two moments of the processor's clock. For long ones that is compared with the system's first, so that
/// a span does not end before those within it.
fn elapsed(started: u64, ended: u64) -> u64 {
    let clock = Clock::get();
    let seconds = clock.seconds(started, ended);
    if seconds < 0.05 {
        return nanoseconds(seconds);
    }
    clock.calibrate();
    nanoseconds(clock.seconds(started, ended))
}

#[expect(clippy::cast_sign_loss, reason = "negative seconds saturate at zero")]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
