//! What a server serves.

use crate::models_json::Models;
use crate::sample_filter::restrict;
use crate::stats_json::Numbers;
use ferrometer_core::encode::{protobuf, text};
use ferrometer_core::family::Family;
use ferrometer_core::registry::Visited;
use std::collections::BTreeSet;

/// The formats in which metrics are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format; 0.0.4 and 1.0.0 are the same bytes for ordinary names.
    Text,
    /// `OpenMetrics` text, with its end mark.
    OpenMetrics,
    /// Length-delimited protobuf messages, with classic histograms only.
    Protobuf,
    /// The same, with native histograms.
    NativeProtobuf,
}

/// What an exposition has besides the source's own families: those that only Python code can tell.
#[derive(Default, Clone, Copy)]
pub struct Additions<'a> {
    /// What comes before the source's families, in the same format.
    pub before: &'a [u8],
    /// What comes after them, without an end mark.
    pub after: &'a [u8],
    /// The families of the source that are told there, and not by it.
    pub leave_out: Option<&'a (dyn Fn(&Family) -> bool + Sync)>,
    /// The whole exposition, where the source is not asked at all.
    pub whole: Option<&'a [u8]>,
}

impl Additions<'_> {
    /// Whether the source leaves a family out.
    pub fn leave_out(&self, family: &Family) -> bool {
        self.leave_out.is_some_and(|leave_out| leave_out(family))
    }
}

/// A source of metrics: a process's registry, or the merged segments of many processes.
///
/// All methods run in the server's thread, inside `fork::beside`: they neither wait for the GIL nor call
/// `beside` themselves.
pub trait Exposition: Send + Sync {
    /// Appends the exposition; where `names` are given, of only the samples that are called so (in
    /// protobuf: of the families that have such samples).
    fn write(&self, format: Format, names: Option<&BTreeSet<String>>, additions: &Additions<'_>, out: &mut Vec<u8>);

    /// The numbers of the JSON endpoints.
    fn numbers(&self) -> Numbers;

    /// What is known of the models.
    fn models(&self) -> Models;
}

/// Appends everything that `visit` comes by in a format, as [`Exposition::write`] says.
pub(crate) fn write(
    format: Format,
    names: Option<&BTreeSet<String>>,
    additions: &Additions<'_>,
    visit: impl FnOnce(&mut dyn FnMut(Visited)),
    out: &mut Vec<u8>,
) {
    let in_text = |format, out: &mut Vec<u8>, visit| restrict(names, out, |out| text::encode_each(format, visit, out));
    out.extend_from_slice(additions.before);
    match format {
        Format::Protobuf => protobuf::encode_each(visit, names, 0, out),
        Format::NativeProtobuf => protobuf::encode_each(visit, names, protobuf::NATIVE_BUCKETS, out),
        Format::Text => in_text(text::Format::Prometheus, out, visit),
        Format::OpenMetrics => in_text(text::Format::OpenMetrics, out, visit),
    }
    out.extend_from_slice(additions.after);
    if format == Format::OpenMetrics {
        out.extend_from_slice(text::END);
    }
}
