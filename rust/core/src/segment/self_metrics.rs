//! What a view has to say about its directory.

use super::damage::Damage;
use super::view::View;
use crate::computed::Computed;
use std::collections::BTreeMap;

/// The same, for a process that may not even look at it.
pub(super) fn blind() -> Vec<Computed> {
    Computed::about("gauge", UNREADABLE, [(Damage::Access.reason().to_owned(), 1)]).into_iter().collect()
}

const UNREADABLE: [&str; 3] =
    ["ferrometer_segments_unreadable", "Files of the shared directory that cannot be read, or not wholly", "reason"];

impl View {
    /// Families about the directory itself: how many processes there are, and what is wrong.
    pub fn about(&self) -> Vec<Computed> {
        let states = [("live".to_owned(), self.living() as u64), ("dead".to_owned(), self.dead() as u64)];
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for file in self.unreadable() {
            *reasons.entry(file.damage.reason().into()).or_default() += 1;
        }
        let mut conflicts: BTreeMap<String, u64> = BTreeMap::new();
        for name in self.conflicts() {
            *conflicts.entry(name).or_default() += 1;
        }
        let folded = self.damaged().into_iter().map(|(damage, count)| (damage.reason().to_owned(), count));
        let full = [("full".to_owned(), self.faults())];
        [
            Computed::about(
                "gauge",
                [
                    "ferrometer_segments",
                    "Processes that record into the shared directory; the dead are folded soon",
                    "state",
                ],
                states,
            ),
            Computed::about("gauge", UNREADABLE, reasons),
            Computed::about(
                "counter",
                [
                    "ferrometer_segments_damaged",
                    "Dead processes' files that could not be read wholly when their totals were taken over",
                    "reason",
                ],
                folded,
            ),
            Computed::about(
                "gauge",
                [
                    "ferrometer_segment_conflicts",
                    "Processes whose family of this name is left out, because others define it otherwise",
                    "source",
                ],
                conflicts,
            ),
            Computed::about(
                "counter",
                [
                    "ferrometer_segment_records_lost",
                    "Series that only their own process sees, because its file had no room for them",
                    "reason",
                ],
                full,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
