//! How the values that several processes gave one gauge become what is shown.

/// The mode of a gauge, named as `prometheus_client` names its `multiprocess_mode`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One series per process, told apart by the label `pid`.
    #[default]
    All,
    /// The same of living processes only.
    LiveAll,
    /// The sum.
    Sum,
    /// The sum over living processes.
    LiveSum,
    /// The smallest.
    Min,
    /// The smallest of living processes.
    LiveMin,
    /// The largest.
    Max,
    /// The largest of living processes.
    LiveMax,
    /// The one that was set last.
    MostRecent,
    /// The one that a living process set last.
    LiveMostRecent,
}

impl Mode {
    /// Every mode, by its code.
    pub const EVERY: [Mode; 10] = [
        Mode::All,
        Mode::LiveAll,
        Mode::Sum,
        Mode::LiveSum,
        Mode::Min,
        Mode::LiveMin,
        Mode::Max,
        Mode::LiveMax,
        Mode::MostRecent,
        Mode::LiveMostRecent,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Mode::All => "all",
            Mode::LiveAll => "liveall",
            Mode::Sum => "sum",
            Mode::LiveSum => "livesum",
            Mode::Min => "min",
            Mode::LiveMin => "livemin",
            Mode::Max => "max",
            Mode::LiveMax => "livemax",
            Mode::MostRecent => "mostrecent",
            Mode::LiveMostRecent => "livemostrecent",
        }
    }

    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|mode| mode.name() == name)
    }

    /// Its code in a segment file.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The mode of this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::EVERY.get(usize::from(code)).copied()
    }

    /// Whether the values of dead processes are left out.
    pub fn is_live(self) -> bool {
        self.code() % 2 == 1
    }

    /// Whether every process has a series of its own.
    pub fn is_per_process(self) -> bool {
        matches!(self, Mode::All | Mode::LiveAll)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_lead_back() {
        for (code, mode) in (0u8..).zip(Mode::EVERY) {
            assert_eq!((Mode::from_name(mode.name()), Mode::from_code(code)), (Some(mode), Some(mode)));
            assert_eq!((mode.code(), mode.is_live()), (code, mode.name().starts_with("live")));
            assert_eq!(mode.is_per_process(), mode.name().ends_with("all"));
        }
        assert_eq!((Mode::from_code(10), Mode::from_name("most")), (None, None));
    }
}
