"""Counter, Gauge, Histogram, Summary, Info, Enum: prometheus_client's names over native cells."""

from __future__ import annotations

from ferrometer.metrics import types
from ferrometer.metrics.base import MAX_SERIES, MetricWrapperBase
from ferrometer.metrics.created_flag import from_environment as _get_use_created
from ferrometer.metrics.created_flag import switch as _switch
from ferrometer.metrics.created_flag import watch as _watch
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

__all__ = [
    "MAX_SERIES",
    "Counter",
    "Enum",
    "Gauge",
    "Histogram",
    "Info",
    "MetricWrapperBase",
    "Summary",
    "disable_created_metrics",
    "enable_created_metrics",
]

# Messages, pickles and tracebacks name the path that programs import.
for _metric_type in (Counter, Enum, Gauge, Histogram, Info, Summary):
    _metric_type.__module__ = __name__
del _metric_type

TYPE_CHECKING = False
if not TYPE_CHECKING:

    def __getattr__(name):
        """Names of prometheus_client.metrics that nobody should need, for those who do."""
        return getattr(types, name)


#: prometheus_client's flag, read at every scrape: whether ``_created`` is shown.
_use_created = _get_use_created()
_watch(__name__, _use_created)
_switch(_use_created)
