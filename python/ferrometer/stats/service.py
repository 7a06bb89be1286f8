"""What a service tells about itself besides its requests: GPU, database, cache, process.

The numbers live once, in metrics. ``/stats``, ``/polling`` and ``/monitor`` read those metrics, so
the JSON and the scrape can never disagree.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any, Protocol

from ferrometer._core import HttpMetrics
from ferrometer.metrics.names import is_plain_name
from ferrometer.metrics.registry import REGISTRY, CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge
from ferrometer.stats.database import DatabaseStats
from ferrometer.stats.gpu import GpuStats
from ferrometer.stats.gpu import finite_values as _values
from ferrometer.stats.process import Every, gc_runs, heap_mb, live_tasks

SYSTEM_SECONDS = 10.0
"""How often the process readings are taken in the background."""


class Requests(Protocol):
    """The requests' side of the numbers: ``HttpMetrics`` is one."""

    def snapshot(self) -> Mapping[str, float]:
        """uptime_seconds, total, failed, in_flight, success_rate, p50_ms, p95_ms, p99_ms, avg_ms."""


class ServiceStats:
    """The ``{namespace}_*`` families beside the requests, and the JSON built from them.

    Without a namespace the families stay out of ``registry`` and feed the JSON alone, as the
    namespaced views of ``HttpMetrics`` do.
    """

    def __init__(
        self,
        namespace: str | None = None,
        registry: CollectorRegistry = REGISTRY,
        *,
        requests: Requests | None = None,
    ) -> None:
        if namespace and not is_plain_name(namespace):
            raise ValueError(f"invalid namespace {namespace!r}: letters, digits, '_' and ':' only")
        prefix, home = (f"{namespace}_", registry) if namespace else ("", CollectorRegistry())
        self.namespace = namespace
        self._figures = home, prefix
        self.gpu: GpuStats = GpuStats(prefix, home)
        self.database: DatabaseStats = DatabaseStats(prefix, home)
        self.cache: CacheStats = CacheStats(prefix, home)
        self.system: SystemStats = SystemStats(prefix, home)
        self._requests = requests
        self._started = time.monotonic()

    @property
    def db(self) -> DatabaseStats:
        """Short for ``database``."""
        return self.database

    def uptime_seconds(self) -> float:
        """Seconds since the application was instrumented, in whichever of its processes; without a middleware
        since this object was made."""
        if isinstance(self._requests, HttpMetrics):
            return self._requests.uptime()
        return time.monotonic() - self._started

    def figures(self) -> tuple[CollectorRegistry, str]:
        """Where the families are, and what their names begin with; for readers that ask no Python."""
        return self._figures

    def counts_into(self, registry: CollectorRegistry) -> bool:
        """Whether the requests are those of a middleware that records into this registry."""
        return isinstance(self._requests, HttpMetrics) and self._requests.registry is registry

    def requests(self) -> Mapping[str, float]:
        """The requests' numbers, as ``HttpMetrics.snapshot()`` has them."""
        return self._snapshot()

    def stats(self) -> dict[str, Any]:
        """The body of ``/stats``."""
        seen = self._snapshot()
        return {
            "uptime_seconds": int(seen["uptime_seconds"]),
            "requests": _requests(seen),
            "gpu": self.gpu.as_dict(),
            "database": self.database.as_dict(),
            "cache": self.cache.as_dict(),
            "system": self.system.as_dict(),
        }

    def polling(self) -> dict[str, Any]:
        """The ``metrics`` of ``/polling``: four readings, no percentile."""
        cache = (self.cache.hits, self.cache.misses)
        instances, connections, hits, misses = _values(
            self.gpu.instances_active, self.database.connections_active, *cache
        )
        # Of the middleware, this alone: /polling must not add up all durations for it.
        native = self._requests if isinstance(self._requests, HttpMetrics) else None
        in_flight = self._snapshot()["in_flight"] if native is None else native.in_flight()
        return {
            "requests_in_flight": int(in_flight),
            "active_gpu_instances": int(instances),
            "db_connections_active": int(connections),
            "cache_hit_rate": _known(_percent(hits, misses)),
        }

    def monitor(self) -> dict[str, Any]:
        """The ``metrics`` of ``/monitor``."""
        return {
            "requests": _requests(self._snapshot()),
            "gpu": self.gpu.as_dict(),
            "database": self.database.as_dict(),
        }

    def _snapshot(self) -> Mapping[str, float]:
        if self._requests is None:
            return _NO_REQUESTS | {"uptime_seconds": self.uptime_seconds()}
        return self._requests.snapshot()


