//! `traceparent` of W3C Trace Context, level 2: which trace a request belongs to, and whether its caller records it.

use crate::ids::{read_hex, write_hex, SpanId, TraceId};

/// Bit of the flags: the trace is recorded.
pub const SAMPLED: u8 = 1;
/// Bit of the flags: the last seven bytes of the trace id are random.
pub const RANDOM: u8 = 2;
/// Length of a header.
pub const LENGTH: usize = 55;

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// Never all zero, but in the default.
    pub trace_id: TraceId,
    /// Likewise.
    pub span_id: SpanId,
    /// [`SAMPLED`], [`RANDOM`]; other bits are not passed on.
    pub flags: u8,
}

impl Context {
    /// Whether it is a place at all.
    pub fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// As a header.
    pub fn header(&self) -> [u8; LENGTH] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id, &mut out[3..35]);
        write_hex(&self.span_id, &mut out[36..52]);
        write_hex(&[self.flags], &mut out[53..]);
        out
    }

    /// Reads a header; nothing when it is none. Of a version that is not known yet, the beginning is read.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let header = header.trim_ascii();
        if header.len() < LENGTH || [2, 35, 52].iter().any(|&at| header[at] != b'-') {
            return None;
        }
        let (mut version, mut flags) = ([0], [0]);
        let mut context = Context::default();
        let is_read = read_hex(&header[..2], &mut version)
            && read_hex(&header[3..35], &mut context.trace_id)
            && read_hex(&header[36..52], &mut context.span_id)
            && read_hex(&header[53..LENGTH], &mut flags);
        let has_end = match version[0] {
            0 => header.len() == LENGTH,
            255 => false,
            _ => header.get(LENGTH).is_none_or(|&next| next == b'-'),
        };
        context.flags = flags[0] & (SAMPLED | RANDOM);
        (is_read && has_end && context.is_valid()).then_some(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_the_specification_says() {
        let context = Context::parse(KNOWN.as_bytes()).unwrap();
        assert!(context.is_sampled());
        assert_eq!(&context.header()[..], KNOWN.as_bytes());
        for (from, to, is_valid) in [
            ("00-", "ff-", false),
            ("00-", "cc-", true),
            ("00-", "0-", false),
            ("-01", "-01-more", false),
            ("-01", "-0", false),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000", false),
            ("00f067aa0ba902b7", "0000000000000000", false),
            ("4bf9", "4BF9", false),
            ("-01", "-09", true),
            ("-01", "_01", false),
            ("00-4", " 00-4", true),
        ] {
            assert_eq!(Context::parse(KNOWN.replace(from, to).as_bytes()).is_some(), is_valid, "{from} -> {to}");
        }
        let later = KNOWN.replace("00-4", "01-4") + "-what-the-future-brings";
        assert_eq!(Context::parse(later.as_bytes()), Some(context));
        assert_eq!(Context::parse((KNOWN.replace("00-4", "01-4") + ".").as_bytes()), None);
    }

    proptest! {
        #[test]
        fn there_and_back(trace_id: [u8; 16], span_id: [u8; 8], flags in 0..4u8) {
            let context = Context { trace_id, span_id, flags };
            let back = Context::parse(&context.header());
            prop_assert_eq!(back, context.is_valid().then_some(context));
        }

        #[test]
        fn any_bytes_are_a_context_or_none(bytes: Vec<u8>) {
            let _ = Context::parse(&bytes);
        }

        #[test]
        fn any_damage_is_found_or_harmless(at in 0..LENGTH, byte: u8) {
            let mut header = KNOWN.as_bytes().to_vec();
            header[at] = byte;
            if let Some(context) = Context::parse(&header) {
                prop_assert!(context.is_valid());
            }
        }
    }
}
