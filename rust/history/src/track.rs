//! What is remembered of one series: its shape, its name, its labels; and which series of Prometheus it is.

use crate::names::shared;
use ferrometer_core::labels::{is_rendered, pairs};
use ferrometer_promql::{Label, Labels};
use std::sync::Arc;

/// What the samples of a track are.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A number that only grows.
    Counter,
    /// One that does as it likes.
    Gauge,
    /// The classic buckets with these upper bounds, `+Inf` included, and the sum.
    Classic(Arc<[f64]>),
    /// The narrow bins of a histogram.
    Bins,
}

/// The type, unit and help of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// As Prometheus calls it: `counter`, `gauge`, `histogram`, `summary`, `unknown`.
    pub kind: String,
    /// Empty for none.
    pub unit: String,
    /// One line.
    pub help: String,
}

/// Which series a track is.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The samples' shape.
    pub shape: Shape,
    /// The name of the sample; of a histogram, that of the family.
    pub name: Arc<str>,
    /// The labels as they are exposed, `a="x",b="y"`.
    pub text: Arc<str>,
}

/// The longest name or label text that is taken from a file.
const MOST_TEXT: u64 = 16 << 20;

/// Appends a number in as many bytes as it needs, seven bits each.
pub fn push_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes one off the front.
pub fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    push_number(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = take_number(bytes).filter(|&length| length <= MOST_TEXT)? as usize;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

/// Takes a slice off the front.
pub fn take_bytes<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}

impl Identity {
    /// Appends it as files have it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(match &self.shape {
            Shape::Counter => 0,
            Shape::Gauge => 1,
            Shape::Classic(_) => 2,
            Shape::Bins => 3,
        });
        push_text(&self.name, out);
        push_text(&self.text, out);
        if let Shape::Classic(bounds) = &self.shape {
            push_number(bounds.len() as u64, out);
            bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
        }
    }

    /// Takes one off the front; nothing where there is none.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        *bytes = rest;
        let (name, text): (Arc<str>, Arc<str>) = (take_text(bytes)?.into(), take_text(bytes)?.into());
        let shape = match kind {
            0 => Shape::Counter,
            1 => Shape::Gauge,
            2 => {
                let count = take_number(bytes).filter(|count| (1..1 << 16).contains(count))?;
                let bounds = take_bytes(bytes, count * 8)?.chunks_exact(8);
                Shape::Classic(
                    bounds.map(|eight| eight.try_into().map(f64::from_le_bytes).ok()).collect::<Option<_>>()?,
                )
            }
            3 => Shape::Bins,
            _ => return None,
        };
        // What follows takes it apart without looking again.
        is_rendered(text.as_bytes()).then_some(Identity { shape, name, text })
    }

    /// The labels without the name, sorted.
    pub fn labels(&self) -> Vec<Label> {
        let pairs = pairs(self.text.as_bytes()).into_iter();
        pairs.map(|(name, value)| Label { name: shared(&name), value: value.into() }).collect()
    }

    /// The series of Prometheus that this track is, with what each is of it.
    pub fn exported(&self) -> Vec<(Labels, Part)> {
        let pairs = self.labels();
        let plain = || Labels::new(Some(shared(&self.name)), pairs.iter().cloned());
        let Shape::Classic(bounds) = &self.shape else {
            return vec![(plain(), if self.shape == Shape::Bins { Part::Native } else { Part::Value })];
        };
        let suffixed = |suffix: &str| Some(shared(&format!("{}{suffix}", self.name)));
        let bucket_name = suffixed("_bucket");
        let le = shared("le");
        let mut all = Vec::with_capacity(bounds.len() + 2);
        for (index, &bound) in bounds.iter().enumerate() {
            let le = Label { name: le.clone(), value: shared(&format_bound(bound)) };
            let labels = Labels::new(bucket_name.clone(), pairs.iter().cloned().chain([le]));
            all.push((labels, Part::Bucket(index)));
        }
        all.push((Labels::new(suffixed("_count"), pairs.iter().cloned()), Part::Bucket(bounds.len() - 1)));
        // With negative bounds the sum is no counter, and is not exposed.
        if bounds[0] >= 0.0 {
            all.push((Labels::new(suffixed("_sum"), pairs.iter().cloned()), Part::Sum));
        }
        all
    }
}

/// What of a track's samples a series of Prometheus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The number itself.
    Value,
    /// All counts up to this bucket.
    Bucket(usize),
    /// The sum.
    Sum,
    /// The native histogram.
    Native,
}

/// A bound as `le` shows it.
fn format_bound(bound: f64) -> String {
    let mut text = Vec::new();
    ferrometer_core::encode::number::write_float(bound, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