class CacheStats:
    """``cache_hits``, ``cache_misses``, ``cache_hit_rate`` (percent)."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self.hits: Gauge = Gauge(
            f"{prefix}cache_hits", "Cache hits", registry=registry, multiprocess_mode="sum"
        )
        self.misses: Gauge = Gauge(
            f"{prefix}cache_misses", "Cache misses", registry=registry, multiprocess_mode="sum"
        )
        self._rate = Gauge(
            f"{prefix}cache_hit_rate",
            "Cache hit rate in percent",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._rate.set_function(self.hit_rate)

    def hit(self, amount: int = 1) -> None:
        """Count lookups that found what they looked for."""
        if amount != 1:
            _check_count(amount)
        self.hits.inc(amount)

    def miss(self, amount: int = 1) -> None:
        """Count lookups that did not."""
        if amount != 1:
            _check_count(amount)
        self.misses.inc(amount)

    def hit_rate(self) -> float:
        """Percent of lookups that hit; NaN before the first one."""
        return _percent(*_values(self.hits, self.misses))

    def as_dict(self) -> dict[str, Any]:
        """The ``cache`` part of ``/stats``."""
        hits, misses = _values(self.hits, self.misses)
        return {"hits": int(hits), "misses": int(misses), "hit_rate": _known(_percent(hits, misses))}


class SystemStats:
    """``goroutines`` (live asyncio tasks), ``memory_heap_alloc_mb``, ``gc_total``.

    What they mean in Python, and what a reading costs, is said in ``ferrometer.system``.
    """

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self.tasks: Gauge = Gauge(
            f"{prefix}goroutines", "Live asyncio tasks", registry=registry, multiprocess_mode="livesum"
        )
        self.heap: Gauge = Gauge(
            f"{prefix}memory_heap_alloc_mb",
            "Allocated Python and native heap in MB",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.collections: Counter = Counter(
            f"{prefix}gc", "Garbage collections of all generations", registry=registry
        )
        self._lock = threading.Lock()
        self._loop: weakref.ref[asyncio.AbstractEventLoop] | None = None
        self._background = Every(SYSTEM_SECONDS, self.read)

    def watch(self) -> None:
        """Count the tasks of the event loop that runs here from now on; nothing outside of one."""
        try:
            self._loop = weakref.ref(asyncio.get_running_loop())
        except RuntimeError:  # no loop, or another framework's
            return

    def start(self) -> None:
        """Read every ten seconds in the background, for readers that ask no Python (own port, push)."""
        self._background.start()

    def stop(self) -> None:
        """End the background readings."""
        self._background.stop()

    def read(self) -> None:
        """Take the three readings now; some microseconds, from any thread."""
        loop = self._loop() if self._loop is not None else None
        self.tasks.set(live_tasks(loop))
        self.heap.set(heap_mb())
        with self._lock:  # a counter has no `set`: two readers must not both add the difference
            self.collections.inc(max(0, gc_runs() - _own(self.collections)))

    def as_dict(self) -> dict[str, Any]:
        """The ``system`` part of ``/stats``."""
        tasks, heap, collections = _values(self.tasks, self.heap, self.collections)
        return {"goroutines": int(tasks), "heap_alloc_mb": int(heap), "gc_runs": int(collections)}


def _own(metric: Counter | Gauge) -> float:
    """The value in this worker alone."""
    return metric._get()


def _percent(hits: float, misses: float) -> float:
    return 100.0 * hits / (hits + misses) if hits + misses else math.nan


def _known(value: float) -> float | None:
    """What is not known is ``null`` in JSON, as it is NaN in a scrape."""
    return float(value) if math.isfinite(value) else None


def _check_count(amount: int) -> None:
    # Counts by nature, gauges by type: their names are contracts, and a counter's would end in `_total`.
    if not 0 <= amount < math.inf:
        raise ValueError(f"a count grows by a finite amount of at least 0, not {amount!r}")


def _requests(seen: Mapping[str, float]) -> dict[str, Any]:
    return {
        "total": int(seen["total"]),
        "failed": int(seen["failed"]),
        "in_flight": int(seen["in_flight"]),
        "success_rate": _known(seen["success_rate"]),
        "duration": {f"{name}_ms": _known(seen[f"{name}_ms"]) for name in ("p50", "p95", "p99", "avg")},
    }


_NO_REQUESTS: dict[str, float] = {
    "total": 0,
    "failed": 0,
    "in_flight": 0,
    "success_rate": math.nan,
    "p50_ms": math.nan,
    "p95_ms": math.nan,
    "p99_ms": math.nan,
    "avg_ms": math.nan,
}
