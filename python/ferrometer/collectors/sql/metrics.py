"""What a database client counts: queries by operation, and its pool of connections."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from ferrometer._core import client_span
from ferrometer._process.local_only import OwnSeries
from ferrometer.background.collector import Collector, Stale
from ferrometer.collectors.app.pools import POOLS
from ferrometer.collectors.sql.operation import PREFIX, decided_by_prefix, operation
from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Histogram, Summary
from ferrometer.stats.database import DatabaseStats

QUERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ACQUIRE_BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)

_LEARNT = 256  # beginnings of texts that are looked up without being parsed again


class ServiceDatabase(Protocol):
    """The ``{namespace}_db_*`` families of a service; ``ServiceStats.database`` is one."""

    connections_active: Gauge
    connections_idle: Gauge
    queries_total: Counter
    errors_total: Counter
    query_duration: Summary


@dataclass(frozen=True, slots=True)
class PoolState:
    """Connections of a pool at one moment.

    ``maximum`` is None where there is no limit; a pool that keeps no count has no state at all.
    """

    active: int
    idle: int
    maximum: int | None


class _View:
    """The service's families as the sum over all of its pools."""

    def __init__(self, database: ServiceDatabase) -> None:
        self.database = database
        self.readers: list[Callable[[], PoolState | None]] = []
        database.connections_active.set_function(lambda: self._sum("active"))
        database.connections_idle.set_function(lambda: self._sum("idle"))

    def _sum(self, what: str) -> float:
        states = [state for read in self.readers if (state := read()) is not None]
        return float(sum(getattr(state, what) for state in states))

    def refresh(self) -> None:
        self.database.connections_active.set(self._sum("active"))
        self.database.connections_idle.set(self._sum("idle"))


def _view(
    namespace: str | None, registry: CollectorRegistry, database: ServiceDatabase | None
) -> _View | None:
    if database is None and not namespace:
        return None
    # Kept by its owner: in a table of ours the views, which know their owner, would keep it for ever.
    owner: object = registry if database is None else database
    views: dict[str, _View] = vars(owner).setdefault("_db_views", {})
    key = namespace or ""
    if key not in views:
        views[key] = _View(database or DatabaseStats(f"{key}_", registry))
    return views[key]


class _Operation:
    """One operation. Its series are looked up each time: somebody may have removed them meanwhile."""

    __slots__ = ("_attributes", "_duration", "_pool", "_queries", "name")

    def __init__(self, pool: str, name: str, metrics: ClientMetrics) -> None:
        self.name = name
        self.describe(metrics.server)
        self._pool = pool
        self._queries = metrics.queries
        self._duration = metrics.duration

    def count(self) -> None:
        """One more statement."""
        self._queries.labels(self._pool, self.name).inc()

    def observe(self, seconds: float, error: str | None = None) -> None:
        """It took so long; also a span of the present trace, where that is recorded."""
        self._duration.labels(self._pool, self.name).observe(seconds)
        client_span(self.name, seconds, self._attributes, error)

    def describe(self, server: Mapping[str, object]) -> None:
        """Whom it is sent to, for its spans."""
        self._attributes = {**server, "db.operation.name": self.name}


