//! The records of a segment's log: what families and series there are, and which are gone.
//!
//! A record is `u32 length, u32 CRC-32 of what follows, u32 type, …`; the length is that of the whole, a
//! multiple of 8. A text is a u32 length and its bytes.

use super::damage::Damage;
use crate::mode::Mode;

const FAMILY: u32 = 1;
const SERIES: u32 = 2;
const TOMBSTONE: u32 = 3;
const FOLDED: u32 = 4;

/// The bytes before the type.
const PREFIX: usize = 8;

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A family exists.
    Family(FamilyRecord),
    /// A series exists.
    Series(SeriesRecord),
    /// Series that existed before are gone, in all processes.
    Tombstone(Tombstone),
    /// The process with this uuid is dead, and its totals are in this file. Only in the graveyard.
    Folded([u8; 16]),
}

/// A family exists.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyRecord {
    /// Names it in this log.
    pub id: u32,
    /// The grain of its block.
    pub block: u32,
    /// What its block must say.
    pub generation: u32,
    /// How many series it may have.
    pub max_series: u32,
    /// How many families of its name this process defined before it.
    pub ordinal: u32,
    /// `default` for the default registry, nothing for others.
    pub scope: String,
    /// The name without the suffix of its type.
    pub name: String,
    /// One line of documentation.
    pub help: String,
    /// The unit, empty when none.
    pub unit: String,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Its type.
    pub detail: Detail,
}

/// The type of a family, and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// A counter.
    Counter,
    /// A gauge.
    Gauge(Mode),
    /// A histogram with these bounds, `+Inf` included.
    Histogram(Vec<f64>),
    /// A summary with these quantiles.
    Summary(Vec<f64>),
    /// An info.
    Info,
    /// A state set with these states.
    StateSet(Vec<String>),
}

/// A series exists.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesRecord {
    /// The family's id in this log.
    pub family: u32,
    /// What its block must say.
    pub generation: u32,
    /// The grain of its block.
    pub block: u32,
    /// The grain of its buckets, when it is a histogram or summary.
    pub buckets: u32,
    /// The removal epoch when it was made.
    pub stamp: u64,
    /// Its rendered labels.
    pub text: Vec<u8>,
}

/// Series of a family are gone when their stamp is smaller.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstone {
    /// The removal epoch.
    pub stamp: u64,
    /// The family's scope.
    pub scope: String,
    /// The family's name.
    pub name: String,
    /// The rendered labels of the series; nothing for all of them.
    pub text: Option<Vec<u8>>,
}

impl Tombstone {
    /// Whether whatever an older one removes, this one does, too.
    pub fn covers(&self, older: &Tombstone) -> bool {
        let same = self.scope == older.scope && self.name == older.name;
        same && (self.text.is_none() || self.text == older.text)
    }
}

impl Detail {
    fn code(&self) -> u8 {
        match self {
            Detail::Counter => 1,
            Detail::Gauge(_) => 2,
            Detail::Histogram(_) => 3,
            Detail::Summary(_) => 4,
            Detail::Info => 5,
            Detail::StateSet(_) => 6,
        }
    }
}

impl Record {
    /// Whether some bytes begin with a [`Record::Series`], if they say the truth.
    pub(super) fn seems_series(bytes: &[u8]) -> bool {
        bytes.get(PREFIX..PREFIX + 4) == Some(&SERIES.to_le_bytes())
    }

    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        match self {
            Record::Family(family) => family.encode(out),
            Record::Series(series) => {
                put(out, &[SERIES, series.family, series.generation, series.block, series.buckets]);
                put(out, &[series.text.len() as u32]);
                out.extend_from_slice(&series.stamp.to_le_bytes());
                out.extend_from_slice(&series.text);
            }
            Record::Tombstone(tombstone) => {
                put(out, &[TOMBSTONE, u32::from(tombstone.text.is_none()), 0, 0]);
                out.extend_from_slice(&tombstone.stamp.to_le_bytes());
                put_text(out, tombstone.scope.as_bytes());
                put_text(out, tombstone.name.as_bytes());
                put_text(out, tombstone.text.as_deref().unwrap_or_default());
            }
            Record::Folded(uuid) => {
                put(out, &[FOLDED, 0]);
                out.extend_from_slice(uuid);
            }
        }
        out.resize(start + (out.len() - start).next_multiple_of(8), 0);
        let record = &mut out[start..];
        let length = record.len() as u32;
        let checksum = crc32fast::hash(&record[PREFIX..]);
        record[..4].copy_from_slice(&length.to_le_bytes());
        record[4..PREFIX].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The record that some bytes begin with, and its length.
    ///
    /// # Errors
    /// When there is none. [`Record::length`] may tell where the next one is.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Damage> {
        let length = Self::length(bytes)?;
        let checksum = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let body = &bytes[PREFIX..length];
        if crc32fast::hash(body) != checksum {
            return Err(Damage::Checksum);
        }
        let mut body = Body(body);
        let record = match body.u32()? {
            FAMILY => Record::Family(FamilyRecord::parse(&mut body)?),
            SERIES => Record::Series(SeriesRecord::parse(&mut body)?),
            TOMBSTONE => Record::Tombstone(Tombstone::parse(&mut body)?),
            FOLDED => {
                body.u32()?;
                Record::Folded(body.array()?)
            }
            _ => return Err(Damage::Content),
        };
        Ok((record, length))
    }

    /// The length of the record that some bytes begin with, whatever it says.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn length(bytes: &[u8]) -> Result<usize, Damage> {
        let length: [u8; 4] = *bytes.first_chunk().ok_or(Damage::Truncated)?;
        let length = u32::from_le_bytes(length) as usize;
        if length < PREFIX + 8 || !length.is_multiple_of(8) {
            return Err(Damage::Length);
        }
        if length > bytes.len() {
            return Err(Damage::Truncated);
        }
        Ok(length)
    }
}

