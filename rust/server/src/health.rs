//! The health as the application's workers last found it: the gauges that `ferrometer.health.shared` sets.

use crate::lookup::Lookup;
use ferrometer_core::family::Kind;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// For so many seconds a result still says something: three rounds of the checks.
const KNOWN_FOR: f64 = 90.0;

/// The worst of what the checks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Nothing is wrong, or nothing is known.
    #[default]
    Ok,
    /// A component is missing without which the service stays up.
    Degraded,
    /// A critical component is missing.
    Unhealthy,
}

impl Status {
    /// As the JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Degraded => "degraded",
            Status::Unhealthy => "unhealthy",
        }
    }

    /// Reads it.
    pub fn read(look: Lookup<'_>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let times = by_check(look, "ferrometer_health_check_timestamp_seconds");
        let critical = by_check(look, "ferrometer_health_check_critical");
        let mut status = Status::Ok;
        for (check, healthy) in by_check(look, "ferrometer_health_check") {
            let is_known = times.get(&check).is_some_and(|time| now - time < KNOWN_FOR);
            if is_known && healthy == 0.0 {
                if critical.get(&check) != Some(&0.0) {
                    return Status::Unhealthy;
                }
                status = Status::Degraded;
            }
        }
        status
    }
}

/// The values of a gauge by the text of its labels.
fn by_check(look: Lookup<'_>, name: &str) -> HashMap<Vec<u8>, f64> {
    let mut found = HashMap::new();
    look(name, &mut |family| {
        if family.definition().name == name && matches!(family.definition().kind, Kind::Gauge(_)) {
            family.for_each(&mut |series| {
                found.insert(series.text().to_vec(), series.gauge());
            });
        }
    });
    found
}
