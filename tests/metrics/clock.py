"""A clock that moves only when told, in the place of the one that timers read, and what is watched by it."""

from __future__ import annotations

from typing import Any

import pytest

from ferrometer import Counter, Gauge, Histogram, Summary
from ferrometer.metrics import timers as timing


class Clock:
    """Seconds, and how often somebody looked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.reads = 0
        monkeypatch.setattr(timing, "perf_counter", self._read)

    def _read(self) -> float:
        self.reads += 1
        return self.now

    def pass_(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds


class Watched:
    """A histogram, a gauge and a counter, and a decorator that uses all three."""

    def __init__(self, seconds: Histogram, busy: Gauge, failed: Counter) -> None:
        self.seconds, self.busy, self.failed = seconds, busy, failed

    def __call__(self, function: Any) -> Any:
        return self.seconds.time()(self.busy.track_inprogress()(self.failed.count_exceptions()(function)))

    def now(self) -> tuple[int, float, float]:
        """How many were timed, are running, have failed."""
        return recorded(self.seconds)[0], self.busy._value.get(), self.failed._value.get()


def recorded(metric: Histogram | Summary) -> tuple[int, float]:
    """Count and sum."""
    return metric._statistics()[:2]
