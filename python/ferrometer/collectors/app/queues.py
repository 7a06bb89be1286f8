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


class _Level:
    """One gauge's series that several queues move, told anew after somebody has removed it.

    What it stands at is kept beside it. ``labels()`` is asked each time, so that the series is one that is
    shown; and what was stored is compared with what it stands at now, so that the last of several threads
    leaves the right value.
    """

    __slots__ = ("_family", "_name", "_now")

    def __init__(self, family: Gauge, name: str) -> None:
        self._family = family
        self._name = name
        self._now = Gauge("level", "What the gauge stands at in this process", registry=None)
        self.tell()

    def move(self, by: float) -> None:
        """It is so much more, or less."""
        self._now.inc(by)
        self.tell()

    def tell(self) -> None:
        """Store it where scrapes see it."""
        now, series = self._now, self._family.labels(self._name)
        while True:
            level = now._get()
            series.set(level)
            if now._get() == level:
                return


def _level(family: str, documentation: str, label: str, name: str, registry: CollectorRegistry) -> _Level:
    with _LOCK:
        levels = _LEVELS.setdefault(registry, {})
        found = levels.get((family, name))
        if found is None:
            gauge = Gauge(family, documentation, [label], registry=registry, multiprocess_mode="livesum")
            found = levels[family, name] = _Level(gauge, name)
        return found


class _Names:
    """Depth and wait under one pair of names, for one queue's label."""

    def __init__(self, prefix: str, label: str, name: str, registry: CollectorRegistry) -> None:
        self.depth = _level(f"{prefix}queue_depth", "Items that wait in the queue", label, name, registry)
        self._wait = (f"{prefix}queue_wait_seconds", label, name, registry)

    def wait(self) -> Callable[[float], None]:
        """Records a waiting time: only of a queue that can tell them."""
        family, label, name, registry = self._wait
        documentation = "How long an item waited in the queue"
        histogram = Histogram(family, documentation, [label], buckets=BUCKETS, registry=registry)
        histogram.labels(name)  # shown from now on
        return lambda seconds: histogram.labels(name).observe(seconds)


class QueueCollector(Collector):
    """Reads the depth of those queues of ``track_queue()`` that do not keep it themselves."""

    name = "queues"
    stale: Stale = "keep"  # counts of this process, and never wrong

    def __init__(self, *, registry: CollectorRegistry = REGISTRY, interval: float = 10.0) -> None:
        self.interval = interval
        self._registry = registry

    def is_brief(self) -> bool:
        """Where no queue has to be asked; those are the user's code."""
        return not _POLLED.get(self._registry)

    def collect(self) -> None:
        """Read them; one that is no more leaves a depth of zero. What was removed is told anew."""
        polled = _POLLED.get(self._registry, [])
        polled[:] = [queue for queue in polled if queue.read()]
        for level in list(_LEVELS.get(self._registry, {}).values()):
            level.tell()


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
        room = _level("queue_capacity", "Items the queue may hold", "queue", name, registry)
        room.move(capacity)
        weakref.finalize(queue, room.move, -capacity).atexit = False
    if isinstance(queue, asyncio.Queue | threaded.Queue):
        _keep_itself(queue, names)
    else:
        with _LOCK:
            _POLLED.setdefault(registry, []).append(_Polled(queue, names))
    return queue


class _Polled:
    """A queue whose depth is asked for. The level is moved by the difference: others may share it."""

    def __init__(self, queue: Any, names: list[_Names]) -> None:
        self._queue = weakref.ref(queue)
        self._names = names
        self._depth = 0
        self.read()

    def read(self) -> bool:
        queue = self._queue()
        depth = 0 if queue is None else queue.qsize()
        for name in self._names:
            name.depth.move(depth - self._depth)
        self._depth = depth
        return queue is not None


def _keep_itself(queue: Any, names: list[_Names]) -> None:
    move = [name.depth.move for name in names]
    observe = [name.wait() for name in names]
    line = line_of(type(queue))

    def put(item: object) -> None:
        line.put(item, monotonic())
        for count in move:
            count(1)

    def got(item: object) -> None:
        since = line.get(item)
        for count in move:
            count(-1)
        if since is not None:
            waited = monotonic() - since
            for record in observe:
                record(waited)

    # A queue.Queue is changed under its own lock; an asyncio.Queue has none, and one thread.
    with getattr(queue, "mutex", None) or threading.Lock():
        already = queue.qsize() if not hasattr(queue, "mutex") else queue._qsize()
        for count in move:
            count(already)
        line.skip(already)
        queue.__class__ = _measured(type(queue), put, got)
    weakref.finalize(queue, _emptied, line, move).atexit = False


def _emptied(line: WaitingLine, move: Sequence[Callable[[float], None]]) -> None:
    for count in move:
        count(-len(line))


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
_LEVELS: weakref.WeakKeyDictionary[CollectorRegistry, dict[tuple[str, str], _Level]] = (
    weakref.WeakKeyDictionary()
)
_POLLED: weakref.WeakKeyDictionary[CollectorRegistry, list[_Polled]] = weakref.WeakKeyDictionary()
