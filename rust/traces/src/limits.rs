//! How much a span may hold. What is beyond is left out, and how much that was is told.

/// OpenTelemetry's limits, with its defaults; but texts are finite here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of a span.
    pub attributes: u32,
    /// Characters of a text; the bytes of bytes.
    pub text: usize,
    /// Events of a span.
    pub events: u32,
    /// Links of a span.
    pub links: u32,
    /// Attributes of an event.
    pub event_attributes: u32,
    /// Attributes of a link.
    pub link_attributes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { attributes: 128, text: 8192, events: 128, links: 128, event_attributes: 128, link_attributes: 128 }
    }
}

/// Bytes of attributes, events and links together that a span holds; its record stays below the ring's longest.
pub const LONGEST: usize = 128 * 1024;
