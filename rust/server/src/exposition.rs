//! What a server serves.

use crate::sample_filter::restrict;
use crate::stats_json::Numbers;
use ferrometer_core::encode::{protobuf, text};
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

/// A source of metrics: a process's registry, or the merged segments of many processes.
///
/// All methods run in the server's thread, inside `fork::beside`: they neither wait for the GIL nor call
/// `beside` themselves.
pub trait Exposition: Send + Sync {
    /// Appends the exposition; where `names` are given, of only the samples that are called so (in
    /// protobuf: of the families that have such samples).
    fn write(&self, format: Format, names: Option<&BTreeSet<String>>, out: &mut Vec<u8>);

    /// The numbers of the JSON endpoints.
    fn numbers(&self) -> Numbers;
}

/// Appends everything that `visit` comes by in a format, as [`Exposition::write`] says.
pub(crate) fn write(
    format: Format,
    names: Option<&BTreeSet<String>>,
    visit: impl FnOnce(&mut dyn FnMut(Visited)),
    out: &mut Vec<u8>,
) {
    let format = match format {
        Format::Protobuf => return protobuf::encode_each(visit, names, 0, out),
        Format::NativeProtobuf => return protobuf::encode_each(visit, names, protobuf::NATIVE_BUCKETS, out),
        Format::Text => text::Format::Prometheus,
        Format::OpenMetrics => text::Format::OpenMetrics,
    };
    restrict(names, out, |out| text::encode_each(format, visit, out));
    if format == text::Format::OpenMetrics {
        out.extend_from_slice(text::END);
    }
}
