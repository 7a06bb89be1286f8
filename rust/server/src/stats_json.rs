//! The numbers of the JSON endpoints, called as `ferrometer.stats.service` calls them.

use crate::health::Status;
use crate::lookup::{value, Lookup};
use crate::requests::Requests;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Every number, once. What nobody has told is zero.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[expect(
    missing_docs,
    reason = "the fields are the keys of the JSON, and `ferrometer.stats.service` says what they mean"
)]
pub struct Numbers {
    pub uptime_seconds: f64,
    pub status: Status,
    pub requests: Requests,
    pub gpu_instances_active: f64,
    pub gpu_cost_total: f64,
    pub gpu_requests: f64,
    pub gpu_requests_failed: f64,
    pub db_connections_active: f64,
    pub db_connections_idle: f64,
    pub db_queries: f64,
    pub db_errors: f64,
    pub cache_hits: f64,
    pub cache_misses: f64,
    pub goroutines: f64,
    pub memory_heap_alloc_mb: f64,
    pub gc: f64,
}

impl Numbers {
    /// Takes what is not about requests from metrics whose names are these behind a prefix.
    pub fn read(&mut self, prefix: &str, look: Lookup<'_>) {
        for (name, place) in [
            ("gpu_instances_active", &mut self.gpu_instances_active),
            ("gpu_cost", &mut self.gpu_cost_total),
            ("gpu_requests", &mut self.gpu_requests),
            ("gpu_requests_failed", &mut self.gpu_requests_failed),
            ("db_connections_active", &mut self.db_connections_active),
            ("db_connections_idle", &mut self.db_connections_idle),
            ("db_queries", &mut self.db_queries),
            ("db_errors", &mut self.db_errors),
            ("cache_hits", &mut self.cache_hits),
            ("cache_misses", &mut self.cache_misses),
            ("goroutines", &mut self.goroutines),
            ("memory_heap_alloc_mb", &mut self.memory_heap_alloc_mb),
            ("gc", &mut self.gc),
        ] {
            let value = value(look, &format!("{prefix}{name}"));
            *place = if value.is_finite() { value } else { 0.0 }; // JSON carries neither NaN nor infinity
        }
    }

    fn hit_rate(&self) -> f64 {
        let lookups = self.cache_hits + self.cache_misses;
        if lookups == 0.0 {
            return f64::NAN;
        }
        100.0 * self.cache_hits / lookups
    }

    /// The body of `/stats`.
    pub fn stats(&self) -> String {
        let [active, idle, queries, errors] =
            [self.db_connections_active, self.db_connections_idle, self.db_queries, self.db_errors].map(whole);
        let mut json = format!("{{\"uptime_seconds\":{},", whole(self.uptime_seconds));
        self.requests_and_gpu(&mut json);
        let _ = write!(
            json,
            ",\"database\":{{\"connections_active\":{active},\"connections_idle\":{idle},\
             \"queries_total\":{queries},\"errors\":{errors}}},\
             \"cache\":{{\"hits\":{},\"misses\":{},\"hit_rate\":{}}},\
             \"system\":{{\"goroutines\":{},\"heap_alloc_mb\":{},\"gc_runs\":{}}}}}",
            whole(self.cache_hits),
            whole(self.cache_misses),
            number(self.hit_rate()),
            whole(self.goroutines),
            whole(self.memory_heap_alloc_mb),
            whole(self.gc),
        );
        json
    }

    /// The body of `/polling`. `health` are members of the object with a comma behind each: [`Numbers::status`], or
    /// what the application knows.
    pub fn polling(&self, timestamp: &str, health: &str) -> String {
        format!(
            "{{\"timestamp\":\"{timestamp}\",{health}\"metrics\":{{\"requests_in_flight\":{},\"active_gpu_instances\":{},\
             \"db_connections_active\":{},\"cache_hit_rate\":{}}}}}",
            self.requests.in_flight,
            whole(self.gpu_instances_active),
            whole(self.db_connections_active),
            number(self.hit_rate()),
        )
    }

