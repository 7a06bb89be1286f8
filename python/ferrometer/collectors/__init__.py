"""Collectors: metrics that nobody increments by hand, read in the background."""

from ferrometer.background.collector import (
    CollectError,
    Collector,
    FunctionCollector,
    UnavailableError,
    set_total,
)
from ferrometer.background.runner import CollectorStatus
from ferrometer.background.scheduler import CollectorScheduler

__all__ = [
    "CollectError",
    "Collector",
    "CollectorScheduler",
    "CollectorStatus",
    "FunctionCollector",
    "UnavailableError",
    "set_total",
]
