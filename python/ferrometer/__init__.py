"""Everything measured, nothing noticed: observability for Python services under load.

The metric classes are here at once; everything else is imported when it is first asked for, so that
``import ferrometer`` costs a few milliseconds.
"""

from __future__ import annotations

import os as _os
import sys as _sys

from ferrometer._core import __version__
from ferrometer._prometheus_client import ALIASES as _ALIASES
from ferrometer._prometheus_client import install as _install
from ferrometer.exposition.formats import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    generate_latest,
)
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import (
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    disable_created_metrics,
    enable_created_metrics,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prometheus_client import (
        GC_COLLECTOR,
        PLATFORM_COLLECTOR,
        PROCESS_COLLECTOR,
        GCCollector,
        Metric,
        MetricsHandler,
        PlatformCollector,
        ProcessCollector,
        delete_from_gateway,
        instance_ip_grouping_key,
        make_asgi_app,
        make_wsgi_app,
        push_to_gateway,
        pushadd_to_gateway,
        start_http_server,
        start_wsgi_server,
        write_to_textfile,
    )

    from ferrometer.active_users import ActiveUsers
    from ferrometer.active_users.feature import CountActiveUsers
    from ferrometer.alerts import Alerts
    from ferrometer.breaker import CircuitBreaker, CircuitOpenError
    from ferrometer.breaker.feature import Breakers
    from ferrometer.collectors import Collector, CollectorScheduler
    from ferrometer.collectors.app.caches import track_cache
    from ferrometer.collectors.app.published import publish
    from ferrometer.collectors.app.queues import track_queue
    from ferrometer.drop_in.accelerate import accelerate, deaccelerate
    from ferrometer.endpoints import observability_app
    from ferrometer.endpoints.own_port import MetricsServer, serve_metrics
    from ferrometer.export.feature import Export
    from ferrometer.health.checks import HealthChecks
    from ferrometer.history import History
    from ferrometer.history.values import query
    from ferrometer.http.middleware import HttpMetrics, MetricsMiddleware
    from ferrometer.http.request_id import get_request_id, request_id_var
    from ferrometer.instrumentation import Observability, instrument
    from ferrometer.instruments.feature import Instruments
    from ferrometer.jobs import job
    from ferrometer.jobs.feature import Jobs
    from ferrometer.live import Page
    from ferrometer.logs import get_logger, get_structured_logger, propagate
    from ferrometer.logs.feature import Logs
    from ferrometer.providers.feature import Providers
    from ferrometer.sharing.share import share
    from ferrometer.slo import Objective, Objectives
    from ferrometer.stats.service import ServiceStats
    from ferrometer.tracing import span
    from ferrometer.tracing.feature import Traces

_LAZY: dict[str, str] = {
    "Alerts": "alerts",
    "accelerate": "drop_in.accelerate",
    "deaccelerate": "drop_in.accelerate",
    "Collector": "collectors",
    "CollectorScheduler": "collectors",
    "ActiveUsers": "active_users",
    "Breakers": "breaker.feature",
    "CountActiveUsers": "active_users.feature",
    "CircuitBreaker": "breaker",
    "CircuitOpenError": "breaker",
    "publish": "collectors.app.published",
    "track_cache": "collectors.app.caches",
    "track_queue": "collectors.app.queues",
    "HttpMetrics": "http.middleware",
    "MetricsMiddleware": "http.middleware",
    "get_request_id": "http.request_id",
    "request_id_var": "http.request_id",
    "MetricsServer": "endpoints.own_port",
    "serve_metrics": "endpoints.own_port",
    "Logs": "logs.feature",
    "Export": "export.feature",
    "Traces": "tracing.feature",
    "span": "tracing",
    "get_logger": "logs",
    "get_structured_logger": "logs",
    "propagate": "logs",
    "share": "sharing",
    "HealthChecks": "health",
    "History": "history",
    "Instruments": "instruments.feature",
    "Objective": "slo",
    "Objectives": "slo",
    "Jobs": "jobs.feature",
    "job": "jobs",
    "Page": "live",
    "Providers": "providers.feature",
    "query": "history",
    "ServiceStats": "stats",
    "observability_app": "endpoints",
    # Not a module called `instrument`: importing it would put itself where the function belongs.
    "Observability": "instrumentation",
    "instrument": "instrumentation",
    # prometheus_client's, over our registries.
    "GC_COLLECTOR": "gc_collector",
    "GCCollector": "gc_collector",
    "PLATFORM_COLLECTOR": "platform_collector",
    "PlatformCollector": "platform_collector",
    "PROCESS_COLLECTOR": "process_collector",
    "ProcessCollector": "process_collector",
    "Metric": "metrics_core",
    "MetricsHandler": "exposition",
    "delete_from_gateway": "exposition",
    "instance_ip_grouping_key": "exposition",
    "make_asgi_app": "exposition",
    "make_wsgi_app": "exposition",
    "push_to_gateway": "exposition",
    "pushadd_to_gateway": "exposition",
    "start_http_server": "exposition",
    "start_wsgi_server": "exposition",
    "write_to_textfile": "exposition",
}

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "GC_COLLECTOR",
    "PLATFORM_COLLECTOR",
    "PROCESS_COLLECTOR",
    "REGISTRY",
    "ActiveUsers",
    "Alerts",
    "Breakers",
    "CircuitBreaker",
    "CircuitOpenError",
    "Collector",
    "CollectorRegistry",
    "CollectorScheduler",
    "CountActiveUsers",
    "Counter",
    "Enum",
    "Export",
    "GCCollector",
    "Gauge",
    "HealthChecks",
    "Histogram",
    "History",
    "HttpMetrics",
    "Info",
    "Instruments",
    "Jobs",
    "Logs",
    "Metric",
    "MetricsHandler",
    "MetricsMiddleware",
    "MetricsServer",
    "Objective",
    "Objectives",
    "Observability",
    "Page",
    "PlatformCollector",
    "ProcessCollector",
    "Providers",
    "ServiceStats",
    "Summary",
    "Traces",
    "__version__",
    "accelerate",
    "deaccelerate",
    "delete_from_gateway",
    "disable_created_metrics",
    "enable_created_metrics",
    "generate_latest",
    "get_logger",
    "get_request_id",
    "get_structured_logger",
    "instance_ip_grouping_key",
    "instrument",
    "job",
    "make_asgi_app",
    "make_wsgi_app",
    "observability_app",
    "propagate",
    "publish",
    "push_to_gateway",
    "pushadd_to_gateway",
    "query",
    "request_id_var",
    "serve_metrics",
    "share",
    "span",
    "start_http_server",
    "start_wsgi_server",
    "track_cache",
    "track_queue",
    "write_to_textfile",
]


_install()
if (
    not {"FERROMETER_DIR", "PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"}.isdisjoint(_os.environ)
    or "--multiprocessing-fork" in _sys.orig_argv
):
    from ferrometer.sharing.share import by_inheritance as _by_inheritance

    _by_inheritance()


if not TYPE_CHECKING:  # a checker that sees it takes every misspelt name for a good one

    def __getattr__(name: str) -> object:
        import importlib

        module = _LAZY.get(name)
        if module is None and name in _ALIASES:
            return importlib.import_module(f"ferrometer.{name}")
        if module is None:
            # With these two, Python looks for a near match among the names below.
            raise AttributeError(
                f"module 'ferrometer' has no attribute {name!r}", name=name, obj=_sys.modules[__name__]
            )
        value = getattr(importlib.import_module(f"ferrometer.{module}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
