//! A span read out of a ring's record. Files can be damaged: what is no span is none, and nothing here can panic.

use crate::format::{tag, REMOTE_PARENT, VERSION};
use crate::ids::{SpanId, TraceId};

/// How deep values may be nested.
const DEEPEST: usize = 16;

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
    Map(Vec<(&'a str, Value<'a>)>),
}

/// Attributes.
pub type Pairs<'a> = Vec<(&'a str, Value<'a>)>;

/// An event of a span.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Event<'a> {
    pub time_ns: u64,
    pub name: &'a str,
    pub attributes: Pairs<'a>,
    pub dropped: u32,
}

/// A link to another span.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Link<'a> {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub flags: u8,
    pub tracestate: &'a str,
    pub attributes: Pairs<'a>,
    pub dropped: u32,
}

/// A span, but for its ids and its end, which are in the record's head.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Span<'a> {
    pub kind: u8,
    pub status: u8,
    pub flags: u8,
    pub has_remote_parent: bool,
    pub parent: SpanId,
    pub start_ns: u64,
    pub name: &'a str,
    pub tracestate: &'a str,
    pub message: &'a str,
    pub scope: (&'a str, &'a str),
    pub attributes: Pairs<'a>,
    pub events: Vec<Event<'a>>,
    pub links: Vec<Link<'a>>,
    /// Attributes, events, links that were left out.
    pub dropped: [u32; 3],
}

impl<'a> Span<'a> {
    /// Reads one; nothing for what is none.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let from = &mut Reader(payload);
        let [version, kind, status, flags] = from.array()?;
        if version != VERSION {
            return None;
        }
        let parent = from.array()?;
        let start_ns = from.u64()?;
        let dropped = [from.u32()?, from.u32()?, from.u32()?];
        let counts = [from.u16()?, from.u16()?, from.u16()?];
        let lengths = [from.u32()? as usize, from.u32()? as usize];
        let [name, tracestate, message, scope, version] =
            [from.short()?, from.short()?, from.short()?, from.short()?, from.short()?];
        let attributes = Reader(from.take(lengths[0])?).pairs(counts[0].into(), 0)?;
        let events = &mut Reader(from.take(lengths[1])?);
        let events = (0..counts[1]).map(|_| events.event()).collect::<Option<_>>()?;
        let links = (0..counts[2]).map(|_| from.link()).collect::<Option<_>>()?;
        Some(Span {
            kind,
            status,
            flags: flags & !REMOTE_PARENT,
            has_remote_parent: flags & REMOTE_PARENT != 0,
            parent,
            start_ns,
            name,
            tracestate,
            message,
            scope: (scope, version),
            attributes,
            events,
            links,
            dropped,
        })
    }
}

/// Where the attribute that begins at a place ends.
pub(crate) fn end_of_pair(bytes: &[u8], at: usize) -> Option<usize> {
    let from = &mut Reader(bytes.get(at..)?);
    from.short_bytes()?;
    from.value(0)?;
    Some(bytes.len() - from.0.len())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn short_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn short(&mut self) -> Option<&'a str> {
        Some(text(self.short_bytes()?))
    }

    fn pairs(&mut self, count: u32, depth: usize) -> Option<Pairs<'a>> {
        // Not with room for `count`: it may be damaged.
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((self.short()?, self.value(depth)?));
        }
        Some(pairs)
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        if depth > DEEPEST {
            return None;
        }
        Some(match self.array::<1>()?[0] {
            tag::NONE => Value::None,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::INT => Value::Int(i64::from_le_bytes(self.array()?)),
            tag::FLOAT => Value::Float(f64::from_le_bytes(self.array()?)),
            tag::TEXT => {
                let length = self.u32()? as usize;
                Value::Text(text(self.take(length)?))
            }
            tag::BYTES => {
                let length = self.u32()? as usize;
                Value::Bytes(self.take(length)?)
            }
            tag::LIST => {
                let count = self.u32()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::List(values)
            }
            tag::MAP => {
                let count = self.u32()?;
                Value::Map(self.pairs(count, depth + 1)?)
            }
            _ => return None,
        })
    }

    fn with_dropped(&mut self) -> Option<(Pairs<'a>, u32)> {
        let (dropped, count, length) = (self.u32()?, self.u16()?, self.u32()?);
        Some((Reader(self.take(length as usize)?).pairs(count.into(), 0)?, dropped))
    }

    fn event(&mut self) -> Option<Event<'a>> {
        let (time_ns, name) = (self.u64()?, self.short()?);
        let (attributes, dropped) = self.with_dropped()?;
        Some(Event { time_ns, name, attributes, dropped })
    }

    fn link(&mut self) -> Option<Link<'a>> {
        let (trace_id, span_id, [flags]) = (self.array()?, self.array()?, self.array()?);
        let tracestate = self.short()?;
        let (attributes, dropped) = self.with_dropped()?;
        Some(Link { trace_id, span_id, flags, tracestate, attributes, dropped })
    }
}

/// A text that was cut within a character loses the rest of that, and what is no UTF-8 behind it.
fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}
