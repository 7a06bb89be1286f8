"""Caches: hits, misses, how full they are.

| what is given                          | how it is counted                                            |
|----------------------------------------|--------------------------------------------------------------|
| a function with ``cache_info()``       | its own counts are read in the background: no cost per call  |
| a mapping (``cachetools``, your class) | its lookups: the object becomes one of a counting subclass   |
| nothing                                | by hand: ``cache.hit()``, ``cache.miss()``                   |
"""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any, Protocol, TypeVar, overload

from ferrometer._core import shared_values
from ferrometer.background.collector import Collector, Stale
from ferrometer.collectors.app.counted_mapping import count_lookups
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge

_C = TypeVar("_C")


class Lookups(Protocol):
    """Where lookups are to be counted as well: ``ServiceStats.cache`` is one."""

    def hit(self, amount: int = 1) -> None:
        """Count hits."""

    def miss(self, amount: int = 1) -> None:
        """Count misses."""


class CacheMetrics:
    """The families of all caches of a registry; label ``cache_type`` is the cache's name."""

    def __init__(self, registry: CollectorRegistry) -> None:

        def counter(name: str, documentation: str) -> Counter:
            return Counter(name, documentation, ["cache_type"], registry=registry)

        def gauge(name: str, documentation: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, documentation, ["cache_type"], registry=registry, multiprocess_mode=mode)

        self.hits: Counter = counter("cache_hits", "Lookups that found what they looked for")
        self.misses: Counter = counter("cache_misses", "Lookups that did not")
        self.evictions: Counter = counter("cache_evictions", "Entries that made room for others")
        self.entries: Gauge = gauge("cache_entries", "Entries in the cache")
        self.capacity: Gauge = gauge("cache_max_entries", "Entries the cache may hold")
        self.hit_ratio: Gauge = gauge(
            "cache_hit_ratio", "Share of all lookups so far that hit", "livemostrecent"
        )


class TrackedCache:
    """The counts of the caches of one name; several objects may share it, and add up."""

    def __init__(self, name: str, metrics: CacheMetrics) -> None:
        self.name = name
        self._metrics = metrics
        self._objects: list[_Tracked] = []
        # What was counted ever, whatever is removed from the families.
        self._hits = Counter("hits", "Hits in this process", registry=None)
        self._misses = Counter("misses", "Misses in this process", registry=None)
        self._told = (0, 0)
        for family in (metrics.hits, metrics.misses, metrics.evictions):
            family.labels(name)  # shown from now on

    def __repr__(self) -> str:
        return f"TrackedCache({self.name!r}, {self._hits._get():g} hits, {self._misses._get():g} misses)"

    # Each call looks its series up: somebody may have removed it meanwhile.

    def hit(self, amount: int = 1) -> None:
        """Count lookups that found what they looked for."""
        self._metrics.hits.labels(self.name).inc(amount)
        self._hits.inc(amount)

    def miss(self, amount: int = 1) -> None:
        """Count lookups that did not."""
        self._metrics.misses.labels(self.name).inc(amount)
        self._misses.inc(amount)

    def evicted(self) -> None:
        """Count an entry that made room for another."""
        self._metrics.evictions.labels(self.name).inc()

    def hit_ratio(self) -> float:
        """Share of all lookups that hit, in all workers; NaN before the first one."""
        families = (self._metrics.hits, self._metrics.misses)
        hits, misses = shared_values([family.labels(self.name) for family in families])
        return hits / (hits + misses) if hits + misses else math.nan

    def read(self, further: Lookups | None = None) -> None:
        """Bring counts and gauges up to date; ``further`` is told what came since the last time."""
        self._objects = [tracked for tracked in self._objects if tracked.read(self)]
        if self._objects:
            self._metrics.entries.labels(self.name).set(sum(tracked.entries for tracked in self._objects))
            limits = [tracked.capacity for tracked in self._objects]
            if None not in limits:
                self._metrics.capacity.labels(self.name).set(sum(filter(None, limits)))
        else:
            self._metrics.entries.remove(self.name)
            self._metrics.capacity.remove(self.name)
        self._metrics.hit_ratio.labels(self.name).set(self.hit_ratio())
        if further is not None:
            hits, misses = int(self._hits._get()), int(self._misses._get())
            further.hit(hits - self._told[0])
            further.miss(misses - self._told[1])
            self._told = (hits, misses)

    def _track(self, cache: object) -> None:
        if any(tracked.object() is cache for tracked in self._objects):
            return
        if callable(getattr(cache, "cache_info", None)):
            self._objects.append(_Informed(cache))
        else:
            count_lookups(cache, self.hit, self.miss, self.evicted)
            self._objects.append(_Mapping(cache))