class ClientMetrics:
    """The families of the client side, and the series of one pool in them.

    ``done(sql, seconds)`` and ``failed(sql, seconds, error)`` record one query. An empty text, with
    which drivers ask whether a connection lives, is none.
    """

    def __init__(
        self,
        pool: str,
        *,
        system: str = "other_sql",
        registry: CollectorRegistry,
        namespace: str | None = None,
        database: ServiceDatabase | None = None,
    ) -> None:
        self.pool = pool
        #: Attributes of each span, by OpenTelemetry's names.
        self.server: dict[str, object] = {"db.system.name": system}
        self._servers: tuple[object, ...] | None = None
        self.queries: Counter = Counter(
            "db_queries", "Database queries", ["pool", "operation"], registry=registry
        )
        self.errors: Counter = Counter(
            "db_query_errors",
            "Database queries that raised, by the exception's type",
            ["pool", "operation", "error"],
            registry=registry,
        )
        self.duration: Histogram = Histogram(
            "db_query_duration_seconds",
            "Time of a database query as its caller sees it",
            ["pool", "operation"],
            registry=registry,
            buckets=QUERY_BUCKETS,
        )
        self.view: _View | None = _view(namespace, registry, database)
        self._operations: dict[str | None, _Operation | None] = {None: None}
        self.done: Callable[..., None] = self._recorder()

    def describe(self, host: object, port: object, database: object) -> None:
        """Where a connection leads. Nothing is said of it where connections lead to several servers."""
        server = (host, port, database)
        if self._servers == server or self._servers == ():
            return
        told = dict(zip(("server.address", "server.port", "db.namespace"), server, strict=True))
        if self._servers is None:
            self._servers = server
            self.server |= {name: value for name, value in told.items() if value not in (None, "")}
        else:
            self._servers = ()
            for name in told:
                self.server.pop(name, None)
        for known in self._operations.values():
            if known is not None:
                known.describe(self.server)

    def _recorder(self) -> Callable[..., None]:
        # A closure, not a method: this runs for every query, and locals are what CPython reads fastest.
        learnt: dict[str, _Operation] = {}
        known = learnt.get
        learn = self._learn
        if self.view is None:

            def done(sql: str, seconds: float, error: str | None = None) -> None:
                found = known(sql[:PREFIX]) or learn(sql, learnt)
                if found is not None:
                    found.count()
                    found.observe(seconds, error)

        else:
            count = self.view.database.queries_total.inc
            observe = self.view.database.query_duration.observe

            def done(sql: str, seconds: float, error: str | None = None) -> None:
                found = known(sql[:PREFIX]) or learn(sql, learnt)
                if found is not None:
                    found.count()
                    found.observe(seconds, error)
                    count()
                    observe(seconds * 1000)

        return done

    def failed(self, sql: str, seconds: float, error: BaseException) -> None:
        """Record a query that raised. One that was cancelled is an error here, not the service's."""
        try:
            self.done(sql, seconds, type(error).__qualname__)
        except Exception:  # a driver may be given anything, and refuses it with words of its own
            return
        self.answered(sql, error)

    def sent(self, sql: str) -> None:
        """Record a query whose answer comes later, with others': it is counted and not timed."""
        found = self._of(sql)
        if found is not None:
            found.count()
            if self.view is not None:
                self.view.database.queries_total.inc()

    def answered(self, sql: str, error: BaseException) -> None:
        """Record that the answer to a query that was counted before is an error."""
        found = self._of(sql)
        if found is not None:
            self.errors.labels(self.pool, found.name, type(error).__name__).inc()
            if self.view is not None and isinstance(error, Exception):
                self.view.database.errors_total.inc()

    def _learn(self, sql: str, learnt: dict[str, _Operation]) -> _Operation | None:
        found = self._of(sql)
        if found is not None and len(learnt) < _LEARNT and decided_by_prefix(sql):
            learnt[sql[:PREFIX]] = found
        return found

    def _of(self, sql: str) -> _Operation | None:
        name = operation(sql)
        if name not in self._operations:
            self._operations[name] = _Operation(self.pool, name or "", self)
        return self._operations[name]


