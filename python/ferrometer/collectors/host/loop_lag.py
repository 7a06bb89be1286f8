"""How late an event loop runs what is due: the time that somebody's blocking code stole from everybody."""

from __future__ import annotations

import asyncio
import time
import weakref

from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Gauge, Histogram
from ferrometer.stats.process import live_tasks

PERIOD = 0.25
"""Seconds from probe to probe while the loop has something to do."""

IDLE = 8
"""So many times longer it is at most where the loop has nothing to do: each probe without work doubles it."""

WORK = 0.005
"""Share of a processor that the loop's thread uses where it works; a server's own timer takes 0.001."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. asyncio's own timers are about a millisecond late."""


class LoopLag:
    """``asyncio_loop_lag_seconds``, ``asyncio_loop_unresponsive_seconds``, ``asyncio_tasks``.

    A timer on the loop says how late it was called. While the loop does not run at all, no timer says
    anything: that is what ``unresponsive`` is for, which another thread reads.
    """

    def __init__(self, registry: CollectorRegistry, period: float = PERIOD) -> None:
        self.lag: Histogram = Histogram(
            "asyncio_loop_lag_seconds",
            "How much later than due the event loop ran a timer",
            buckets=BUCKETS,
            registry=registry,
        )
        self.unresponsive: Gauge = Gauge(
            "asyncio_loop_unresponsive_seconds",
            "How long the event loop has not run what is due",
            registry=registry,
            multiprocess_mode="liveall",
        )
        self.tasks: Gauge = Gauge(
            "asyncio_tasks",
            "Live asyncio tasks of the event loop",
            registry=registry,
            multiprocess_mode="liveall",
        )
        self._period = period
        self._probe: _Probe | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Probe this loop, and no other one any more; from any thread."""
        if self._probe is not None and self._probe.loop() is loop:
            return
        self.stop()
        probe = self._probe = _Probe(loop, self.lag, self._period)
        loop.call_soon_threadsafe(probe.begin)

    def stop(self) -> None:
        """Probe no more; from any thread."""
        if self._probe is not None:
            self._probe.stop()
            self._probe = None

    def read(self) -> None:
        """Set the two gauges."""
        probe = self._probe
        loop = None if probe is None else probe.loop()
        self.tasks.set(live_tasks(loop))
        self.unresponsive.set(0.0 if probe is None or loop is None else probe.overdue(loop))


class _Probe:
    """The timer on one loop; the loop is not kept alive by it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lag: Histogram, period: float) -> None:
        self.loop = weakref.ref(loop)
        self._observe = lag.observe
        self._period = period
        self._wait = period
        self._worked = 0.0
        self._due = 0.0
        self._stopped = False

    def begin(self) -> None:
        loop = self.loop()
        if loop is not None and not self._stopped:
            self._due = loop.time() + self._next()
            loop.call_at(self._due, self._tick)

    def _next(self) -> float:
        """Seconds to the next probe: few while the loop works, more while it does not."""
        worked = time.thread_time()
        is_idle = worked - self._worked < WORK * self._wait
        self._worked = worked
        self._wait = min(self._wait * 2, self._period * IDLE) if is_idle else self._period
        return self._wait

    def _tick(self) -> None:
        loop = self.loop()
        if loop is None or self._stopped:
            return
        self._observe(max(0.0, loop.time() - self._due))
        self.begin()

    def overdue(self, loop: asyncio.AbstractEventLoop) -> float:
        """Seconds since it should have ticked; 0.0 when it is not due."""
        if loop.is_closed() or not self._due:
            return 0.0
        return max(0.0, loop.time() - self._due)

    def stop(self) -> None:
        self._stopped = True  # the pending timer sees it, and is the last one
