//! Which traces are recorded: decided once, where a trace begins, and by everyone else as the caller decided.

use crate::context::Context;
use crate::ids::TraceId;

/// What a trace without a caller's decision is decided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Root {
    /// All.
    On,
    /// None.
    Off,
    /// A share, by the trace's id: every service with the same share, or a greater one, records the same traces. The id's
    /// last 64 bits must be below this bound.
    Ratio(u128),
}

impl Root {
    /// A share of all traces, from 0 to 1.
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0 and above")]
    pub fn ratio(share: f64) -> Self {
        // As OpenTelemetry has it: 2^64 times the share, rounded.
        Root::Ratio((share.clamp(0.0, 1.0) * 18_446_744_073_709_551_616.0).round_ties_even() as u128)
    }

    fn decide(self, trace_id: &TraceId) -> bool {
        match self {
            Root::On => true,
            Root::Off => false,
            Root::Ratio(bound) => {
                let low = trace_id.last_chunk::<8>().map_or(0, |low| u64::from_be_bytes(*low));
                u128::from(low) < bound
            }
        }
    }
}

/// The whole decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// For traces that begin here.
    pub root: Root,
    /// Whether the caller's decision is heeded.
    pub parent_based: bool,
}

impl Default for Sampler {
    fn default() -> Self {
        Sampler { root: Root::On, parent_based: true }
    }
}

impl Sampler {
    /// By OpenTelemetry's name of it, with the share for those that have one; `None` for an unknown name.
    pub fn named(name: &str, share: f64) -> Option<Self> {
        let (parent_based, rest) = name.strip_prefix("parentbased_").map_or((false, name), |rest| (true, rest));
        let root = match rest {
            "always_on" => Root::On,
            "always_off" => Root::Off,
            "traceidratio" => Root::ratio(share),
            _ => return None,
        };
        Some(Sampler { root, parent_based })
    }

    /// Whether a span is recorded.
    #[inline]
    pub fn decide(&self, parent: Option<&Context>, trace_id: &TraceId) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.is_sampled(),
            _ => self.root.decide(trace_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_ids() {
        let low = |low: u64| {
            let mut id = [7; 16];
            id[8..].copy_from_slice(&low.to_be_bytes());
            id
        };
        let half = Sampler { root: Root::ratio(0.5), parent_based: true };
        assert!(half.decide(None, &low((1 << 63) - 1)) && !half.decide(None, &low(1 << 63)));
        let all = Sampler { root: Root::ratio(1.0), parent_based: true };
        assert!(all.decide(None, &low(u64::MAX)));
        let none = Sampler { root: Root::ratio(0.0), parent_based: true };
        assert!(!none.decide(None, &low(0)));
        let sampled = Context { trace_id: low(0), span_id: [1; 8], flags: 1 };
        assert!(none.decide(Some(&sampled), &sampled.trace_id));
        assert!(!all.decide(Some(&Context { flags: 0, ..sampled }), &sampled.trace_id));
        assert_eq!(Sampler::named("parentbased_traceidratio", 0.5), Some(half));
        assert!(!Sampler::named("traceidratio", 0.0).unwrap().decide(None, &low(1)));
        assert_eq!(Sampler::named("jaeger_remote", 1.0), None);
    }
}