class PoolMetrics:
    """The pool of one client: connections by state, who waits, and how long acquiring takes.

    The state is read at every scrape, and by ``refresh()``.
    """

    def __init__(
        self, pool: str, read: Callable[[], PoolState | None], view: _View | None, registry: CollectorRegistry
    ) -> None:
        self._pool = pool
        self._read_pool = read
        self._view = view
        self._connections = Gauge(
            "db_pool_connections",
            "Connections of the pool, by state",
            ["pool", "state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._maximum = Gauge(
            "db_pool_connections_max",
            "Connections the pool may have",
            ["pool"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            "db_pool_waiting",
            "Callers that are waiting for a connection",
            ["pool"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._duration = Histogram(
            "db_pool_acquire_duration_seconds",
            "Time until a connection was acquired",
            ["pool"],
            registry=registry,
            buckets=ACQUIRE_BUCKETS,
        )
        self._errors = Counter(
            "db_pool_acquire_errors",
            "Connections that could not be acquired, by the exception's type",
            ["pool", "error"],
            registry=registry,
        )
        self._now_waiting = Gauge("waiting", "Callers that wait now", registry=None)
        self._waiting.labels(pool)  # shown from now on
        self._undone = False
        self._active: Gauge | None = None
        if read() is not None:  # else nobody counts, and no gauge says that there are none
            POOLS.add(self)
            self._show()
        if view is not None:
            view.readers.append(read)

    # Each call looks its series up: somebody may have removed it meanwhile.

    def enter(self) -> None:
        """Somebody waits for a connection."""
        if self in POOLS:
            self._show()
        self._now_waiting.inc()
        self._waiting.labels(self._pool).set(self._now_waiting._get())

    def leave(self) -> None:
        """Somebody waits no longer."""
        self._now_waiting.dec()
        self._waiting.labels(self._pool).set(self._now_waiting._get())

    def acquired(self, seconds: float) -> None:
        """Somebody has got a connection after so many seconds."""
        self._duration.labels(self._pool).observe(seconds)

    def failed(self, error: BaseException) -> None:
        """Count a connection that was not acquired."""
        self._errors.labels(self._pool, type(error).__name__).inc()

    def refresh(self) -> None:
        """Read the pool now."""
        if self._undone:
            return
        if self in POOLS:
            self._show().set(self._read())
        if self._view is not None:
            self._view.refresh()

    def forget(self) -> None:
        """Drop the gauges: the pool is watched no longer. What was counted stays."""
        self._undone = True
        POOLS.discard(self)
        with OwnSeries():  # other workers have a pool of this name, too
            self._connections.remove(self._pool, "active")
            self._connections.remove(self._pool, "idle")
            self._maximum.remove(self._pool)
            self._waiting.remove(self._pool)
        if self._view is not None and self._read_pool in self._view.readers:
            self._view.readers.remove(self._read_pool)

    def _show(self) -> Gauge:
        active = self._connections.labels(self._pool, "active")
        if active is not self._active:
            self._active = active
            active.set_function(self._read)
        return active

    def _read(self) -> float:
        # One reading sets all, so that active and idle of a scrape are of the same moment.
        state = self._read_pool()
        if state is None:
            return math.nan
        self._connections.labels(self._pool, "idle").set(state.idle)
        if state.maximum is not None:
            self._maximum.labels(self._pool).set(state.maximum)
        return float(state.active)


class Instrumentation(Collector):
    """What ``instrument_*`` returns: ``undo()`` takes it all back. Also a collector.

    Pools are read at every scrape. Given to a ``CollectorScheduler`` they are read in the background
    too, for readers that run no Python.
    """

    stale: Stale = "keep"

    def __init__(self, name: str, undo: Callable[[], None], pool: PoolMetrics | None = None) -> None:
        self.name: str = f"pool:{name}"
        self._undo: Callable[[], None] | None = undo
        self._pool = pool

    def __repr__(self) -> str:
        return f"Instrumentation({self.name.removeprefix('pool:')!r}{'' if self._undo else ', undone'})"

    def undo(self) -> None:
        """Put everything back as it was; a second time nothing happens."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()
            if self._pool is not None:
                self._pool.forget()

    def collect(self) -> None:
        """Read the pool now."""
        if self._pool is not None and self._undo is not None:
            self._pool.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


__all__ = ["ClientMetrics", "Instrumentation", "PoolMetrics", "PoolState", "ServiceDatabase"]
