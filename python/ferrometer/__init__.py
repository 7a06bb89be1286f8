"""Everything measured, nothing noticed: observability for Python services under load.

The metric classes are here at once; everything else is imported when it is first asked for, so that
``import ferrometer`` costs a few milliseconds.
"""

from __future__ import annotations

from ._core import __version__
from .exposition import CONTENT_TYPE_LATEST, CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from .metrics import Counter, Enum, Gauge, Histogram, Info, Summary
from .registry import REGISTRY, CollectorRegistry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .collectors import Collector, CollectorScheduler
    from .collectors.caches import track_cache
    from .collectors.queues import track_queue
    from .endpoints import observability_app
    from .health import HealthChecks
    from .instrumentation import Observability, instrument
    from .middleware import HttpMetrics, MetricsMiddleware
    from .request_id import get_request_id, request_id_var
    from .stats import ServiceStats

_LAZY: dict[str, str] = {
    "Collector": "collectors",
    "CollectorScheduler": "collectors",
    "track_cache": "collectors.caches",
    "track_queue": "collectors.queues",
    "HttpMetrics": "middleware",
    "MetricsMiddleware": "middleware",
    "get_request_id": "request_id",
    "request_id_var": "request_id",
    "HealthChecks": "health",
    "ServiceStats": "stats",
    "observability_app": "endpoints",
    # Not a module called `instrument`: importing it would put itself where the function belongs.
    "Observability": "instrumentation",
    "instrument": "instrumentation",
}

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "REGISTRY",
    "Collector",
    "CollectorRegistry",
    "CollectorScheduler",
    "Counter",
    "Enum",
    "Gauge",
    "HealthChecks",
    "Histogram",
    "HttpMetrics",
    "Info",
    "MetricsMiddleware",
    "Observability",
    "ServiceStats",
    "Summary",
    "__version__",
    "generate_latest",
    "get_request_id",
    "instrument",
    "observability_app",
    "request_id_var",
    "track_cache",
    "track_queue",
]


def __getattr__(name: str) -> object:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'ferrometer' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"ferrometer.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
