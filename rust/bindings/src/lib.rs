//! The Python face of `ferrometer-core`: one file per class, `hot/` for the calls that must be fast.
//!
//! | class or function | file |
//! |---|---|
//! | `Metric` and its kinds: definition, series, cold methods | `metric/` |
//! | `inc`, `dec`, `set`, `observe`, `labels`: raw method slots | `hot/` |
//! | which child belongs to these label objects | `label_cache.rs` |
//! | `Registry`: names, text exposition | `registry.rs` |
//! | how far a histogram is from a baseline | `drift.rs` |
//! | a large buffer as `bytes` | `handover.rs` |
//! | loggers, and a reader of what they logged | `logs/` |
//! | the shippers of log lines and spans | `shipping.rs` |
//! | spans, the request's own too, and what is said of them between services | `traces/` |
//! | `Responder`, `Access`: what the application's endpoints answer, and whom | `responder.rs` |
//! | `MetricsServer`: a port of its own, without the GIL | `server.rs` |
//! | `History`: what is remembered, and the API over it | `history.rs` |
//! | state that all workers share: circuit breakers | `state/` |
//! | what lies in a directory of segments | `inspect.rs` |
//! | bodies of remote write requests | `remote_write.rs` |
//! | samples for `collect()` | `samples.rs` |
//! | a value that the first use makes | `once.rs` |
//! | a thread that is ended with the interpreter | `thread_exit.rs` |
//! | `HttpMetrics`: the HTTP families, routes, totals | `http_metrics.rs` |
//! | `MetricsMiddleware`: the native ASGI middleware, raw types | `middleware/` |

#![allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "CPython counts in signed words; none of those passed here is negative or near their end"
)]

mod drift;
mod gil;
mod handover;
#[cfg(target_os = "linux")]
mod history;
mod hot;
mod http_metrics;
#[cfg(target_os = "linux")]
mod inspect;
mod label_cache;
#[cfg(target_os = "linux")]
mod logs;
mod metric;
mod middleware;
mod once;
mod page;
mod registry;
mod remote_write;
mod responder;
mod rule_store;
mod samples;
mod server;
mod sharing;
#[cfg(target_os = "linux")]
mod shipping;
#[cfg(target_os = "linux")]
mod state;
mod thread_exit;
#[cfg(target_os = "linux")]
mod traces;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Native parts of ferrometer. Import from `ferrometer`, not from here.
#[pymodule(gil_used = true)]
mod _core {
    use super::{main_interpreter_only, Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::drift::HistogramBins;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::history::History;
    #[pymodule_export]
    use super::hot::instrument::{CountInstrument, Instrument, RecordInstrument, SetInstrument};
    #[pymodule_export]
    use super::hot::methods::own_methods;
    #[pymodule_export]
    use super::http_metrics::HttpMetrics;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::inspect::inspect_directory;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::context::LogContext;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::direct::log_directly;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::event::{
        log_event, log_failures, log_level, log_lines_wait, log_requests, set_log_level, share_log_level,
    };
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::logger::Logger;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::reader::LogReader;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::recent::{answer_logs, log_route};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::record::log_record;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::sampling::sample_logs;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::logs::style::{configure_logs, log_format_keys, log_redactions};
    #[pymodule_export]
    use super::metric::kinds::{Counter, Enum, Gauge, Histogram, Info, Summary};
    #[pymodule_export]
    use super::metric::state::Metric;
    #[pymodule_export]
    use super::page::LivePage;
    #[pymodule_export]
    use super::registry::{export_created, exports_created, protobuf_family, Registry};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::shipping::{
        append_log_line, append_metrics, flush_records, record_counts, register_record_metrics, start_shipping,
        stop_shipping, DirectoryShipper,
    };

    #[pymodule_export]
    use super::remote_write::{write_further_requests, write_requests};
    #[pymodule_export]
    use super::responder::{choose_format, models_stats, Access, NativeRoute, Responder};
    #[pymodule_export]
    use super::rule_store::{check_expression, SampleStore};
    #[pymodule_export]
    use super::server::MetricsServer;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::sharing::fold_dead;
    #[pymodule_export]
    use super::sharing::{living, read_directory, share, shared_directory, shared_values, sharing_failure};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::breaker::Breaker;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::breaker_metrics::{change_breaker, list_breakers, register_breaker_metrics};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::breaker_route::breaker_route;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::call::BreakerCall;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::dashboard::dashboard_route;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::distinct::{register_distinct_metrics, DistinctSubjects};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::job_metrics::{register_job_metrics, running_jobs};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::jobs::{JobRun, JobType};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::providers::{
        configure_providers, list_providers, record_provider_call, register_provider_metrics,
    };
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::state::tables::{breakers_shared, providers_shared, state_troubles};

    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::traces::finished::client_span;
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::traces::made::{span_elsewhere, start_span};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::traces::propagation::{parse_baggage, parse_traceparent, trace_headers};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::traces::span::{current_span, Span};
    #[cfg(target_os = "linux")]
    #[pymodule_export]
    use super::traces::tracer::{configure_traces, has_traces, stop_traces};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        main_interpreter_only()?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("MAX_SERIES", ferrometer_core::family::MAX_SERIES)?;
        module.add("STUCK_SECONDS", super::server::STUCK_SECONDS)?;
        ferrometer_core::fork::install();
        super::hot::install(module.py())?;
        super::middleware::install(module)?;
        #[cfg(target_os = "linux")]
        {
            super::state::distinct::install(module.py())?;
            super::state::raw_calls::install(module.py())?;
            super::logs::logger::install(module.py())?;
            super::logs::context::install(module)?;
            super::traces::current::install(module)?;
            super::traces::propagation::install(module)?;
            super::traces::made::install(module)?;
        }
        Ok(())
    }
}

/// Classes and caches are those of one interpreter, and so are the objects in them.
fn main_interpreter_only() -> PyResult<()> {
    // SAFETY: the GIL is held: a module is being imported.
    if unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) } == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "ferrometer works in the main interpreter and in no subinterpreter. Under mod_wsgi: \
         WSGIApplicationGroup %{GLOBAL}",
    ))
}
