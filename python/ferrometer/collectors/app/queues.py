"""Queues: how many wait, and how long each one waited.

Depth and waiting time are kept by the queue itself: an ``asyncio.Queue`` or ``queue.Queue`` object is
given a subclass of its own class whose ``_put`` and ``_get`` count, so they are right at every moment.
Of any other object with ``qsize()``, the depth is read in the background.
"""

from __future__ import annotations

import asyncio
import queue as threaded
import threading
import weakref
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

from ferrometer.background.collector import Collector, Stale
from ferrometer.collectors.app.item_ages import WaitingLine, line_of
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Gauge, Histogram

_Q = TypeVar("_Q")

BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds."""


class _Names:
    """Depth and wait under one pair of names, for one queue's label."""

    def __init__(self, prefix: str, label: str, name: str, registry: CollectorRegistry) -> None:
        family = Gauge(
            f"{prefix}queue_depth",
            "Items that wait in the queue",
            [label],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.depth = family.labels(name)
        self._wait = (f"{prefix}queue_wait_seconds", label, name, registry)

    def wait(self) -> Histogram:
        """The waiting times: only of a queue that can tell them."""
        family, label, name, registry = self._wait
        documentation = "How long an item waited in the queue"
        histogram = Histogram(family, documentation, [label], buckets=BUCKETS, registry=registry)
        series: Histogram = histogram.labels(name)
        return series


class QueueCollector(Collector):
    """Reads the depth of those queues of ``track_queue()`` that do not keep it themselves."""

    name = "queues"
    stale: Stale = "keep"  # counts of this process, and never wrong

    def __init__(self, *, registry: CollectorRegistry = REGISTRY, interval: float = 10.0) -> None:
        self.interval = interval
        self._registry = registry

    def collect(self) -> None:
        """Read them; one that is no more leaves a depth of zero."""
        polled = _POLLED.get(self._registry, [])
        polled[:] = [queue for queue in polled if queue.read()]


def track_queue(
    name: str, queue: _Q, *, service: str | None = None, registry: CollectorRegistry = REGISTRY
) -> _Q:
    """Measure a queue as ``queue_depth{queue=name}`` and ``queue_wait_seconds{queue=name}``; returns it.

    ``service``: also as ``request_queue_depth{service}`` and ``request_queue_wait_seconds{service}``.
    Several queues may share a name, and add up. An ``asyncio.Queue`` or ``queue.Queue`` (LIFO and
    priority queues and subclasses too) tells depth and waiting time, from now on; any other object
    with ``qsize()`` tells its depth. Raises TypeError for anything else.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"a queue's name must be a string and not empty, not {name!r}")
    if not callable(getattr(queue, "qsize", None)):
        raise TypeError(f"cannot track {type(queue).__name__}: it has no qsize()")
    if getattr(type(queue), "_ferrometer_tracked", False):
        return queue
    names = [_Names("", "queue", name, registry)]
    if service is not None:
        names.append(_Names("request_", "service", service, registry))
    capacity = getattr(queue, "maxsize", 0)
    if isinstance(capacity, int) and capacity > 0:
        Gauge(
            "queue_capacity",
            "Items the queue may hold",
            ["queue"],
            registry=registry,
            multiprocess_mode="livesum",
        ).labels(name).set(capacity)
    if isinstance(queue, asyncio.Queue | threaded.Queue):
        _keep_itself(queue, names)
    else:
        with _LOCK:
            _POLLED.setdefault(registry, []).append(_Polled(queue, names))
    return queue


class _Polled:
    """A queue whose depth is asked for. The gauge is moved by the difference: others may share it."""

    def __init__(self, queue: Any, names: list[_Names]) -> None:
        self._queue = weakref.ref(queue)
        self._names = names
        self._depth = 0
        self.read()

    def read(self) -> bool:
        queue = self._queue()
        depth = 0 if queue is None else queue.qsize()
        for name in self._names:
            name.depth.inc(depth - self._depth)
        self._depth = depth
        return queue is not None


def _keep_itself(queue: Any, names: list[_Names]) -> None:
    inc = [name.depth.inc for name in names]
    dec = [name.depth.dec for name in names]
    observe = [name.wait().observe for name in names]
    line = line_of(type(queue))

    def put(item: object) -> None:
        line.put(item, monotonic())
        for count in inc:
            count()

    def got(item: object) -> None:
        since = line.get(item)
        for count in dec:
            count()
        if since is not None:
            waited = monotonic() - since
            for record in observe:
                record(waited)

    # A queue.Queue is changed under its own lock; an asyncio.Queue has none, and one thread.
    with getattr(queue, "mutex", None) or threading.Lock():
        already = queue.qsize() if not hasattr(queue, "mutex") else queue._qsize()
        for count in inc:
            count(already)
        line.skip(already)
        queue.__class__ = _measured(type(queue), put, got)
    weakref.finalize(queue, _emptied, line, dec).atexit = False


def _emptied(line: WaitingLine, dec: Sequence[Callable[[float], None]]) -> None:
    for count in dec:
        count(len(line))


def _measured(plain: Any, put: Callable[[object], None], got: Callable[[object], None]) -> type:
    class Measured(plain):  # type: ignore[misc]
        __slots__ = ()
        _ferrometer_tracked = True

        def _put(self, item: Any) -> None:
            super()._put(item)
            put(item)

        def _get(self) -> Any:
            item = super()._get()
            got(item)
            return item

    Measured.__name__, Measured.__qualname__ = plain.__name__, plain.__qualname__
    Measured.__module__, Measured.__doc__ = plain.__module__, plain.__doc__
    return Measured


_LOCK = threading.Lock()
_POLLED: weakref.WeakKeyDictionary[CollectorRegistry, list[_Polled]] = weakref.WeakKeyDictionary()
