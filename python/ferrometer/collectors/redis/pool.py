"""The connection pool of a Redis client: in use, idle, maximum, waiting, time to acquire."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from time import perf_counter
from typing import Any

from ferrometer._process.local_only import OwnSeries
from ferrometer.collectors.app.pools import POOLS
from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Histogram

ACQUIRE_BUCKETS = (0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

_UNLIMITED = 2**31
"""What redis-py before 8 takes for no limit."""


class RedisPool:
    """The families, and the series of one client's pool in them; of a cluster, of all nodes together."""

    def __init__(self, client: Any, name: str, registry: CollectorRegistry) -> None:
        self._client = client
        self._name = name
        self._connections = Gauge(
            "redis_pool_connections",
            "Connections of the client's pool, by state",
            ["pool", "state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._maximum = Gauge(
            "redis_pool_connections_max",
            "Connections the client's pool may have",
            ["pool"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            "redis_pool_waiting",
            "Callers that are waiting for a connection",
            ["pool"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._duration = Histogram(
            "redis_pool_acquire_duration_seconds",
            "Time until a connection was acquired",
            ["pool"],
            registry=registry,
            buckets=ACQUIRE_BUCKETS,
        )
        self._errors = Counter(
            "redis_pool_acquire_errors",
            "Connections that could not be acquired, by the exception's type",
            ["pool", "error"],
            registry=registry,
        )
        self._undone = False
        self._active: Gauge | None = None
        self._show()
        POOLS.add(self)
        self._watched = getattr(client, "connection_pool", None)
        if self._watched is not None and "get_connection" not in vars(self._watched):
            self._watched.get_connection = self._observed(self._watched.get_connection)
        else:  # a cluster, or a pool that another client has brought already
            self._watched = None

    def refresh(self) -> None:
        """Read the pool now."""
        if not self._undone:
            self._show().set(self._read())

    def forget(self) -> None:
        """Give the pool its method back and drop the gauges."""
        self._undone = True
        POOLS.discard(self)
        if self._watched is not None:
            del self._watched.get_connection
        with OwnSeries():  # other workers have a pool of this name, too
            self._connections.remove(self._name, "active")
            self._connections.remove(self._name, "idle")
            self._maximum.remove(self._name)
            self._waiting.remove(self._name)

    def _show(self) -> Gauge:
        active = self._connections.labels(self._name, "active")
        if active is not self._active:
            self._active = active
            active.set_function(self._read)
        return active

    def _read(self) -> float:
        active, idle, maximum = read_pools(self._client)
        self._connections.labels(self._name, "idle").set(idle)
        if maximum is not None:
            self._maximum.labels(self._name).set(maximum)
        return float(active)

    def _observed(self, get: Any) -> Any:
        waiting, duration, name = self._waiting.labels, self._duration.labels, self._name
        now = Gauge("waiting", "Callers that wait now", registry=None)

        # The series are looked up each time: somebody may have removed them meanwhile.
        def enter() -> None:
            self._show()
            now.inc()
            waiting(name).set(now._get())

        def leave() -> None:
            now.dec()
            waiting(name).set(now._get())

        def acquired(seconds: float) -> None:
            duration(name).observe(seconds)

        if inspect.iscoroutinefunction(get):

            async def get_async(*args: Any, **options: Any) -> Any:
                enter()
                begun = perf_counter()
                try:
                    connection = await get(*args, **options)
                except BaseException as error:
                    self._failed(error)
                    raise
                finally:
                    leave()
                acquired(perf_counter() - begun)
                return connection

            return functools.wraps(get)(get_async)

        def get_sync(*args: Any, **options: Any) -> Any:
            enter()
            begun = perf_counter()
            try:
                connection = get(*args, **options)
            except BaseException as error:
                self._failed(error)
                raise
            finally:
                leave()
            acquired(perf_counter() - begun)
            return connection

        return functools.wraps(get)(get_sync)

    def _failed(self, error: BaseException) -> None:
        self._errors.labels(self._name, type(error).__name__).inc()


def read_pools(client: Any) -> tuple[int, int, int | None]:
    """Connections in use, idle, and at most (None: no limit), summed over the nodes of a cluster."""
    active = idle = maximum = 0
    for pool in _pools(client):
        used, free, limit = _read(pool)
        active, idle, maximum = active + used, idle + free, maximum + limit
    return active, idle, maximum if 0 < maximum < _UNLIMITED else None


def _pools(client: Any) -> Iterable[Any]:
    pool = getattr(client, "connection_pool", None)
    if pool is not None:
        return [pool]
    manager = getattr(client, "nodes_manager", None)
    nodes = list(getattr(manager, "nodes_cache", {}).values())
    # A node of the sync cluster holds a client; one of the asyncio cluster is itself the pool.
    return [
        node.redis_connection.connection_pool if getattr(node, "redis_connection", None) is not None else node
        for node in nodes
    ]


def _read(pool: Any) -> tuple[int, int, int]:
    limit = int(getattr(pool, "max_connections", 0) or 0)
    queue = getattr(pool, "pool", None)
    if queue is not None and hasattr(queue, "queue"):  # BlockingConnectionPool: a queue filled up with None
        made = len(getattr(pool, "_connections", ()))
        free = sum(connection is not None for connection in list(queue.queue))
        return made - free, free, limit
    if hasattr(pool, "_free"):  # a node of the asyncio cluster
        made, free = len(pool._connections), len(pool._free)
        return made - free, free, limit
    return (
        len(getattr(pool, "_in_use_connections", ())),
        len(getattr(pool, "_available_connections", ())),
        limit,
    )


__all__ = ["RedisPool", "read_pools"]
