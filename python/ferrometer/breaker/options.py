"""The keywords of a breaker's settings, for type checkers."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypedDict


class BreakerOptions(TypedDict, total=False):
    """The fields of :class:`ferrometer.breaker.settings.BreakerSettings`, which says what they mean."""

    consecutive_failures: int
    failure_rate: float | None
    slow_rate: float | None
    slow_seconds: float
    window: float
    minimum_calls: int
    open_seconds: float
    longest_open_seconds: float
    backoff: float
    jitter: float
    trials: int
    trials_needed: int
    trial_seconds: float
    opens_last: bool
    callers_key: bool
    caller_statuses: Collection[int]
