//! The levels: how often each takes the registry, how long it keeps it, how finely.

/// One level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// From one sample to the next.
    pub step_ms: i64,
    /// How long a sample is kept.
    pub keep_ms: i64,
    /// So many ticks make a block, which is kept or dropped as a whole.
    pub block_ticks: u32,
    /// The schema of the bins; none for a level without them.
    pub schema: Option<i8>,
    /// From one sample of the bins to the next.
    pub bins_step_ms: i64,
    /// Whether it is for marked series alone.
    pub marked_only: bool,
}

/// What to keep, and in how many bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// From fine to coarse.
    pub levels: Vec<Level>,
    /// The most bytes of all samples together.
    pub budget: usize,
    /// The names of marked series begin with one of these.
    pub marks: Vec<String>,
}

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The index of the level for marked series.
pub const LONG: usize = 3;

impl Default for Plan {
    fn default() -> Self {
        Plan::new([5 * MINUTE, HOUR, DAY, 35 * DAY], 32 << 20)
    }
}

impl Plan {
    /// The plan with these times to keep, in ms, of samples every second, every 10 seconds, every minute, and every 5
    /// minutes of the marked series.
    pub fn new(keep_ms: [i64; 4], budget: usize) -> Self {
        let [second, ten, minute, long] = keep_ms;
        let level = |step_ms: i64, keep_ms: i64, schema, bins_step_ms| {
            // A block is dropped as a whole, and its names are in each: neither many nor large ones.
            let block_ticks = u32::try_from((keep_ms / 5 / step_ms).clamp(12, 60)).unwrap_or(60);
            Level { step_ms, keep_ms, block_ticks, schema, bins_step_ms, marked_only: false }
        };
        let long = Level { block_ticks: 288, marked_only: true, ..level(5 * MINUTE, long, None, 5 * MINUTE) };
        Plan {
            levels: vec![
                level(SECOND, second, Some(7), SECOND),
                level(10 * SECOND, ten, Some(4), 10 * SECOND),
                level(MINUTE, minute, Some(3), 5 * MINUTE),
                long,
            ],
            budget,
            marks: vec!["slo:".into()],
        }
    }

    /// Whether a series of this name is for the level of marked ones.
    pub fn is_marked(&self, name: &str) -> bool {
        self.marks.iter().any(|mark| name.starts_with(&**mark))
    }
}
