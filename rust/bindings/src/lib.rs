//! The Python face of `ferrometer-core`: one file per class, `raw.rs` for the calls that must be fast.
//!
//! | class or function | file |
//! |---|---|
//! | `Metric` and its kinds: definition, series, cold methods | `metric.rs` |
//! | `inc`, `dec`, `set`, `observe`, `labels`: raw method slots | `raw.rs` |
//! | which child belongs to these label objects | `label_cache.rs` |
//! | `Registry`: names, text exposition | `registry.rs` |
//! | samples for `collect()` | `samples.rs` |
//! | `HttpMetrics`: the HTTP families, routes, totals | `http_metrics.rs` |
//! | `MetricsMiddleware`: the native ASGI middleware, raw types | `middleware/` |

#![allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "CPython counts in signed words; none of those passed here is negative or near their end"
)]

mod gil;
mod http_metrics;
mod label_cache;
mod metric;
mod middleware;
mod raw;
mod registry;
mod samples;

use pyo3::prelude::*;

/// Native parts of ferrometer. Import from `ferrometer`, not from here.
#[pymodule(gil_used = true)]
mod _core {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::http_metrics::HttpMetrics;
    #[pymodule_export]
    use super::metric::{Counter, Enum, Gauge, Histogram, Info, Metric, Summary};
    #[pymodule_export]
    use super::raw::own_methods;
    #[pymodule_export]
    use super::registry::{export_created, exports_created, Registry};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        ferrometer_core::fork::install();
        super::raw::install(module.py())?;
        super::middleware::install(module)
    }
}
