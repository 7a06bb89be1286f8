"""Everything measured, nothing noticed: observability for Python services under load.

The metric classes are here at once; everything else is imported when it is first asked for, so that
``import ferrometer`` costs a few milliseconds.
"""

from __future__ import annotations

from ._core import __version__
from .exposition import CONTENT_TYPE_LATEST, CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from .metrics import Counter, Enum, Gauge, Histogram, Info, Summary
from .registry import REGISTRY, CollectorRegistry

_LAZY: dict[str, str] = {
    "HttpMetrics": "middleware",
    "MetricsMiddleware": "middleware",
    "get_request_id": "request_id",
    "request_id_var": "request_id",
    "HealthChecks": "health",
    "ServiceStats": "stats",
    "observability_app": "endpoints",
    "Observability": "instrumentation",
    "instrument": "instrumentation",
}

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "REGISTRY",
    "CollectorRegistry",
    "Counter",
    "Enum",
    "Gauge",
    "Histogram",
    "Info",
    "Summary",
    "__version__",
    "generate_latest",
    *_LAZY,
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
