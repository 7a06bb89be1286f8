"""How long the garbage collector stops the process, seen from its own callbacks.

A callback runs wherever an allocation happens to start a collection: within a lock, within a metric's
own code. So it takes no lock and makes no object that the collector tracks. It reads a clock and
records into cells that were chosen beforehand; the record is native, runs no Python, and cannot be
interrupted by a second collection.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from time import perf_counter

from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Histogram

GENERATIONS = ("0", "1", "2")

BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds: a young collection takes tens of microseconds, a full one of a large heap a second."""


class GcPauses:
    """``python_gc_pause_seconds{generation}``, recorded from ``start()`` to ``stop()``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pauses: Histogram = Histogram(
            "python_gc_pause_seconds",
            "Time that the garbage collector stopped the process",
            ["generation"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._listener = _listener(registry, self.pauses)
        self._forgotten: weakref.finalize[[], GcPauses] | None = None

    def start(self) -> None:
        """Listen; a second call does nothing."""
        if self._forgotten is None:
            self._listener.join()
            self._forgotten = weakref.finalize(self, self._listener.leave)
            self._forgotten.atexit = False

    def stop(self) -> None:
        """Listen no more."""
        if self._forgotten is not None:
            self._forgotten()
            self._forgotten = None


class _Listener:
    """The one callback of a registry: two applications in a process must not count a pause twice."""

    def __init__(self, pauses: Histogram) -> None:
        for generation in GENERATIONS:
            pauses.labels(generation)  # shown from now on
        self.callback = _recorder(pauses)
        self._users = 0

    def join(self) -> None:
        self._users += 1
        if self._users == 1:
            gc.callbacks.append(self.callback)

    def leave(self) -> None:
        self._users -= 1
        if self._users == 0:
            gc.callbacks.remove(self.callback)


def _listener(registry: CollectorRegistry, pauses: Histogram) -> _Listener:
    listener = _LISTENERS.get(registry)
    if listener is None:
        listener = _LISTENERS[registry] = _Listener(pauses)
    return listener


_LISTENERS: weakref.WeakKeyDictionary[CollectorRegistry, _Listener] = weakref.WeakKeyDictionary()


def _recorder(pauses: Histogram) -> Callable[[str, dict[str, int]], None]:
    labels = pauses.labels  # asked each time: somebody may have removed the series meanwhile
    began = 0.0  # one is enough: collections never nest

    def callback(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = perf_counter()
        elif began:
            labels(GENERATIONS[info["generation"]]).observe(perf_counter() - began)
            began = 0.0

    return callback
