"""What a service tells about its database: connections, queries, errors and durations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ferrometer.metrics.registry import CollectorRegistry
from ferrometer.metrics.types import Counter, Gauge, Summary
from ferrometer.stats.gpu import finite_values as _values


class DatabaseStats:
    """``db_connections_active``, ``_idle``, ``db_queries_total``, ``db_errors_total``,
    ``db_query_duration_milliseconds``."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self.connections_active: Gauge = Gauge(
            f"{prefix}db_connections_active",
            "Active database connections",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.connections_idle: Gauge = Gauge(
            f"{prefix}db_connections_idle",
            "Idle database connections",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.queries_total: Counter = Counter(f"{prefix}db_queries", "Database queries", registry=registry)
        self.errors_total: Counter = Counter(f"{prefix}db_errors", "Database errors", registry=registry)
        self.query_duration: Summary = Summary(
            f"{prefix}db_query_duration_milliseconds",
            "Query duration percentiles",
            registry=registry,
            quantiles=(0.5, 0.95, 0.99),
        )

    def connections(self, *, active: int, idle: int) -> None:
        """Set the state of the pool."""
        self.connections_active.set(active)
        self.connections_idle.set(idle)

    def query(self, milliseconds: float | None = None, *, error: bool = False) -> None:
        """Count one query, its duration when known, and whether it failed."""
        self.queries_total.inc()
        if error:
            self.errors_total.inc()
        if milliseconds is not None:
            self.query_duration.observe(milliseconds)

    @contextmanager
    def time(self) -> Iterator[None]:
        """Time the query in the block, sync or async; an exception counts as an error and goes on."""
        begun = time.perf_counter()
        failed = True
        try:
            yield
            failed = False
        finally:
            self.query((time.perf_counter() - begun) * 1000, error=failed)

    def as_dict(self) -> dict[str, Any]:
        """The ``database`` part of ``/stats``."""
        active, idle, queries, errors = _values(
            self.connections_active, self.connections_idle, self.queries_total, self.errors_total
        )
        return {
            "connections_active": int(active),
            "connections_idle": int(idle),
            "queries_total": int(queries),
            "errors": int(errors),
        }