impl FamilyRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        let mode = if let Detail::Gauge(mode) = self.detail { mode.code() } else { 0 };
        let details = match &self.detail {
            Detail::Histogram(numbers) | Detail::Summary(numbers) => numbers.len(),
            Detail::StateSet(states) => states.len(),
            Detail::Counter | Detail::Gauge(_) | Detail::Info => 0,
        };
        put(out, &[FAMILY, self.id, self.block, self.generation]);
        out.extend_from_slice(&[self.detail.code(), mode]);
        out.extend_from_slice(&(self.labels.len() as u16).to_le_bytes());
        put(out, &[self.max_series, self.ordinal, details as u32]);
        let texts = [&self.scope, &self.name, &self.help, &self.unit].into_iter().chain(&self.labels);
        texts.for_each(|text| put_text(out, text.as_bytes()));
        match &self.detail {
            Detail::Histogram(numbers) | Detail::Summary(numbers) => {
                for number in numbers {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            Detail::StateSet(states) => states.iter().for_each(|state| put_text(out, state.as_bytes())),
            Detail::Counter | Detail::Gauge(_) | Detail::Info => {}
        }
    }

    fn parse(body: &mut Body) -> Result<Self, Damage> {
        let (id, block, generation) = (body.u32()?, body.u32()?, body.u32()?);
        let [kind, mode, low, high] = body.array()?;
        let labels = usize::from(u16::from_le_bytes([low, high]));
        let (max_series, ordinal, details) = (body.u32()?, body.u32()?, body.u32()? as usize);
        let (scope, name, help, unit) = (body.string()?, body.string()?, body.string()?, body.string()?);
        let labels = body.several(labels, 4, Body::string)?;
        let detail = match kind {
            1 => Detail::Counter,
            2 => Detail::Gauge(Mode::from_code(mode).ok_or(Damage::Content)?),
            3 => Detail::Histogram(body.several(details, 8, Body::f64)?),
            4 => Detail::Summary(body.several(details, 8, Body::f64)?),
            5 => Detail::Info,
            6 => Detail::StateSet(body.several(details, 4, Body::string)?),
            _ => return Err(Damage::Content),
        };
        Ok(FamilyRecord { id, block, generation, max_series, ordinal, scope, name, help, unit, labels, detail })
    }
}

impl SeriesRecord {
    fn parse(body: &mut Body) -> Result<Self, Damage> {
        let (family, generation, block, buckets) = (body.u32()?, body.u32()?, body.u32()?, body.u32()?);
        let (length, stamp) = (body.u32()? as usize, body.u64()?);
        Ok(SeriesRecord { family, generation, block, buckets, stamp, text: body.take(length)?.to_vec() })
    }
}

impl Tombstone {
    fn parse(body: &mut Body) -> Result<Self, Damage> {
        let (all, _, _) = (body.u32()?, body.u32()?, body.u32()?);
        let stamp = body.u64()?;
        let (scope, name, text) = (body.string()?, body.string()?, body.text()?.to_vec());
        Ok(Tombstone { stamp, scope, name, text: (all == 0).then_some(text) })
    }
}

fn put(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put(out, &[text.len() as u32]);
    out.extend_from_slice(text);
}

/// What of a record has not been read yet.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Damage::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Damage::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    fn f64(&mut self) -> Result<f64, Damage> {
        self.array().map(f64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a [u8], Damage> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn string(&mut self) -> Result<String, Damage> {
        String::from_utf8(self.text()?.to_vec()).map_err(|_| Damage::Text)
    }

    /// A count says how much memory to ask for, so it is checked first.
    fn several<T>(
        &mut self,
        count: usize,
        least: usize,
        one: impl Fn(&mut Self) -> Result<T, Damage>,
    ) -> Result<Vec<T>, Damage> {
        if count > self.0.len() / least {
            return Err(Damage::Length);
        }
        (0..count).map(|_| one(self)).collect()
    }
}
