"""Collectors to order, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from ferrometer import CollectorRegistry, Gauge
from ferrometer.background.collector import Scope, Stale
from ferrometer.collectors import Collector


def until(ready: Callable[[], bool], *, seconds: float = 10.0, what: str = "it") -> None:
    """Polls; the test fails when it has not come true in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.005)


async def until_async(ready: Callable[[], bool], *, seconds: float = 10.0, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        await asyncio.sleep(0.005)


def own_threads() -> list[threading.Thread]:
    """The threads that the frame started and that still run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("ferrometer-collector")]


class Counting(Collector):
    """Counts its runs into two gauges; `act` is what else happens in one."""

    def __init__(
        self,
        registry: CollectorRegistry,
        act: Callable[[], None] = lambda: None,
        *,
        name: str = "counting",
        interval: float = 0.02,
        timeout: float = 5.0,
        stale: Stale = "drop",
        scope: Scope = "process",
    ) -> None:
        self.name, self.interval, self.timeout, self.stale, self.scope = name, interval, timeout, stale, scope
        self.plain = Gauge(f"{name}_things", "Runs", registry=registry)
        self.labelled = Gauge(f"{name}_labelled_things", "Runs", ["kind"], registry=registry)
        self.runs = 0
        self.act = act

    def collect(self) -> None:
        self.runs += 1
        self.act()
        self.plain.set(self.runs)
        self.labelled.labels("a").set(self.runs)


class Switch:
    """Raises, or not, as it is set."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def __call__(self) -> None:
        if self.error is not None:
            raise self.error
