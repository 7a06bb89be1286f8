//! What a ring holds. A process has a ring of each kind, so that a burst of the one never costs records of the other,
//! and each has counts of its own.

/// What the records of a ring are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Log lines.
    #[default]
    Lines = 0,
    /// Spans of traces.
    Spans = 1,
    /// Data points of metrics, many in each record.
    Metrics = 2,
}

/// How many kinds there are.
pub const KINDS: usize = 3;

impl Kind {
    /// All of them.
    pub const ALL: [Kind; KINDS] = [Kind::Lines, Kind::Spans, Kind::Metrics];

    /// The kind of that name: `lines`, `spans`, `metrics`.
    pub fn named(name: &str) -> Option<Kind> {
        ["lines", "spans", "metrics"].iter().position(|&known| known == name).map(|at| Kind::ALL[at])
    }

    /// What the names of such rings end with.
    pub fn suffix(self) -> &'static str {
        [".ring", ".spans", ".metrics"][self as usize]
    }

    /// The name of the file with the counts of processes that are gone, which is the shippers' lock, too.
    pub fn totals(self) -> &'static str {
        ["shipper", "span-shipper", "metric-shipper"][self as usize]
    }

    /// What people call the records.
    pub fn noun(self) -> &'static str {
        ["log lines", "spans", "metrics"][self as usize]
    }
}