    /// The body of `/monitor`, likewise.
    pub fn monitor(&self, timestamp: &str, health: &str) -> String {
        let mut json = format!("{{\"timestamp\":\"{timestamp}\",{health}\"metrics\":{{");
        self.requests_and_gpu(&mut json);
        let [active, idle, queries, errors] =
            [self.db_connections_active, self.db_connections_idle, self.db_queries, self.db_errors].map(whole);
        let _ = write!(
            json,
            ",\"database\":{{\"connections_active\":{active},\"connections_idle\":{idle},\
             \"queries_total\":{queries},\"errors\":{errors}}}}}}}"
        );
        json
    }

    fn requests_and_gpu(&self, json: &mut String) {
        let Requests { total, failed, in_flight, success_rate, milliseconds, .. } = self.requests;
        let [p50, p95, p99, avg] = milliseconds.map(number);
        let success_rate = number(success_rate);
        let _ = write!(
            json,
            "\"requests\":{{\"total\":{total},\"failed\":{failed},\"in_flight\":{in_flight},\
             \"success_rate\":{success_rate},\
             \"duration\":{{\"p50_ms\":{p50},\"p95_ms\":{p95},\"p99_ms\":{p99},\"avg_ms\":{avg}}}}},\
             \"gpu\":{{\"active_instances\":{},\"total_cost_usd\":{:?},\"requests_total\":{},\"requests_failed\":{}}}",
            whole(self.gpu_instances_active),
            self.gpu_cost_total,
            whole(self.gpu_requests),
            whole(self.gpu_requests_failed),
        );
    }
}

/// A number that is not known is `null`.
pub(crate) fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value:?}")
    } else {
        "null".into()
    }
}

/// As Python's `int` of a finite number; beyond 2^127 it matters to nobody.
fn whole(value: f64) -> i128 {
    value as i128
}

/// This second, as [`timestamp`] tells it.
pub fn now() -> String {
    timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Seconds since 1970 in UTC: `2026-01-13T12:34:56Z`.
pub fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is the last one; cycles of 400 years from 0000-03-01.
    let shifted = days + 719_468;
    let (cycle, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = cycle * 400 + year + later;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrometer_core::family::{Definition, Kind};
    use ferrometer_core::mode::Mode;
    use ferrometer_core::registry::Registry;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_768_307_696, "2026-01-13T12:34:56Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn numbers_that_json_cannot_carry_are_zero() {
        let registry = Registry::new();
        for (name, value) in [
            ("x_cache_hits", 3.0),
            ("x_cache_misses", 1.0),
            ("x_memory_heap_alloc_mb", f64::NAN),
            ("x_goroutines", f64::INFINITY),
            ("x_db_connections_idle", -2.7),
            ("gpu_instances_active", 9.0),
        ] {
            gauge(&registry, name, value);
        }
        let mut numbers = Numbers::default();
        numbers.read("x_", &|name, read| registry.find(name).iter().for_each(|family| read(&**family)));
        let polling =
            "{\"timestamp\":\"t\",\"status\":\"ok\",\"metrics\":{\"requests_in_flight\":0,\"active_gpu_instances\":0,\
            \"db_connections_active\":0,\"cache_hit_rate\":75.0}}";
        assert_eq!(numbers.polling("t", "\"status\":\"ok\","), polling);
        let stats = numbers.stats();
        assert!(stats.contains("\"goroutines\":0,\"heap_alloc_mb\":0,"), "{stats}");
        assert!(stats.contains("\"connections_idle\":-2,"), "{stats}");
    }

    fn gauge(registry: &Registry, name: &str, value: f64) {
        let definition = Definition {
            name: name.into(),
            help: "Help".into(),
            unit: String::new(),
            kind: Kind::Gauge(Mode::default()),
            labels: Vec::new(),
            max_series: 10,
        };
        registry.family(definition).unwrap().series(&[]).unwrap().gauge().set(value);
    }
}
