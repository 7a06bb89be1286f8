"""Collectors: metrics that nobody increments by hand, read in the background."""

from ferrometer.collectors.base import CollectError, Collector, FunctionCollector, UnavailableError, set_total
from ferrometer.collectors.scheduler import CollectorScheduler
from ferrometer.collectors.watch import CollectorStatus

__all__ = [
    "CollectError",
    "Collector",
    "CollectorScheduler",
    "CollectorStatus",
    "FunctionCollector",
    "UnavailableError",
    "set_total",
]