class _Tracked:
    """One object behind a name, which tracking does not keep alive."""

    entries: int = 0
    capacity: int | None = None

    def __init__(self, cache: object) -> None:
        self.object = weakref.ref(cache)

    def read(self, counts: Lookups) -> bool:
        """Take a reading; False when the object is no more."""
        raise NotImplementedError


class _Informed(_Tracked):
    """A function with ``cache_info()``: functools.lru_cache, cachetools.cached(info=True)."""

    def __init__(self, cache: object) -> None:
        super().__init__(cache)
        self._last = (0, 0)

    def read(self, counts: Lookups) -> bool:
        function: Any = self.object()
        if function is None:
            return False
        info = function.cache_info()
        seen = (info.hits, info.misses)
        if seen[0] < self._last[0] or seen[1] < self._last[1]:
            self._last = (0, 0)  # cache_clear() began anew
        counts.hit(seen[0] - self._last[0])
        counts.miss(seen[1] - self._last[1])
        self._last = seen
        self.entries, self.capacity = info.currsize, info.maxsize
        return True


class _Mapping(_Tracked):
    """A mapping that counts its lookups itself."""

    def read(self, counts: Lookups) -> bool:
        mapping: Any = self.object()
        if mapping is None:
            return False
        self.entries, self.capacity = len(mapping), getattr(mapping, "maxsize", None)
        return True


class CacheCollector(Collector):
    """Reads the caches of ``track_cache()``.

    ``stats`` is told of every lookup too: for ``{ns}_cache_hits``, ``{ns}_cache_misses`` and the rate.
    """

    name = "caches"
    stale: Stale = "keep"  # these are counts of this process, and never wrong

    def __init__(
        self, *, registry: CollectorRegistry = REGISTRY, interval: float = 10.0, stats: Lookups | None = None
    ) -> None:
        self.interval = interval
        self._registry = registry
        self._stats = stats

    def is_brief(self) -> bool:
        """Where nothing is tracked; caches are the user's code."""
        return not _TRACKED.get(self._registry)

    def collect(self) -> None:
        """Read them all."""
        for tracked in list(_TRACKED.get(self._registry, {}).values()):
            tracked.read(self._stats)


@overload
def track_cache(name: str, cache: None = None, *, registry: CollectorRegistry = ...) -> TrackedCache: ...


@overload
def track_cache(name: str, cache: _C, *, registry: CollectorRegistry = ...) -> _C: ...


def track_cache(name: str, cache: object | None = None, *, registry: CollectorRegistry = REGISTRY) -> object:
    """Count a cache's lookups as ``cache_hits_total{cache_type=name}`` and ``cache_misses_total``.

    ``cache`` is a function decorated with ``functools.lru_cache`` or ``cachetools.cached(info=True)``,
    or a mapping such as ``cachetools.TTLCache``; it is returned, so that
    ``users = track_cache("users", TTLCache(1000, 60))`` reads well. Without it, the counts themselves
    are returned, with ``hit()`` and ``miss()``.

    How full the caches are is read by ``CacheCollector``, which ``instrument()`` starts. Raises TypeError
    for an object that cannot be tracked, such as a plain ``dict``.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"a cache's name must be a string and not empty, not {name!r}")
    with _LOCK:
        names = _TRACKED.setdefault(registry, {})
        tracked = names.get(name)
        if tracked is None:
            tracked = names[name] = TrackedCache(name, CacheMetrics(registry))
    if cache is None:
        return tracked
    tracked._track(cache)
    return cache


_LOCK = threading.Lock()
_TRACKED: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, TrackedCache]] = weakref.WeakKeyDictionary()
